//! What the fuzz targets share: the corpus is plain tar archives, and they are damaged by block.

use amrelay::index::{Outcome, TarIndex};

const BLOCK: usize = 512;

/// Damages an archive: by bytes as libFuzzer does, or by whole blocks, or in one field of a header.
///
/// Three results in four get fitting checksums: chance alone never hits one, and everything behind
/// the checksum would go untested. Returns the new length.
pub fn mutate(data: &mut [u8], length: usize, most: usize, seed: u32) -> usize {
    let mut dice = Dice(u64::from(seed) | 1 << 32);
    let blocks = length / BLOCK;
    let mut archive = data[..length].to_vec();
    match dice.roll(8) {
        0 if blocks > 1 => {
            let (one, other) = (dice.roll(blocks), dice.roll(blocks));
            for at in 0..BLOCK {
                archive.swap(one * BLOCK + at, other * BLOCK + at);
            }
        }
        1 if blocks > 1 => {
            let at = dice.roll(blocks) * BLOCK;
            archive.drain(at..at + BLOCK);
        }
        2 if blocks > 0 && length + BLOCK <= most => {
            let from = dice.roll(blocks) * BLOCK;
            let copy = archive[from..from + BLOCK].to_vec();
            let to = dice.roll(blocks + 1) * BLOCK;
            archive.splice(to..to, copy);
        }
        3 | 4 if blocks > 0 => {
            // Type, size, magic, prefix, sparse entries: what steers the parser.
            let at = dice.roll(blocks) * BLOCK;
            let field = [156, 124, 130, 134, 257, 263, 345, 386, 398, 482, 483, 0][dice.roll(12)];
            let value = *b"\0LKxXgDSMNV0125678 +-\x80\xff\n.u"
                .get(dice.roll(26))
                .unwrap_or(&b'0');
            archive[at + field] = value;
        }
        _ => {
            let new = libfuzzer_sys::fuzzer_mutate(data, length, most);
            archive = data[..new].to_vec();
        }
    }
    if dice.roll(4) > 0 {
        seal(&mut archive);
    }
    archive.truncate(most.min(data.len()));
    data[..archive.len()].copy_from_slice(&archive);
    archive.len()
}

/// Makes the checksum of every block with a magic fit.
fn seal(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(BLOCK) {
        if block[257..].starts_with(b"ustar") {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

/// Knuth's MMIX generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Feeds an archive in pieces of `length` bytes, leaving out what may be skipped if `skip`.
pub fn feed(
    archive: &[u8],
    length: usize,
    skip: bool,
    sink: &mut dyn FnMut(&[u8]),
) -> (u64, Outcome) {
    let mut parser = TarIndex::new();
    let mut rest = archive;
    while !rest.is_empty() {
        if skip {
            let unseen = usize::try_from(parser.skippable()).unwrap_or(usize::MAX);
            let unseen = unseen.min(rest.len());
            parser.skip(unseen as u64);
            rest = &rest[unseen..];
        }
        let (piece, tail) = rest.split_at(length.min(rest.len()));
        parser.push(piece, sink);
        rest = tail;
    }
    assert_eq!(parser.offset(), archive.len() as u64);
    (parser.entries(), parser.finish())
}

/// The lines of an archive, their number, and how it ended.
pub fn list(archive: &[u8], length: usize, skip: bool) -> (Vec<u8>, u64, Outcome) {
    let mut lines = Vec::new();
    let (entries, outcome) = feed(archive, length, skip, &mut |piece| {
        lines.extend_from_slice(piece);
    });
    (lines, entries, outcome)
}
