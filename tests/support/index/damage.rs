//! Damage done to archives at random.

use super::{Dice, Header};

/// An archive with one to three kinds of damage. `other` is one from which blocks may come.
pub(crate) fn damaged(dice: &mut Dice, original: &[u8], other: &[u8]) -> Vec<u8> {
    let mut archive = original.to_vec();
    for _ in 0..=dice.roll(3) {
        if archive.len() < 1024 {
            break;
        }
        match dice.roll(7) {
            0 | 1 => flip_bytes(dice, &mut archive),
            2 => swap_blocks(dice, &mut archive),
            3 => {
                let (at, count) = (512 * dice.roll(archive.len() / 512), 1 + dice.roll(3));
                archive.drain(at..(at + 512 * count).min(archive.len()));
            }
            4 => insert_block(dice, &mut archive, other),
            5 => lie_about_size(dice, &mut archive),
            _ => archive.truncate(dice.roll(archive.len())),
        }
    }
    archive
}

/// Where the blocks begin that have a fitting checksum.
fn headers(archive: &[u8]) -> Vec<usize> {
    let is_header = |block: &[u8]| {
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        let field: u32 = block[148..156].iter().map(|&byte| u32::from(byte)).sum();
        let recorded = std::str::from_utf8(&block[148..154]).unwrap_or("");
        sum > 0 && u32::from_str_radix(recorded, 8) == Ok(sum - field + 256)
    };
    let blocks = archive.chunks_exact(512).enumerate();
    blocks
        .filter(|(_, block)| is_header(block))
        .map(|(index, _)| 512 * index)
        .collect()
}

/// Gives a block a fitting checksum.
fn seal(archive: &mut [u8], at: usize) {
    let block: [u8; 512] = archive[at..at + 512].try_into().unwrap();
    archive[at..at + 512].copy_from_slice(&Header(block).seal());
}

/// Changes a few bytes, most of them in headers, most of which get a fitting checksum again.
pub(crate) fn flip_bytes(dice: &mut Dice, archive: &mut [u8]) {
    let headers = headers(archive);
    for _ in 0..=dice.roll(3) {
        let place = (!headers.is_empty() && dice.roll(4) > 0).then(|| dice.pick(&headers));
        let at = match place {
            Some(place) => place + dice.roll(512),
            None => dice.roll(archive.len()),
        };
        archive[at] = match dice.roll(4) {
            0 => 0,
            1 => dice.pick(b"012789 \n\x80\xffLKxgDS5M"),
            2 => archive[at] ^ (1 << dice.roll(8)),
            _ => dice.roll(256).to_le_bytes()[0],
        };
        if let Some(place) = place.filter(|_| dice.roll(4) > 0) {
            seal(archive, place);
        }
    }
}

fn swap_blocks(dice: &mut Dice, archive: &mut [u8]) {
    let blocks = archive.len() / 512;
    let (one, other) = (512 * dice.roll(blocks), 512 * dice.roll(blocks));
    for offset in 0..512 {
        archive.swap(one + offset, other + offset);
    }
}

/// Puts a block of zeros, of junk, of this archive or of another one somewhere.
fn insert_block(dice: &mut Dice, archive: &mut Vec<u8>, other: &[u8]) {
    let source = if dice.roll(2) == 0 { &*archive } else { other };
    let from = 512 * dice.roll(source.len() / 512);
    let block = match dice.roll(4) {
        0 => vec![0; 512],
        1 => vec![b'j'; 512],
        _ => source[from..from + 512].to_vec(),
    };
    let at = 512 * dice.roll(archive.len() / 512 + 1);
    archive.splice(at..at, block);
}

/// Lets a header claim another size for what follows it.
fn lie_about_size(dice: &mut Dice, archive: &mut [u8]) {
    let headers = headers(archive);
    if headers.is_empty() {
        return;
    }
    let at = dice.pick(&headers);
    let size = dice.pick(&[
        *b"00000000000\0",
        *b"00000000001\0",
        *b"00000001000\0",
        *b"00000001001\0",
        *b"00000007777 ",
        *b"777777777777",
        *b"\x80\0\0\0\0\0\0\0\0\0\x04\0",
        *b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
        *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0",
        *b"-1          ",
    ]);
    archive[at + 124..at + 136].copy_from_slice(&size);
    seal(archive, at);
}
