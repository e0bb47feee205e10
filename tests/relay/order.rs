//! The order of what is sent: control frames never inside another frame, messages never behind a queue of data, a tap
//! only after its bytes.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::support::relay::*;
use amrelay::event::EventLoop;
use amrelay::relay::frame::MAX_FRAME;
use amrelay::relay::{Error, Link, LinkKind, Stream, TapCallback};

const MESSAGES: u32 = 1;

/// A link full of data: bulk streams that always have more, on a connection that takes no more.
struct Saturated {
    event_loop: EventLoop,
    link: Link,
    reading: OwnedFd,
    receiver: Receiver,
    streams: Vec<Stream>,
    writers: Vec<OwnedFd>,
}

impl Saturated {
    fn new(wire: Wire) -> Self {
        let event_loop = EventLoop::new().unwrap();
        let (writing, reading) = connection(wire);
        let link = link(&event_loop, writing, LinkKind::Framed);
        let mut saturated = Self {
            event_loop,
            link,
            reading,
            receiver: Receiver::default(),
            streams: Vec::new(),
            writers: Vec::new(),
        };
        for handle in 100..108 {
            // Half of them are spliced; a tap keeps the other half from it.
            let (source, writer) = pipe(1 << 20);
            let mut options = stream_options(source, handle, true, &Codes::default());
            if handle % 2 == 0 {
                options.tap = Some(Rc::new(|_| {}));
            }
            let stream = saturated.link.start(options).unwrap();
            saturated.streams.push(stream);
            rustix::io::ioctl_fionbio(&writer, true).unwrap();
            saturated.writers.push(writer);
        }
        saturated.refill();
        saturated
    }

    /// Fills the sources and lets the link run until it is stuck.
    fn refill(&self) {
        let bytes = vec![b'd'; 1 << 16];
        for writer in &self.writers {
            while rustix::io::write(writer, &bytes).is_ok() {}
        }
        settle(&self.event_loop);
    }

    /// Does something while the link is stuck, lets it go on until `count` frames have begun after that, and returns
    /// them. The number says how many of them were in flight before.
    fn frames_after(&mut self, count: usize, action: impl FnOnce(&Link)) -> (Vec<Frame>, usize) {
        self.receiver.drain(&self.reading);
        let begun = self.receiver.frames.len();
        // Between two frames the one in flight has shown nothing of itself yet.
        let in_flight = usize::from(self.receiver.is_between_frames());
        action(&self.link);
        while self.receiver.frames.len() <= begun + in_flight + count {
            self.event_loop.turns(true).unwrap();
            self.receiver.drain(&self.reading);
        }
        let frames = self.receiver.frames[begun..].to_vec();
        self.refill();
        (frames, in_flight)
    }
}

#[test]
fn a_message_waits_for_no_more_than_the_frame_in_flight() {
    for wire in [Wire::SocketPair, Wire::Pipe(65536), Wire::Pipe(4096)] {
        let mut saturated = Saturated::new(wire);
        let (source, writer) = pipe(65536);
        let _messages = start(&saturated.link, source, MESSAGES, false, &Codes::default());
        let mut writer = File::from(writer);
        for round in 0..40 {
            let text = format!("? message {round}\n");
            let (frames, in_flight) = saturated.frames_after(1, |_| {
                writer.write_all(text.as_bytes()).unwrap();
            });
            let place = frames
                .iter()
                .position(|frame| *frame == (MESSAGES, text.clone().into_bytes()));
            assert!(
                place.is_some_and(|place| place <= in_flight),
                "{wire:?}: message {round} came at {place:?}, {in_flight} in flight"
            );
        }
    }
}

#[test]
fn control_frames_go_between_frames_and_before_data() {
    for wire in [Wire::SocketPair, Wire::Pipe(65536), Wire::Pipe(4096)] {
        let mut saturated = Saturated::new(wire);
        for round in 0..20 {
            let (frames, in_flight) = saturated.frames_after(6, |link| {
                for number in 0..5 {
                    link.send(number, &data(number, 1000 * (number as usize + 1)))
                        .unwrap();
                }
                link.send(90, b"").unwrap();
            });
            let controls: Vec<Frame> = frames[in_flight..][..6].to_vec();
            let mut expected: Vec<Frame> = (0..5)
                .map(|number| (number, data(number, 1000 * (number as usize + 1))))
                .collect();
            expected.push((90, Vec::new()));
            assert!(controls == expected, "{wire:?}: round {round}");
        }
    }
}

