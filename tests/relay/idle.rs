//! While a connection takes nothing, nothing wakes the loop: neither sources that are full nor those whose writers have
//! gone.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use crate::support::relay::*;
use amrelay::event::{EventKind, EventLoop};
use amrelay::relay::{Link, LinkKind, Stream};

const STREAMS: u32 = 16;

/// Connections that take no more, with sources of every sort behind them.
struct Stalled {
    event_loop: EventLoop,
    _links: Vec<Link>,
    _streams: Vec<Stream>,
    _writers: Vec<OwnedFd>,
    _reading: Vec<OwnedFd>,
}

impl Stalled {
    fn new(wire: Wire, kind: &LinkKind) -> Self {
        let event_loop = EventLoop::new().unwrap();
        let count = if matches!(kind, LinkKind::Raw) {
            STREAMS
        } else {
            1
        };
        let (writing, reading): (Vec<_>, Vec<_>) = (0..count).map(|_| connection(wire)).unzip();
        let links: Vec<Link> = writing
            .into_iter()
            .map(|writing| link(&event_loop, writing, kind.clone()))
            .collect();
        let (mut streams, mut writers) = (Vec::new(), Vec::new());
        for handle in 0..STREAMS {
            let (source, writer) = pipe(65536);
            let mut options = stream_options(source, handle, handle % 4 < 2, &Codes::default());
            if handle % 4 == 0 {
                // Keeps it from being spliced.
                options.tap = Some(Rc::new(|_| {}));
            }
            let link = &links[handle as usize % links.len()];
            streams.push(link.start(options).unwrap());
            rustix::io::ioctl_fionbio(&writer, true).unwrap();
            writers.push(writer);
        }
        fill(&event_loop, &writers);
        // The writers of every third stream go; what they leave is a hang-up behind a full pipe.
        let mut number = 0;
        writers.retain(|_| {
            number += 1;
            number % 3 != 0
        });
        Self {
            event_loop,
            _links: links,
            _streams: streams,
            _writers: writers,
            _reading: reading,
        }
    }

    /// The turns of the loop until a timer fires.
    fn turns(&self) -> u64 {
        let timer = self
            .event_loop
            .create(EventKind::Timer(Duration::from_millis(20)), Rc::new(|| {}));
        self.event_loop.activate(timer).unwrap();
        let turns = self.event_loop.wait(timer).unwrap();
        self.event_loop.release(timer);
        turns
    }
}

/// Writes until the connections and the sources are full.
fn fill(event_loop: &EventLoop, writers: &[OwnedFd]) {
    let bytes = vec![b'd'; 1 << 16];
    let mut moved = true;
    while moved {
        moved = false;
        for writer in writers {
            while rustix::io::write(writer, &bytes).is_ok() {
                moved = true;
            }
        }
        settle(event_loop);
    }
}

#[test]
fn nothing_wakes_the_loop_while_nothing_can_move() {
    for kind in [LinkKind::Framed, LinkKind::Raw] {
        for wire in WIRES {
            let stalled = Stalled::new(wire, &kind);
            // TCP may still move bytes from one of its buffers to the other; nothing goes on doing so.
            let turns: Vec<u64> = (0..100)
                .map(|_| stalled.turns())
                .take_while(|&turns| turns > 1)
                .collect();
            assert!(turns.len() < 100, "{wire:?}: turns without work: {turns:?}");
        }
    }
}
