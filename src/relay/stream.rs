//! A stream: a local descriptor that is read into a link.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};

use super::callback::{EndCallback, TapCallback};
use super::frame_size::FrameSize;
use super::schedule::Key;
use super::source::{Loaded, Source};
use crate::event::{EventId, EventKind, EventLoop};
use crate::stats::{Meter, Method, Stats, Wait};
use crate::sys::{Descriptor, Errno};

/// What a stream needs of the connection that carries it.
pub(super) trait Carrier {
    /// The stream has bytes, or has ended. False if that was known already.
    fn ready(&self, key: Key) -> bool;
    /// Takes the stream off the connection. A frame of it that is in flight is completed without it.
    fn detach(&self, key: Key);
}

/// A stream's place on a connection.
pub(super) struct Place {
    pub(super) carrier: Weak<dyn Carrier>,
    pub(super) key: Key,
    /// The number of the stream in its frames.
    pub(super) handle: u32,
}

/// What [`super::Link::start`] needs to know.
pub struct StreamOptions {
    /// Where the bytes come from; put in non-blocking mode and left so. If it is owned, it is closed when the stream
    /// ends, before `on_end`.
    pub descriptor: Descriptor,
    /// The number of the stream in its frames; ignored on a raw link.
    pub handle: u32,
    /// It carries much data: large frames, an enlarged pipe, splicing where possible, and no precedence.
    pub bulk: bool,
    /// Is shown the stream's bytes, in order, after the connection has taken them. Keeps the stream from being spliced.
    pub tap: Option<TapCallback>,
    /// Called once: with `Ok` when all bytes, and on a framed link the frame that ends the stream, have been taken; with an
    /// error when the connection failed or the source could not be read (that end is not marked to the receiver), with
    /// `ECANCELED` when the link was closed.
    pub on_end: Option<EndCallback>,
}

/// A stream of a link. Dropping it abandons it: nothing more is read, and its callbacks are not called any more. A
/// frame that was begun is still completed. It may outlive its link.
#[derive(Debug)]
pub struct Stream {
    core: Rc<StreamCore>,
}

impl Stream {
    /// The handle of a stream that its connection has taken.
    pub(super) fn new(core: Rc<StreamCore>) -> Self {
        Self { core }
    }

    /// How much was taken by the connection in whole frames, how it was moved, and what the stream waited for.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.meter.borrow().stats()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(carrier) = self.core.carrier() {
            carrier.detach(self.core.place.key);
        }
        self.core.abandon();
    }
}

/// What the connection knows of a stream; it outlives the host's handle only while the connection moves its bytes.
pub(super) struct StreamCore {
    event_loop: EventLoop,
    place: Place,
    event: EventId,
    /// None once the stream has ended.
    source: RefCell<Option<Source>>,
    tap: RefCell<Option<TapCallback>>,
    on_end: RefCell<Option<EndCallback>>,
    meter: RefCell<Meter>,
}

impl fmt::Debug for StreamCore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stream")
            .field("handle", &self.place.handle)
            .finish_non_exhaustive()
    }
}

impl StreamCore {
    /// Begins a stream, whose source is not watched yet.
    pub(super) fn new(
        event_loop: &EventLoop,
        place: Place,
        source: Source,
        tap: Option<TapCallback>,
        on_end: Option<EndCallback>,
    ) -> Rc<Self> {
        let mut meter = Meter::start();
        meter.wait_for(Wait::Writer);
        Rc::new_cyclic(|weak: &Weak<Self>| {
            let weak = Weak::clone(weak);
            let on_readable = move || {
                if let Some(stream) = weak.upgrade() {
                    stream.on_readable();
                }
            };
            let kind = EventKind::Read(source.fd().as_raw_fd());
            Self {
                event: event_loop.create(kind, Rc::new(on_readable)),
                event_loop: event_loop.clone(),
                place,
                source: RefCell::new(Some(source)),
                tap: RefCell::new(tap),
                on_end: RefCell::new(on_end),
                meter: RefCell::new(meter),
            }
        })
    }

    pub(super) fn handle(&self) -> u32 {
        self.place.handle
    }

    fn is_running(&self) -> bool {
        self.source.borrow().is_some()
    }

    /// The connection, while both it and the stream last.
    fn carrier(&self) -> Option<Rc<dyn Carrier>> {
        self.place.carrier.upgrade().filter(|_| self.is_running())
    }

    /// Asks to be told when the source has bytes.
    pub(super) fn watch(&self) -> io::Result<()> {
        self.event_loop.activate(self.event)
    }

    /// The source has bytes or has ended. The event is deactivated when it reports a stream that is already known to
    /// be ready. A link that is full then does not keep the loop turning, and a stream that flows costs no system
    /// call.
    fn on_readable(&self) {
        let carrier = self.place.carrier.upgrade();
        if carrier.is_some_and(|carrier| carrier.ready(self.place.key)) {
            self.held_up();
        } else {
            self.event_loop.deactivate(self.event);
        }
    }

    /// Finds the next frame's payload.
    pub(super) fn load(
        &self,
        buffer: &mut Vec<u8>,
        room: usize,
        may_splice: bool,
        size: &FrameSize,
    ) -> Loaded {
        self.meter.borrow_mut().resume();
        let loaded = match &*self.source.borrow() {
            Some(source) => source.load(buffer, room, may_splice, size),
            None => Loaded::End,
        };
        if matches!(loaded, Loaded::Empty) {
            self.meter.borrow_mut().wait_for(Wait::Writer);
        }
        loaded
    }

    pub(super) fn with_source<T>(
        &self,
        action: impl FnOnce(&Source) -> io::Result<T>,
    ) -> io::Result<T> {
        match &*self.source.borrow() {
            Some(source) => action(source),
            None => Err(Errno::IO.into()),
        }
    }

    /// There are bytes, and they have to wait: for the connection, or for the other streams on it.
    pub(super) fn held_up(&self) {
        self.meter.borrow_mut().wait_for(Wait::Output);
    }

    pub(super) fn count_spliced(&self) {
        self.meter.borrow_mut().moved_by(Method::Splice);
    }

    /// A frame of `payload` bytes is out; `ready` if there are more.
    pub(super) fn sent(&self, payload: usize, ready: bool) {
        let mut meter = self.meter.borrow_mut();
        meter.passed(payload as u64);
        meter.wait_for(if ready { Wait::Output } else { Wait::Writer });
    }

    /// Shows the bytes of a frame that is out.
    pub(super) fn tap(&self, payload: &[u8]) {
        let tap = self.tap.borrow().clone();
        if let Some(tap) = tap {
            tap(payload);
        }
    }

    /// Ends the stream, which is detached, and tells the host.
    pub(super) fn end(&self, end: std::result::Result<(), Errno>) {
        let on_end = self.on_end.take();
        self.abandon();
        if let Some(on_end) = on_end {
            on_end(end);
        }
    }

    /// Ends the stream without a word.
    pub(super) fn abandon(&self) {
        self.event_loop.release(self.event);
        self.meter.borrow_mut().end();
        drop(self.source.take());
        drop(self.tap.take());
        drop(self.on_end.take());
    }
}
