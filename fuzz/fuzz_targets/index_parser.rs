//! The index parser on any bytes: no panic, the same lines and the same end however the stream is
//! cut, shown or skipped, and memory within its bound.
//!
//! Run with scripts/fuzz.sh, or with cargo-fuzz (`cargo +nightly fuzz run index_parser`).
#![no_main]

#[path = "../../tests/allocation_support/mod.rs"]
mod allocation_support;

use allocation_support::peak_of;
use amrelay::index::TarIndex;
use amrelay_fuzz::{feed, list, mutate};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], length: usize, most: usize, seed: u32| {
    mutate(data, length, most, seed)
});

fuzz_target!(|archive: &[u8]| {
    let mut printed = 0;
    let (_, peak) = peak_of(|| {
        feed(archive, archive.len().max(1), false, &mut |piece| {
            printed += piece.len()
        })
    });
    let memory = peak + size_of::<TarIndex>();
    assert!(memory < 2 << 20, "{memory} bytes of memory");
    // A name comes from one place only, but settings in force for all may be printed for each block.
    assert!(printed <= 4 * archive.len() * (archive.len() / 512 + 1));

    let whole = list(archive, archive.len().max(1), false);
    // Of the pieces' lengths, each input tries its own; short ones all the lengths of one byte.
    let length = 1 + archive.iter().map(|&byte| usize::from(byte)).sum::<usize>() % 1500;
    assert_eq!(list(archive, length, false), whole);
    assert_eq!(list(archive, length, true), whole);
    if archive.len() <= 4096 {
        assert_eq!(list(archive, 1, true), whole);
    }
});
