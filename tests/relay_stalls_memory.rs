//! What 64 stalled streams hold in memory is bounded, however long they stall and however much waits for them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

mod relay_support;

use std::os::fd::OwnedFd;

use amrelay::event::EventLoop;
use amrelay::relay::{LinkKind, Sink, SinkOptions};
use amrelay::sys::Descriptor;
use relay_support::*;

/// Counts what is allocated; one test only lives in this program, so that it alone is counted.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: both calls are passed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED.fetch_add(layout.size(), Ordering::Relaxed);
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

const STREAMS: u32 = 64;
/// What a stream, its link, its events and the test's own handles take without any byte of data.
const BOOKKEEPING: usize = 4096;
/// The largest frame of a stream that is not bulk; a bulk stream that is copied has twice as much.
const SMALL_FRAME: usize = 32 * 1024;
const HIGH: usize = 100_000;
/// A sink's queue is stalled of pieces of this size; the last one may be almost empty, and the first one almost read.
const PIECE: usize = 64 * 1024;

fn used() -> usize {
    USED.load(Ordering::Relaxed)
}

/// What `make` allocates, and what it makes goes on to, does not exceed `bound`; and does not grow while the loop turns and
/// `feed` offers more. `feed` says whether any of it was taken.
fn check<T>(
    name: &str,
    event_loop: &EventLoop,
    bound: usize,
    make: impl FnOnce() -> T,
    feed: impl Fn(&T) -> bool,
) {
    let before = used();
    let stalled = make();
    let offer = || {
        (0..3).any(|_| {
            settle(event_loop);
            feed(&stalled)
        })
    };
    while offer() {}
    let held = used() - before;
    assert!(
        held <= bound,
        "{name}: {held} bytes for {STREAMS} streams, more than {bound}"
    );
    for _ in 0..50 {
        offer();
    }
    let later = used() - before;
    assert!(
        later <= held + BOOKKEEPING,
        "{name}: {later} bytes after a while, {held} at first"
    );
}

static BYTES: [u8; 4096] = [b'd'; 4096];

/// Fills a pipe as far as that goes. False if it was full.
fn fill(writer: &OwnedFd) -> bool {
    rustix::io::ioctl_fionbio(writer, true).unwrap();
    let mut filled = false;
    while rustix::io::write(writer, &BYTES).is_ok() {
        filled = true;
    }
    filled
}

/// Streams that nobody reads, each with a connection of its own or all with one.
fn stalled_streams(name: &str, shared: bool, bulk: bool, tapped: bool, bound: usize) {
    let event_loop = EventLoop::new().unwrap();
    let codes = Codes::default();
    let make = || {
        let kind = if shared {
            LinkKind::Framed
        } else {
            LinkKind::Raw
        };
        let mut connections = Vec::new();
        let mut streams = Vec::new();
        for handle in 0..STREAMS {
            if connections.is_empty() || !shared {
                let (writing, reading) = connection(Wire::SmallTcp);
                connections.push((link(&event_loop, writing, kind.clone()), reading));
            }
            let (source, writer) = pipe(65536);
            let mut options = stream_options(source, handle, bulk, &codes);
            if tapped {
                options.tap = Some(std::rc::Rc::new(|_| {}));
            }
            streams.push((
                connections.last().unwrap().0.start(options).unwrap(),
                writer,
            ));
        }
        (streams, connections)
    };
    let feed = |(streams, _): &(Vec<(_, OwnedFd)>, _)| {
        let filled = |filled, (_, writer): &(_, OwnedFd)| fill(writer) || filled;
        streams.iter().fold(false, filled)
    };
    check(name, &event_loop, bound, make, feed);
    assert_eq!(codes.get(), []);
}

/// Sinks whose services do not read.
fn stalled_sinks(bound: usize) {
    let event_loop = EventLoop::new().unwrap();
    let make = || -> Vec<(Sink, OwnedFd)> {
        (0..STREAMS)
            .map(|_| {
                let (reading, writing) = pipe(65536);
                let options = SinkOptions {
                    descriptor: Descriptor::from(writing),
                    high_water: HIGH,
                    low_water: 0,
                    on_resume: None,
                    on_end: None,
                };
                (Sink::new(&event_loop, options).unwrap(), reading)
            })
            .collect()
    };
    let feed = |sinks: &Vec<(Sink, OwnedFd)>| {
        let mut pushed = false;
        for (sink, _) in sinks {
            // A host pushes until it is asked for a pause.
            while sink.queued_bytes() <= HIGH {
                sink.push(&BYTES).unwrap();
                pushed = true;
            }
        }
        pushed
    };
    check("sinks", &event_loop, bound, make, feed);
}

#[test]
fn stalled_streams_hold_no_more_than_a_frame_each() {
    let streams = STREAMS as usize;
    let raw = |frame: usize| streams * (frame + BOOKKEEPING);
    stalled_streams("raw, spliced", false, true, false, raw(0));
    stalled_streams("raw, copied", false, true, true, raw(2 * SMALL_FRAME));
    stalled_streams("raw, small", false, false, false, raw(SMALL_FRAME));
    stalled_streams("raw, tapped", false, false, true, raw(SMALL_FRAME));
    // All streams of a link have one frame in flight.
    let framed = |frame: usize| frame + streams * BOOKKEEPING;
    stalled_streams(
        "framed, spliced",
        true,
        true,
        false,
        framed(2 * SMALL_FRAME),
    );
    stalled_streams("framed, small", true, false, false, framed(SMALL_FRAME));
    stalled_sinks(streams * (HIGH + 2 * PIECE + BOOKKEEPING));
}
