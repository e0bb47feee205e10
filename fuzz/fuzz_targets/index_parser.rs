//! The index parser on any bytes: no panic, the same lines and the same end however the stream is
//! cut, shown or skipped, and memory within its bound.
//!
//! Run with scripts/fuzz.sh, or with cargo-fuzz (`cargo +nightly fuzz run index_parser`).
#![no_main]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/support/allocation.rs"]
mod allocation_support;

use std::cell::Cell;

use allocation_support::peak_of;
use amrelay::index::TarIndex;
use amrelay_fuzz::archive::{feed, list, mutate};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// One input in so many is shown byte by byte: the slowest way by far.
const BYTEWISE: usize = 64;

thread_local! {
    /// Kept from input to input, so that it has no part in what is measured.
    static LINES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fuzz_mutator!(|data: &mut [u8], length: usize, most: usize, seed: u32| {
    mutate(data, length, most, seed)
});

fuzz_target!(|archive: &[u8]| {
    // Quoting makes four bytes of one at most; where settings in force for all would give more, lines are left out.
    let most = 4 * archive.len();
    let mut lines = LINES.take();
    lines.clear();
    lines.reserve(most);
    let ((entries, outcome), peak) = peak_of(|| {
        feed(archive, archive.len().max(1), false, &mut |piece| {
            lines.extend_from_slice(piece);
        })
    });
    let memory = peak + size_of::<TarIndex>();
    assert!(memory < 2 << 20, "{memory} bytes of memory");
    assert!(lines.len() <= most);

    // Of the pieces' lengths, and of showing and skipping, each input tries its own.
    let sum: usize = archive.iter().map(|&byte| usize::from(byte)).sum();
    let length = if sum % BYTEWISE == 0 {
        1
    } else {
        1 + sum % 1500
    };
    let whole = (lines, entries, outcome);
    assert_eq!(list(archive, length, sum % 2 == 0), whole);
    LINES.set(whole.0);
});
