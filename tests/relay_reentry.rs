//! Callbacks do what they like: start, stop, send, close and free, whatever they belong to.

mod relay_support;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use amrelay::event::EventLoop;
use amrelay::relay::{Callbacks, Link, LinkKind, Stream, Taken};
use relay_support::*;

/// What a callback does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    StopStream,
    StopAll,
    CloseLink,
    FreeLink,
    StartStream,
    Send,
    TurnLoop,
}

const DEEDS: [Deed; 7] = [
    Deed::StopStream,
    Deed::StopAll,
    Deed::CloseLink,
    Deed::FreeLink,
    Deed::StartStream,
    Deed::Send,
    Deed::TurnLoop,
];

/// Where a deed is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Tap,
    End,
    Write,
    Seal,
    Error,
}

/// A link and its streams, in the hands of callbacks.
struct World {
    event_loop: EventLoop,
    link: RefCell<Option<Link>>,
    streams: RefCell<Vec<Stream>>,
    deed: RefCell<Option<(Place, Deed)>>,
    ends: Codes,
    closed: Count,
    errors: Codes,
}

impl World {
    fn new(deed: (Place, Deed)) -> Rc<Self> {
        Rc::new(Self {
            event_loop: EventLoop::new().unwrap(),
            link: RefCell::default(),
            streams: RefCell::default(),
            deed: RefCell::new(Some(deed)),
            ends: Codes::default(),
            closed: Count::default(),
            errors: Codes::default(),
        })
    }

    /// Does the deed, the first time its place is reached.
    fn reach(self: &Rc<Self>, here: Place) {
        let deed = match *self.deed.borrow() {
            Some((place, deed)) if place == here => deed,
            _ => return,
        };
        self.deed.take();
        match deed {
            Deed::StopStream => drop(self.streams.borrow_mut().pop()),
            Deed::StopAll => drop(self.streams.take()),
            Deed::CloseLink => {
                let link = self.link.take();
                link.unwrap().close();
            }
            Deed::FreeLink => drop(self.link.take()),
            Deed::StartStream => {
                if let Ok(stream) = self.start(50) {
                    self.streams.borrow_mut().push(stream);
                }
            }
            Deed::Send => {
                let _ = self.link.borrow().as_ref().unwrap().send(99, b"sent");
            }
            Deed::TurnLoop => settle(&self.event_loop),
        }
    }

    fn start(self: &Rc<Self>, handle: u32) -> amrelay::relay::Result<Stream> {
        let mut options = stream_options(
            filled_pipe(1 << 20, &data(handle, 200_000)),
            handle,
            handle % 2 == 0,
            &self.ends,
        );
        let world = Rc::downgrade(self);
        if handle % 4 == 1 {
            let world = world.clone();
            options.tap = Some(Rc::new(move |_: &[u8]| {
                world.upgrade().unwrap().reach(Place::Tap);
            }));
        }
        let told = self.ends.callback();
        options.on_end = Some(Rc::new(move |code| {
            told(code);
            world.upgrade().unwrap().reach(Place::End);
        }));
        self.link.borrow().as_ref().unwrap().start(options)
    }

    /// Makes the link over the connection and starts six streams.
    fn begin(self: &Rc<Self>, kind: LinkKind, writing: OwnedFd) {
        let mut options = link_options(writing, kind);
        options.on_closed = Some(self.closed.callback());
        let (world, told) = (Rc::downgrade(self), self.errors.callback());
        options.on_error = Some(Rc::new(move |code| {
            told(code);
            world.upgrade().unwrap().reach(Place::Error);
        }));
        *self.link.borrow_mut() = Some(Link::new(&self.event_loop, options).unwrap());
        for handle in 0..6 {
            let stream = self.start(handle).unwrap();
            self.streams.borrow_mut().push(stream);
        }
    }

    /// Turns the loop until all has been done that will be. The deed must have been.
    fn finish(&self) {
        self.event_loop.turns(false).unwrap();
        assert!(self.deed.borrow().is_none(), "the place was reached");
    }

    /// What is left refers to this world.
    fn end(&self) {
        drop(self.link.take());
        self.streams.take();
    }

