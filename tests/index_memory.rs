//! The memory of an index is bounded, and headers cost no allocation each.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

mod index_support;

use amrelay::index::{MAX_NAME, Outcome, TarIndex};
use index_support::{Header, Magic, probes};

/// Counts what is allocated; one test only lives in this program, so that it alone is counted.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: both calls are passed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(used, Ordering::Relaxed);
        CALLS.fetch_add(1, Ordering::Relaxed);
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

/// Feeds an extended header whose records have texts of the greatest length, piece by piece.
fn feed_texts(parser: &mut TarIndex, flag: u8, keys: &[&str]) {
    // "NNNNNN key=…\n", as the lengths have six digits.
    let length = |key: &&str| 6 + 1 + key.len() + 1 + MAX_NAME + 1;
    let size = keys.iter().map(length).sum::<usize>();
    parser.push(
        &Header::new(Magic::Ustar, flag, b"", size as u64).seal(),
        &mut |_| {},
    );
    for key in keys {
        parser.push(format!("{} {key}=", length(key)).as_bytes(), &mut |_| {});
        feed(parser, b'.', MAX_NAME);
        parser.push(b"\n", &mut |_| {});
    }
    feed(parser, 0, size.next_multiple_of(512) - size);
}

fn feed(parser: &mut TarIndex, byte: u8, mut count: usize) {
    let piece = [byte; 1000];
    while count > 0 {
        let now = count.min(piece.len());
        parser.push(&piece[..now], &mut |_| {});
        count -= now;
    }
}

#[test]
fn memory_is_bounded_whatever_the_names() {
    let start = USED.load(Ordering::Relaxed);
    PEAK.store(start, Ordering::Relaxed);
    let mut parser = TarIndex::new();
    for _ in 0..3 {
        feed_texts(
            &mut parser,
            b'g',
            &["path", "GNU.sparse.name", "GNU.volume.label", "path"],
        );
        feed_texts(
            &mut parser,
            b'x',
            &["path", "GNU.volume.label", "GNU.sparse.name", "path"],
        );
        parser.push(
            &Header::new(Magic::Gnu, b'L', b"", MAX_NAME as u64).seal(),
            &mut |_| {},
        );
        feed(&mut parser, b'n', MAX_NAME);
        parser.push(
            &Header::new(Magic::Ustar, b'0', b"m", 0).seal(),
            &mut |_| {},
        );
        feed_texts(&mut parser, b'g', &[]);
    }
    assert_eq!(parser.finish(), Outcome::Complete { end_mark: false });
    assert!(parser.entries() >= 3);
    let peak = PEAK.load(Ordering::Relaxed) - start;
    assert!(peak > 6 * MAX_NAME, "the names were not held: {peak}");
    assert!(peak + size_of::<TarIndex>() < 2 << 20, "{peak}");

    let headers = probes(100);
    parser.push(&headers, &mut |_| {});
    let calls = CALLS.load(Ordering::Relaxed);
    parser.push(&headers, &mut |_| {});
    assert_eq!(CALLS.load(Ordering::Relaxed), calls);
}
