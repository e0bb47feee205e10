//! Packets for a peer that never reads take a bounded amount of memory, however small they are. It runs alone,
//! as the allocator counts for the whole process.

use amrelay::event::EventLoop;
use amrelay::relay::frame::HEADER_BYTES;
use amrelay::relay::{Error, LinkKind};

use crate::support::allocation::used;
use crate::support::alone::is_alone;
use crate::support::relay::*;

/// What the allocator takes besides for each packet (malloc(3) of glibc).
const OVERHEAD: usize = 16;

#[test]
fn packets_for_a_peer_that_never_reads_take_bounded_memory() {
    if !is_alone(
        module_path!(),
        "packets_for_a_peer_that_never_reads_take_bounded_memory",
    ) {
        return;
    }
    for length in [0, 1, 100, 10_000] {
        let event_loop = EventLoop::new().unwrap();
        let (writing, reading) = connection(Wire::Pipe(4096));
        let link = link(&event_loop, writing, LinkKind::Framed);
        let packet = data(1, length);
        let before = used();
        let mut queued = 0;
        let refused = loop {
            match link.send(1, &packet) {
                Ok(()) => queued += 1,
                Err(error) => break error,
            }
            // Some of them are taken in between.
            if queued % 1000 == 0 {
                event_loop.turns(true).unwrap();
            }
        };
        assert!(matches!(refused, Error::Limit(_)));
        let memory = used() - before + queued * OVERHEAD;
        assert!(memory < 1_500_000, "{length}: {memory}");
        assert!(link.queued_bytes() >= (1 << 20) * (HEADER_BYTES + length) / (80 + length));
        drop(reading);
    }
}
