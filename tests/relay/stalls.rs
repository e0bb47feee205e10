//! Peers that stop reading, or read a byte now and then, stall what they are sent and nothing else: each kind of
//! stream, each sort of connection.

use crate::support::relay::outbound::{Connection, KINDS, Sharing, all_arrive, start_dump};
use crate::support::relay::*;
use amrelay::event::EventLoop;

const SMALL_WIRES: [Wire; 4] = [
    Wire::SmallTcp,
    Wire::SocketPair,
    Wire::Pipe(65536),
    Wire::Pipe(4096),
];

/// One connection of a dump is read so many bytes at a time, one by one; whenever it was, everything else must arrive:
/// the rest of its own dump first, then further dumps.
fn hold_one(sharing: Sharing, wire: Wire, which: usize, bytes: usize) {
    let event_loop = EventLoop::new().unwrap();
    let mut others = start_dump(&event_loop, sharing, wire);
    let held: Connection = others.swap_remove(which);
    others.extend(start_dump(&event_loop, sharing, wire));
    let mut before = Vec::new();
    for _ in 0..2 {
        all_arrive(&event_loop, others, || held.expect_stalled());
        before.extend(held.read_bytes(&event_loop, bytes));
        others = start_dump(&event_loop, sharing, wire);
    }
    all_arrive(&event_loop, others, || held.expect_stalled());
    held.arrives(&event_loop, &before);
}

/// Holds each stream of each sort of raw connection.
fn hold_each_raw(bytes: usize) {
    let _watchdog = Watchdog::new();
    for wire in SMALL_WIRES {
        for which in 0..KINDS.len() {
            hold_one(Sharing::Raw, wire, which, bytes);
        }
    }
}

#[test]
fn a_peer_that_stops_reading_stalls_its_raw_stream_alone() {
    hold_each_raw(0);
}

#[test]
fn a_peer_that_reads_byte_by_byte_stalls_its_raw_stream_alone() {
    hold_each_raw(5000);
}

#[test]
fn a_peer_that_reads_byte_by_byte_stalls_only_the_streams_of_its_connection() {
    let _watchdog = Watchdog::new();
    for wire in SMALL_WIRES {
        for sharing in [Sharing::Framed, Sharing::Callback] {
            hold_one(sharing, wire, 0, 5000);
        }
    }
}

#[test]
fn a_peer_that_stops_reading_stalls_only_the_connection_that_its_host_writes() {
    let _watchdog = Watchdog::new();
    for wire in SMALL_WIRES {
        hold_one(Sharing::Callback, wire, 0, 0);
    }
}
