//! The index parser on any bytes: no panic, the same lines and the same end however the stream is
//! cut, shown or skipped, and memory within its bound.
//!
//! Run with scripts/fuzz.sh, or with cargo-fuzz (`cargo +nightly fuzz run index_parser`).
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use amrelay::index::TarIndex;
use amrelay_fuzz::{feed, list, mutate};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// Counts what is allocated.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: both calls are passed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `place` came from System.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fuzz_mutator!(|data: &mut [u8], length: usize, most: usize, seed: u32| {
    mutate(data, length, most, seed)
});

fuzz_target!(|archive: &[u8]| {
    let start = USED.load(Ordering::Relaxed);
    PEAK.store(start, Ordering::Relaxed);
    let mut printed = 0;
    feed(archive, archive.len().max(1), false, &mut |piece| {
        printed += piece.len()
    });
    let peak = PEAK.load(Ordering::Relaxed) - start + size_of::<TarIndex>();
    assert!(peak < 2 << 20, "{peak} bytes of memory");
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
