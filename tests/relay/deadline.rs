//! A closing link whose peer takes nothing more is given up; one whose peer is slow is not.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use crate::support::relay::*;
use amrelay::event::{EventKind, EventLoop};
use amrelay::relay::{Callbacks, Link, LinkKind, LinkOptions, Stream, Taken};

/// Short, for tests that wait for it.
const TIMEOUT: Duration = Duration::from_millis(50);

/// Connections that take less than what is sent here.
const SMALL_WIRES: [Wire; 3] = [Wire::SmallTcp, Wire::SocketPair, Wire::Pipe(4096)];

/// More than any of them takes.
const LENGTH: usize = 4_000_000;

/// The pipes of streams, as large as bulk ones become.
const PIPE: usize = 1 << 20;

/// What the host of a link is told.
#[derive(Default)]
struct Told {
    errors: Codes,
    closed: Count,
}

impl Told {
    fn link(&self, event_loop: &EventLoop, fd: OwnedFd, kind: LinkKind) -> Link {
        let options = LinkOptions {
            close_timeout: Some(TIMEOUT),
            on_error: Some(self.errors.on_error()),
            on_closed: Some(self.closed.callback()),
            ..link_options(fd, kind)
        };
        Link::new(event_loop, options).unwrap()
    }

    /// The loop comes to an end although nobody reads, and the connection is closed.
    fn expect_given_up(&self, event_loop: &EventLoop, reading: OwnedFd) {
        event_loop.turns(false).unwrap();
        assert_eq!(self.errors.get(), [-libc::ETIMEDOUT]);
        assert_eq!(self.closed.get(), 1);
        let mut arrived = Vec::new();
        File::from(reading).read_to_end(&mut arrived).unwrap();
        assert!(!arrived.is_empty() && arrived.len() < LENGTH);
    }
}

#[test]
fn control_frames_that_nobody_reads_are_given_up() {
    let _watchdog = Watchdog::new();
    for wire in SMALL_WIRES {
        let (event_loop, told) = (EventLoop::new().unwrap(), Told::default());
        let (writing, reading) = connection(wire);
        let link = told.link(&event_loop, writing, LinkKind::Framed);
        link.send(1, &data(1, LENGTH)).unwrap();
        link.close();
        told.expect_given_up(&event_loop, reading);
    }
}

/// Turns the loop until the stream stands still: its connection is full, and so is its pipe.
fn fill(event_loop: &EventLoop, stream: &Stream, source: &OwnedFd) {
    let state = || {
        let waiting = rustix::io::ioctl_fionread(source).unwrap();
        (waiting, stream.stats().bytes)
    };
    loop {
        let before = state();
        settle(event_loop);
        if before.0 == PIPE as u64 && state() == before {
            return;
        }
    }
}

#[test]
fn a_frame_under_way_that_nobody_reads_is_given_up() {
    let _watchdog = Watchdog::new();
    // A socket may take a little more after it was full.
    for wire in [Wire::Pipe(65536), Wire::Pipe(4096)] {
        for kind in [LinkKind::Framed, LinkKind::Raw] {
            for bulk in [false, true] {
                let (event_loop, told) = (EventLoop::new().unwrap(), Told::default());
                let (writing, reading) = connection(wire);
                let link = told.link(&event_loop, writing, kind.clone());
                let (source, end) = pipe(PIPE);
                let writer = write_in_thread(end, data(5, LENGTH));
                let codes = Codes::default();
                let held = source.try_clone().unwrap();
                let stream = start(&link, source, 5, bulk, &codes);
                fill(&event_loop, &stream, &held);
                drop(held);
                link.close();
                assert_eq!(codes.get(), [-libc::ECANCELED]);
                drop(stream);
                writer.join().unwrap().unwrap_err();
                told.expect_given_up(&event_loop, reading);
            }
        }
    }
}