    /// Carries the streams over a connection that is read; what arrived.
    fn run(self: &Rc<Self>, kind: LinkKind, wire: Wire) -> Vec<u8> {
        let (writing, reading) = connection(wire);
        let receiver = read_in_thread(reading, 1 << 16);
        self.begin(kind, writing);
        self.finish();
        self.end();
        receiver.join().unwrap()
    }
}

/// Every stream's bytes are the start of what it sent, or all of it if it ended, and no frame is cut.
fn check(world: &World, deed: Deed, output: &[u8]) {
    let mut receiver = Receiver::default();
    receiver.push(output);
    assert!(receiver.is_between_frames() || deed == Deed::FreeLink);
    let mut ended = 0;
    for handle in (0..6).chain([50]) {
        let frames = receiver.frames.iter().filter(|frame| frame.0 == handle);
        let bytes = payloads(frames.clone());
        assert!(data(handle, 200_000).starts_with(&bytes), "stream {handle}");
        if frames.clone().any(|frame| frame.1.is_empty()) {
            assert_eq!(bytes.len(), 200_000, "stream {handle}");
            ended += 1;
        }
    }
    let whole = world.ends.get().iter().filter(|code| **code == 0).count();
    match deed {
        Deed::StartStream => assert_eq!((ended, whole), (7, 7)),
        Deed::Send | Deed::TurnLoop => assert_eq!((ended, whole), (6, 6)),
        // The stream that is stopped may have ended before, or have its last frame under way.
        Deed::StopStream => assert!(ended >= 5 && whole >= 5, "{ended} {whole}"),
        Deed::CloseLink => {
            assert_eq!(world.ends.get().len(), 6, "each stream is told");
            assert_eq!(world.closed.get(), 1);
        }
        Deed::StopAll | Deed::FreeLink => {}
    }
    let sent = receiver.frames.contains(&(99, b"sent".to_vec()));
    assert_eq!(sent, deed == Deed::Send);
}

#[test]
fn taps_and_ends_may_do_anything() {
    for place in [Place::Tap, Place::End] {
        for deed in DEEDS {
            for wire in WIRES {
                let world = World::new((place, deed));
                let output = world.run(LinkKind::Framed, wire);
                check(&world, deed, &output);
            }
        }
    }
}

#[test]
fn write_and_seal_callbacks_may_do_anything() {
    for place in [Place::Tap, Place::End, Place::Write, Place::Seal] {
        for deed in DEEDS {
            let world = World::new((place, deed));
            let output = Rc::new(RefCell::new(Vec::new()));
            let (writer, sealer, taken) = (
                Rc::downgrade(&world),
                Rc::downgrade(&world),
                Rc::clone(&output),
            );
            let callbacks = Callbacks {
                write: Rc::new(move |bytes: &[u8]| {
                    let count = bytes.len().div_ceil(2);
                    taken.borrow_mut().extend_from_slice(&bytes[..count]);
                    writer.upgrade().unwrap().reach(Place::Write);
                    Ok(Taken::Bytes(count))
                }),
                seal: Some(Rc::new(move |bytes: &[u8], sealed: &mut Vec<u8>| {
                    sealed.extend_from_slice(bytes);
                    sealer.upgrade().unwrap().reach(Place::Seal);
                    Ok(())
                })),
            };
            world.run(LinkKind::Callback(callbacks), Wire::SocketPair);
            check(&world, deed, &output.borrow());
        }
    }
}

#[test]
fn a_failing_link_may_be_treated_as_the_host_likes() {
    for place in [Place::End, Place::Error] {
        for deed in DEEDS {
            let world = World::new((place, deed));
            let (writing, reading) = connection(Wire::SocketPair);
            drop(reading);
            world.begin(LinkKind::Framed, writing);
            world.finish();
            assert!(world.errors.get().len() <= 1);
            let ends = world.ends.get();
            assert!(ends.iter().all(|code| *code == -libc::EPIPE), "{ends:?}");
            match (place, deed) {
                (Place::End, Deed::StopAll) => assert_eq!(ends.len(), 1),
                (Place::End, Deed::StopStream) => assert_eq!(ends.len(), 5),
                _ => assert_eq!(ends.len(), 6),
            }
            world.end();
        }
    }
}
