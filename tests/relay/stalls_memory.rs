//! What 64 stalled streams hold in memory is bounded, however long they stall and however much waits for them.

use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::support::allocation::used;
use crate::support::alone::is_alone;
use crate::support::relay::*;
use amrelay::event::EventLoop;
use amrelay::relay::{LinkKind, Sink, SinkOptions};
use amrelay::sys::Descriptor;

const STREAMS: u32 = 64;
/// What a stream, its link, its events and the test's own handles take without any byte of data.
const BOOKKEEPING: usize = 4096;
/// The largest frame of a stream that is not bulk; a bulk stream that is copied has twice as much.
const SMALL_FRAME: usize = 32 * 1024;
const HIGH: usize = 100_000;
/// A sink queues its bytes in pieces of this size; the last one may be almost empty, and the first one almost read.
const PIECE: usize = 64 * 1024;

/// What `make` allocates, and what it makes goes on to, does not exceed `bound`; and does not grow while the loop turns
/// and `feed` offers more. `feed` says whether any of it was taken.
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
    let mut held = used() - before;
    // A connection can be full some time after its pipe; what a link takes once for a full one counts as well.
    let settled = (0..20).any(|_| {
        for _ in 0..50 {
            offer();
        }
        let earlier = mem::replace(&mut held, used() - before);
        held <= earlier
    });
    assert!(settled, "{name}: {held} bytes, and still growing");
    assert!(
        held <= bound,
        "{name}: {held} bytes for {STREAMS} streams, more than {bound}"
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

/// How the bytes of a stream move, and in which frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Spliced,
    /// In large frames; a tap keeps them from being spliced.
    Copied,
    Small,
    SmallTapped,
}

/// Streams that nobody reads, all on one framed connection or each on a raw one of its own.
fn stalled_streams(framed: bool, way: Way, bound: usize) {
    let event_loop = EventLoop::new().unwrap();
    let codes = Codes::default();
    let (count, kind) = if framed {
        (1, LinkKind::Framed)
    } else {
        (STREAMS, LinkKind::Raw)
    };
    let make = || {
        let connect = |_| {
            let (writing, reading) = connection(Wire::SmallTcp);
            (link(&event_loop, writing, kind.clone()), reading)
        };
        let connections: Vec<_> = (0..count).map(connect).collect();
        let stream = |handle: u32| {
            let (source, writer) = pipe(65536);
            let bulk = matches!(way, Way::Spliced | Way::Copied);
            let mut options = stream_options(source, handle, bulk, &codes);
            if matches!(way, Way::Copied | Way::SmallTapped) {
                options.tap = Some(Rc::new(|_| {}));
            }
            let (link, _) = &connections[handle as usize % connections.len()];
            (link.start(options).unwrap(), writer)
        };
        let streams: Vec<_> = (0..STREAMS).map(stream).collect();
        (streams, connections)
    };
    let feed = |(streams, _): &(Vec<(_, OwnedFd)>, _)| {
        let filled = streams.iter().filter(|(_, writer)| fill(writer));
        filled.count() > 0
    };
    let name = format!("{way:?}, framed: {framed}");
    check(&name, &event_loop, bound, make, feed);
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
                    high_water: Some(HIGH),
                    low_water: None,
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
    if !is_alone(
        module_path!(),
        "stalled_streams_hold_no_more_than_a_frame_each",
    ) {
        return;
    }
    let streams = STREAMS as usize;
    let raw = |frame: usize| streams * (frame + BOOKKEEPING);
    stalled_streams(false, Way::Spliced, raw(0));
    stalled_streams(false, Way::Copied, raw(2 * SMALL_FRAME));
    stalled_streams(false, Way::Small, raw(SMALL_FRAME));
    stalled_streams(false, Way::SmallTapped, raw(SMALL_FRAME));
    // All streams of a link have one frame in flight.
    let framed = |frame: usize| frame + streams * BOOKKEEPING;
    stalled_streams(true, Way::Spliced, framed(2 * SMALL_FRAME));
    stalled_streams(true, Way::Small, framed(SMALL_FRAME));
    stalled_sinks(streams * (HIGH + 2 * PIECE + BOOKKEEPING));
}
