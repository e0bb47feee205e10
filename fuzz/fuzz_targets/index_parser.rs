//! The index parser on any bytes: no panic, the same lines and the same end however the stream is
//! cut, shown or skipped, and no more output than the input can hold.
//!
//! Run with `cargo +nightly fuzz run index_parser`.
#![no_main]

use amrelay::index::{Outcome, TarIndex};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, bool, Vec<u8>)| {
    let (length, sealed, mut archive) = input;
    if sealed {
        seal(&mut archive);
    }
    let whole = list(&archive, archive.len().max(1), false);
    assert_eq!(list(&archive, usize::from(length).max(1), true), whole);
    // A name comes from one place only, but settings in force for all may be printed for each block.
    assert!(whole.0.len() <= 4 * archive.len() * (archive.len() / 512 + 1));
});

/// Makes the checksum of every block with a magic fit, which chance alone never would.
fn seal(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block[257..].starts_with(b"ustar") {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

fn list(archive: &[u8], length: usize, skip: bool) -> (Vec<u8>, u64, Outcome) {
    let mut parser = TarIndex::new();
    let mut lines = Vec::new();
    let mut rest = archive;
    while !rest.is_empty() {
        let unseen = parser.skippable();
        if skip && unseen > 0 {
            let unseen =
                usize::try_from(unseen).map_or(rest.len(), |unseen| unseen.min(rest.len()));
            parser.skip(unseen as u64);
            rest = &rest[unseen..];
        }
        let (piece, tail) = rest.split_at(length.min(rest.len()));
        parser.push(piece, &mut |line| lines.extend_from_slice(line));
        rest = tail;
    }
    (lines, parser.entries(), parser.finish())
}
