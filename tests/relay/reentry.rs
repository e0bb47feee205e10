//! Callbacks do what they like: start, stop, send, close and free, whatever they belong to.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::support::relay::*;
use amrelay::event::EventLoop;
use amrelay::relay::{Callbacks, Link, LinkKind, Stream, Taken};

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
    GiveUpLoop,
}

const DEEDS: [Deed; 8] = [
    Deed::StopStream,
    Deed::StopAll,
    Deed::CloseLink,
    Deed::FreeLink,
    Deed::StartStream,
    Deed::Send,
    Deed::TurnLoop,
    Deed::GiveUpLoop,
];

/// Where a deed is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Tap,
    End,
    Write,
    Seal,
    Error,
    Closed,
}

/// A link and its streams, in the hands of callbacks.
struct World {
    event_loop: EventLoop,
    link: RefCell<Option<Link>>,
    streams: RefCell<Vec<Stream>>,
    deed: RefCell<Option<(Place, Deed)>>,
    ends: Codes,
    errors: Codes,
    /// How many streams had been told their end when `on_closed` was called, and how many errors the host.
    closed: RefCell<Vec<(usize, usize)>>,
    /// The link has been freed, or its loop given up: nobody is to be called any more.
    silenced: Cell<bool>,
}

impl World {
    fn new(deed: (Place, Deed)) -> Rc<Self> {
        Rc::new(Self {
            event_loop: EventLoop::new().unwrap(),
            link: RefCell::default(),
            streams: RefCell::default(),
            deed: RefCell::new(Some(deed)),
            ends: Codes::default(),
            errors: Codes::default(),
            closed: RefCell::default(),
            silenced: Cell::new(false),
        })
    }

    /// Does the deed, the first time its place is reached.
    fn reach(self: &Rc<Self>, here: Place) {
        assert!(!self.silenced.get(), "{here:?} is called nevertheless");
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
                assert_eq!(self.ends.get().len(), 6, "each stream has been told");
            }
            Deed::FreeLink => {
                drop(self.link.take());
                self.silenced.set(true);
            }
            Deed::GiveUpLoop => {
                self.event_loop.release_all();
                self.silenced.set(true);
            }
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
        let world = Rc::downgrade(self);
        options.on_closed = Some(Rc::new(move || {
            let world = world.upgrade().unwrap();
            world.reach(Place::Closed);
            let told = (world.ends.get().len(), world.errors.get().len());
            world.closed.borrow_mut().push(told);
        }));
        let (world, told) = (Rc::downgrade(self), self.errors.on_error());
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
    let cut_off = matches!(deed, Deed::FreeLink | Deed::GiveUpLoop);
    assert!(receiver.is_between_frames() || cut_off);
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
            assert_eq!(*world.closed.borrow(), [(6, 0)]);
        }
        Deed::StopAll | Deed::FreeLink | Deed::GiveUpLoop => {}
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
            let (ends, errors) = match (place, deed) {
                (Place::End, Deed::FreeLink | Deed::GiveUpLoop) => (1, 0),
                (Place::End, Deed::StopAll) => (1, 1),
                (Place::End, Deed::StopStream) => (5, 1),
                _ => (6, 1),
            };
            let told = |count| vec![-libc::EPIPE; count];
            assert_eq!(world.ends.get(), told(ends), "{place:?} {deed:?}");
            assert_eq!(world.errors.get(), told(errors), "{place:?} {deed:?}");
            let closed: &[_] = if deed == Deed::CloseLink {
                &[(6, 1)]
            } else {
                &[]
            };
            assert_eq!(*world.closed.borrow(), closed, "{place:?}");
            world.end();
        }
    }
}

/// Closes a link whose first `on_end` does this. How many streams were told, and what `on_closed` saw.
fn close(deed: Deed) -> (usize, Vec<(usize, usize)>) {
    let world = World::new((Place::End, deed));
    let (writing, reading) = connection(Wire::SocketPair);
    world.begin(LinkKind::Framed, writing);
    let link = world.link.take();
    link.unwrap().close();
    assert!(
        Receiver::default().drain(&reading),
        "the connection is closed"
    );
    world.finish();
    let ends = world.ends.get();
    assert!(ends.iter().all(|code| *code == -libc::ECANCELED));
    (ends.len(), world.closed.take())
}

#[test]
fn a_closing_link_ends_all_its_streams_before_it_tells() {
    assert_eq!(close(Deed::TurnLoop), (6, vec![(6, 0)]));
    assert_eq!(close(Deed::GiveUpLoop), (1, vec![]));
}
