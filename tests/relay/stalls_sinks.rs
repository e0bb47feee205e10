//! Services that stop reading their pipe, or read a byte now and then, hold back what comes for them on their
//! connection and nothing else; and a connection that is stalled in one direction goes on in the other.

use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use crate::support::relay::inbound::{HIGH, Inbound, READ, send_in_thread};
use crate::support::relay::outbound::{Connection, KINDS, LENGTH, Sharing, all_arrive};
use crate::support::relay::*;
use amrelay::event::EventLoop;

const SOCKETS: [Wire; 2] = [Wire::SmallTcp, Wire::SocketPair];
const SERVICE_PIPES: [usize; 2] = [4096, 65536];
/// The streams of a service: DATA, MESG, INDEX, STATE.
const HANDLES: [u32; 4] = [0, 1, 2, 3];

/// A connection that brings everything to its services.
struct Incoming {
    inbound: Inbound,
    peer: JoinHandle<std::io::Result<()>>,
    handles: Vec<u32>,
}

impl Incoming {
    fn new(event_loop: &EventLoop, wire: Wire, framed: bool, size: usize) -> Self {
        let (writing, reading) = connection(wire);
        Self::over(event_loop, writing, reading, framed, size)
    }

    fn over(
        event_loop: &EventLoop,
        writing: OwnedFd,
        reading: OwnedFd,
        framed: bool,
        size: usize,
    ) -> Self {
        let handles = if framed { &HANDLES[..] } else { &HANDLES[..1] };
        Self {
            inbound: Inbound::new(event_loop, reading, framed, handles, size),
            peer: send_in_thread(writing, framed, handles, LENGTH),
            handles: handles.to_vec(),
        }
    }

    /// All services read; everything must come, while others stand still as `meanwhile` checks.
    fn arrives(mut self, event_loop: &EventLoop, meanwhile: impl Fn()) {
        let reading = self.inbound.serve(None);
        turn_until(event_loop, || {
            meanwhile();
            self.inbound.check_bounds();
            self.inbound.is_done()
        });
        self.peer.join().unwrap().unwrap();
        for (handle, thread) in reading {
            assert!(thread.join().unwrap() == data(handle, LENGTH));
        }
    }
}

/// The service of one stream reads so many bytes, one by one, from time to time; in between, the connections of others
/// must bring everything.
fn hold_one(wire: Wire, framed: bool, size: usize, slow: u32, bytes: usize) {
    let event_loop = EventLoop::new().unwrap();
    let mut held = Incoming::new(&event_loop, wire, framed, size);
    let served = held.inbound.serve(Some(slow));
    let service = held.inbound.services.remove(&slow).unwrap();
    let is_held = |before: &[u8]| {
        assert!(!held.inbound.has_ended(slow));
        held.inbound.check_bounds();
        // What has come for the slow service: read, in its pipe, and in its sink. Of the others as much.
        let come = before.len() + size + HIGH + 2 * READ;
        assert!(held.inbound.taken() <= held.handles.len() * come);
    };
    let mut before = Vec::new();
    for _ in 0..2 {
        Incoming::new(&event_loop, wire, framed, size).arrives(&event_loop, || is_held(&before));
        before.extend((0..bytes).map(|_| read_a_byte(&event_loop, &service)));
        is_held(&before);
    }
    let rest = read_in_thread(service, 1 << 16);
    turn_until(&event_loop, || held.inbound.is_done());
    held.peer.join().unwrap().unwrap();
    before.extend(rest.join().unwrap());
    assert!(before == data(slow, LENGTH));
    for (handle, thread) in served {
        assert!(thread.join().unwrap() == data(handle, LENGTH));
    }
}

/// Holds the service of each sort of raw connection, whatever its pipe.
fn hold_each_raw(bytes: usize) {
    let _watchdog = Watchdog::new();
    for wire in SOCKETS {
        for size in SERVICE_PIPES {
            hold_one(wire, false, size, 0, bytes);
        }
    }
}

/// Holds each service of each sort of framed connection.
fn hold_each_framed(size: usize, bytes: usize) {
    let _watchdog = Watchdog::new();
    for wire in SOCKETS {
        for slow in HANDLES {
            hold_one(wire, true, size, slow, bytes);
        }
    }
}

#[test]
fn a_service_that_stops_reading_holds_back_its_raw_connection_alone() {
    hold_each_raw(0);
}

#[test]
fn a_service_that_reads_byte_by_byte_holds_back_its_raw_connection_alone() {
    hold_each_raw(40_000);
}

#[test]
fn a_service_that_stops_reading_holds_back_only_the_streams_of_its_connection() {
    hold_each_framed(4096, 0);
}

#[test]
fn a_service_that_reads_byte_by_byte_holds_back_only_the_streams_of_its_connection() {
    hold_each_framed(65536, 40_000);
}

/// Both sides of a connection as a host has them: one descriptor for both directions, twice.
fn both_directions(wire: Wire) -> ((OwnedFd, OwnedFd), (OwnedFd, OwnedFd)) {
    let (ours, theirs) = connection(wire);
    let (ours_again, theirs_again) = (ours.try_clone().unwrap(), theirs.try_clone().unwrap());
    ((ours, theirs), (theirs_again, ours_again))
}

/// Connections of each sort that are to carry everything in both directions; `check` says which one is read when.
fn in_both_directions(check: impl Fn(&EventLoop, Incoming, Connection)) {
    let _watchdog = Watchdog::new();
    for wire in SOCKETS {
        for sharing in [Sharing::Raw, Sharing::Framed, Sharing::Callback] {
            let event_loop = EventLoop::new().unwrap();
            let (out, (writing, reading)) = both_directions(wire);
            let framed = sharing != Sharing::Raw;
            let kinds = if framed { &KINDS[..] } else { &KINDS[..1] };
            let outgoing = Connection::new(&event_loop, sharing, out, kinds);
            let incoming = Incoming::over(&event_loop, writing, reading, framed, 65536);
            check(&event_loop, incoming, outgoing);
        }
    }
}

#[test]
fn a_connection_whose_peer_reads_nothing_still_brings_everything() {
    in_both_directions(|event_loop, incoming, stalled| {
        incoming.arrives(event_loop, || stalled.expect_stalled());
        stalled.arrives(event_loop, &[]);
    });
}

#[test]
fn a_connection_whose_service_reads_nothing_still_takes_everything() {
    in_both_directions(|event_loop, stalled, outgoing| {
        all_arrive(event_loop, vec![outgoing], || {
            let inbound = &stalled.inbound;
            inbound.check_bounds();
            let mut handles = stalled.handles.iter();
            assert!(!handles.any(|&handle| inbound.has_ended(handle)));
        });
        stalled.arrives(event_loop, || ());
    });
}
