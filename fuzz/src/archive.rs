//! The inputs of the index parser: plain tar archives, which are damaged by block and get extended headers.

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
    match dice.roll(10) {
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
        5 | 6 if length + 2 * BLOCK <= most => {
            let at = dice.roll(blocks + 1) * BLOCK;
            archive.splice(at..at, extended_header(&mut dice));
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

/// An `x` or `g` header with records that count, as chance would not write them.
fn extended_header(dice: &mut Dice) -> Vec<u8> {
    const KEYS: [&str; 18] = [
        "path",
        "size",
        "linkpath",
        "mtime",
        "uid",
        "comment",
        "GNU.sparse.name",
        "GNU.sparse.size",
        "GNU.sparse.realsize",
        "GNU.sparse.major",
        "GNU.sparse.minor",
        "GNU.sparse.numblocks",
        "GNU.sparse.offset",
        "GNU.sparse.numbytes",
        "GNU.sparse.map",
        "GNU.volume.label",
        "GNU.volume.size",
        "GNU.volume.offset",
    ];
    const VALUES: [&str; 16] = [
        "",
        "0",
        "1",
        "2",
        "512",
        "1000",
        "-1",
        "x",
        "0,1",
        "0,1,5,2",
        "0,1,",
        "./a\nb",
        ".b",
        "1.5",
        "9223372036854775808",
        "18446744073709551616",
    ];
    let mut payload = Vec::new();
    for _ in 0..=dice.roll(4) {
        let (key, value) = (KEYS[dice.roll(KEYS.len())], VALUES[dice.roll(VALUES.len())]);
        // Blank, equals sign and newline, and one digit or two for the length itself.
        let rest = key.len() + value.len() + 3;
        let length = rest + if rest < 9 { 1 } else { 2 };
        payload.extend(format!("{length} {key}={value}\n").bytes());
    }
    member(b"xxgX"[dice.roll(4)], b"", &payload)
}

/// A header and what belongs to it, in whole blocks.
pub fn member(kind: u8, name: &[u8], body: &[u8]) -> Vec<u8> {
    let mut blocks = vec![0; BLOCK + body.len().next_multiple_of(BLOCK)];
    blocks[..name.len()].copy_from_slice(name);
    blocks[124..135].copy_from_slice(format!("{:011o}", body.len()).as_bytes());
    blocks[100..107].copy_from_slice(b"0000644");
    blocks[156] = kind;
    blocks[257..265].copy_from_slice(b"ustar\x0000");
    blocks[BLOCK..][..body.len()].copy_from_slice(body);
    seal(&mut blocks[..BLOCK]);
    blocks
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