#[test]
fn the_queue_of_control_frames_is_bounded() {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::SocketPair);
    let link = link(&event_loop, writing, LinkKind::Framed);
    assert!(matches!(
        link.send(1, &vec![0; MAX_FRAME + 1]),
        Err(Error::Limit(_))
    ));
    let large = data(1, MAX_FRAME);
    link.send(1, &large).unwrap();
    assert!(matches!(link.send(2, &large), Err(Error::Limit(_))));
    link.send(3, b"small").unwrap();
    let receiver = read_in_thread(reading, 1 << 16);
    event_loop.turns(false).unwrap();
    assert_eq!(link.queued_bytes(), 0);
    drop(link);
    let frames = frames_of(&receiver.join().unwrap());
    assert!(frames == [(1, large), (3, b"small".to_vec())]);
}

#[test]
fn streams_that_always_have_more_get_equal_shares() {
    let mut saturated = Saturated::new(Wire::SocketPair);
    for _ in 0..100 {
        saturated.receiver.drain(&saturated.reading);
        saturated.refill();
    }
    let sent: Vec<u64> = saturated
        .streams
        .iter()
        .map(|stream| stream.stats().bytes)
        .collect();
    let (most, least) = (sent.iter().max().unwrap(), sent.iter().min().unwrap());
    // A quantum and two of the largest frames.
    assert!(*least > 0 && most - least <= 3 * 256 * 1024, "{sent:?}");
}

/// The end of what amandad looks for in MESG (`process_readnetfd`): the dumper reads DATA only after it.
const END: &[u8] = b"sendbackup: info end\n";

/// The other side of a connection, at which a tap looks too.
struct Peer {
    reading: OwnedFd,
    receiver: RefCell<Receiver>,
}

impl Peer {
    /// All frames that have come so far.
    fn frames(&self) -> Vec<Frame> {
        let mut receiver = self.receiver.borrow_mut();
        receiver.drain(&self.reading);
        receiver.frames.clone()
    }
}

/// A tap that does something at the end of the header, and checks each time that what it is shown is out.
fn header_tap(peer: Rc<Peer>, at_end: impl Fn() + 'static) -> TapCallback {
    let seen = RefCell::new(Vec::new());
    Rc::new(move |bytes: &[u8]| {
        seen.borrow_mut().extend_from_slice(bytes);
        assert_eq!(
            payloads(&peer.frames()),
            *seen.borrow(),
            "the bytes are out before the tap sees them"
        );
        if seen.borrow().ends_with(END) {
            at_end();
        }
    })
}

#[test]
fn data_started_by_a_tap_follows_the_message_it_waited_for() {
    for wire in WIRES {
        let event_loop = EventLoop::new().unwrap();
        let (writing, reading) = connection(wire);
        let link = Rc::new(link(&event_loop, writing, LinkKind::Framed));
        let receiver = RefCell::default();
        let peer = Rc::new(Peer { reading, receiver });
        let codes = Codes::default();
        let bytes = data(2, 300_000);
        let started: Rc<RefCell<Option<Stream>>> = Rc::default();
        let start_data = {
            let source = RefCell::new(Some(filled_pipe(1 << 20, &bytes)));
            let (link, started) = (Rc::downgrade(&link), Rc::clone(&started));
            let codes = codes.clone();
            move || {
                let (link, source) = (link.upgrade().unwrap(), source.take().unwrap());
                *started.borrow_mut() = Some(start(&link, source, 2, true, &codes));
            }
        };
        let (source, message_writer) = pipe(65536);
        let mut options = stream_options(source, MESSAGES, false, &codes);
        options.tap = Some(header_tap(Rc::clone(&peer), start_data));
        let messages = link.start(options).unwrap();
        let mut message_writer = File::from(message_writer);
        message_writer
            .write_all(b"sendbackup: info BACKUP=GNUTAR\nsendbackup: inf")
            .unwrap();
        settle(&event_loop);
        assert!(started.borrow().is_none());
        message_writer.write_all(&END[15..]).unwrap();
        drop(message_writer);
        while codes.get().len() < 2 {
            event_loop.turns(true).unwrap();
            peer.frames();
        }
        let frames = peer.frames();
        let end = frames.iter().position(|frame| frame.0 == 2).unwrap();
        assert!(payloads(&frames[..end]).ends_with(END), "{wire:?}");
        assert!(ended_streams(&frames)[&2] == bytes);
        drop((messages, link));
    }
}