#[test]
fn a_write_function_that_takes_no_more_is_given_up() {
    let _watchdog = Watchdog::new();
    for answer in [Taken::WantWrite, Taken::WantRead] {
        let (event_loop, told) = (EventLoop::new().unwrap(), Told::default());
        let (writing, peer) = connection(Wire::SocketPair);
        let calls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&calls);
        let write = move |_: &[u8]| {
            counted.set(counted.get() + 1);
            Ok(if counted.get() == 1 {
                Taken::Bytes(1)
            } else {
                answer
            })
        };
        let kind = LinkKind::Callback(Callbacks {
            write: Rc::new(write),
            seal: None,
        });
        let link = told.link(&event_loop, writing, kind);
        link.send(1, b"refused").unwrap();
        // What the peer says is no progress.
        rustix::io::write(&peer, b"noise").unwrap();
        link.close();
        event_loop.turns(false).unwrap();
        assert_eq!(told.errors.get(), [-libc::ETIMEDOUT]);
        assert_eq!(told.closed.get(), 1);
        assert!(calls.get() > 1);
    }
}

/// Sends frames to a peer that takes 4 KiB at a time, each well in time, and stops after `reads` of them. What arrived.
fn send_to_slow_peer(told: &Told, length: usize, reads: usize) -> Receiver {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::Pipe(4096));
    let link = told.link(&event_loop, writing, LinkKind::Framed);
    link.send(1, &data(1, length)).unwrap();
    link.close();
    let receiver = Rc::<RefCell<Receiver>>::default();
    let tick = {
        let (event_loop, receiver) = (event_loop.clone(), Rc::clone(&receiver));
        let (reading, left) = (reading.try_clone().unwrap(), Cell::new(reads));
        move || {
            if left.get() > 0 {
                left.set(left.get() - 1);
                receiver.borrow_mut().drain(&reading);
                // Whatever held this thread up, the link goes on before its time is looked at.
                event_loop.turns(true).unwrap();
            }
        }
    };
    let tick = event_loop.create(EventKind::Timer(TIMEOUT / 5), Rc::new(tick));
    event_loop.activate(tick).unwrap();
    turn_until(&event_loop, || told.closed.get() > 0);
    event_loop.release(tick);
    receiver.borrow_mut().drain(&reading);
    receiver.take()
}

#[test]
fn a_slow_peer_gets_everything() {
    let _watchdog = Watchdog::new();
    let told = Told::default();
    // Takes several times the timeout.
    let receiver = send_to_slow_peer(&told, 100_000, usize::MAX);
    assert_eq!((told.errors.get(), told.closed.get()), (vec![], 1));
    assert!(receiver.frames == [(1, data(1, 100_000))]);
}

#[test]
fn a_slow_peer_that_stops_is_given_up() {
    let _watchdog = Watchdog::new();
    let told = Told::default();
    let receiver = send_to_slow_peer(&told, 100_000, 10);
    assert_eq!(
        (told.errors.get(), told.closed.get()),
        (vec![-libc::ETIMEDOUT], 1)
    );
    let arrived = payloads(&receiver.frames);
    assert!(arrived.len() > 9 * 4096 && arrived.len() < 100_000);
    assert!(arrived == data(1, 100_000)[..arrived.len()]);
}

#[test]
fn a_link_that_is_not_closed_waits_for_its_peer() {
    let _watchdog = Watchdog::new();
    let (event_loop, told) = (EventLoop::new().unwrap(), Told::default());
    let (writing, reading) = connection(Wire::SocketPair);
    let link = told.link(&event_loop, writing, LinkKind::Framed);
    link.send(1, &data(1, LENGTH)).unwrap();
    let pause = event_loop.create(EventKind::Timer(3 * TIMEOUT), Rc::new(|| {}));
    event_loop.activate(pause).unwrap();
    event_loop.wait(pause).unwrap();
    event_loop.release(pause);
    let receiver = read_in_thread(reading, 1 << 16);
    event_loop.turns(false).unwrap();
    link.close();
    assert_eq!((told.errors.get(), told.closed.get()), (vec![], 1));
    assert!(frames_of(&receiver.join().unwrap()) == [(1, data(1, LENGTH))]);
}
