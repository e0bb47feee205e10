//! A stream: a local descriptor that is read into a link.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};

use super::callback::{CodeCallback, TapCallback};
use super::error::Result;
use super::frame_size::FrameSize;
use super::link::{self, LinkKind};
use super::schedule::Key;
use super::source::{Loaded, Source};
use crate::event::{EventId, EventKind, EventLoop};
use crate::stats::{Meter, Stats, Wait};
use crate::sys::Descriptor;

/// How the bytes of a stream get to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read and written through a buffer.
    Copy,
    /// Spliced: at least once the bytes did not pass through user space.
    Splice,
}

/// What [`super::Link::start`] needs to know.
pub struct StreamOptions {
    /// Where the bytes come from; put in non-blocking mode and left so. If it is owned, it is closed when the stream
    /// ends, before `on_end`.
    pub descriptor: Descriptor,
    /// The number of the stream in its frames; of no meaning on a raw link.
    pub handle: u32,
    /// It carries data by the gigabyte: large frames, an enlarged pipe, splicing where possible, and no precedence.
    pub bulk: bool,
    /// Is shown the stream's bytes, in order, after the connection has taken them. Keeps the stream from being spliced.
    pub tap: Option<TapCallback>,
    /// Called once: with 0 when all bytes, and on a framed link the frame that ends the stream, have been taken; with a
    /// negative errno when the connection failed or the source could not be read (that end is not marked to the
    /// receiver); with `-ECANCELED` when the link was closed.
    pub on_end: Option<CodeCallback>,
}

/// A stream of a link. Dropping it stops it: a frame that was begun is completed, nothing more is read, and its
/// callbacks are not called any more. It may outlive its link.
#[derive(Debug)]
pub struct Stream {
    core: Rc<Core>,
}

impl Stream {
    /// Reads nothing more before [`Stream::resume`], so that the writer is held back by its full pipe. A frame that was
    /// begun is completed. Nothing happens to a stream that has ended.
    pub fn pause(&self) {
        self.core.pause();
    }

    /// Goes on after [`Stream::pause`]. Nothing happens to a stream that was not paused, or has ended.
    ///
    /// # Errors
    /// EBADF when the descriptor is not open any more; the stream stays paused then.
    pub fn resume(&self) -> Result<()> {
        Ok(self.core.resume()?)
    }

    /// How much was taken by the connection in whole frames, and what the stream waited for.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.meter.borrow().stats()
    }

    /// How the bytes have been moved so far.
    #[must_use]
    pub fn method(&self) -> Method {
        self.core.method.get()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let (Some(link), true) = (self.core.link.upgrade(), self.core.is_running()) {
            link.detach(self.core.key);
        }
        self.core.abandon();
    }
}

/// What the link knows of a stream; it outlives the host's handle only while the link moves its bytes.
pub(super) struct Core {
    event_loop: EventLoop,
    link: Weak<link::Core>,
    key: Key,
    handle: u32,
    event: EventId,
    /// None once the stream has ended.
    source: RefCell<Option<Source>>,
    tap: RefCell<Option<TapCallback>>,
    on_end: RefCell<Option<CodeCallback>>,
    meter: RefCell<Meter>,
    method: Cell<Method>,
    /// The host has stopped the reading: the event is not active, and the schedule takes the stream for idle.
    paused: Cell<bool>,
}

impl fmt::Debug for Core {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stream")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// Starts a stream on an open link.
pub(super) fn start(link: &Rc<link::Core>, options: StreamOptions) -> Result<Stream> {
    let fd = options.descriptor.as_raw_fd();
    // A connection that has refused a splice before gains nothing from a larger pipe.
    let may_splice = link.state.borrow().splices
        && !matches!(link.kind, LinkKind::Callback(_))
        && options.tap.is_none();
    let source = Source::new(options.descriptor, options.bulk, may_splice, link.pipe_size)?;
    let key = link.reserve(options.handle, options.bulk)?;
    let core = Rc::new_cyclic(|weak: &Weak<Core>| {
        let weak = Weak::clone(weak);
        let on_readable = move || {
            if let Some(core) = weak.upgrade() {
                core.on_readable();
            }
        };
        Core {
            event_loop: link.event_loop.clone(),
            link: Rc::downgrade(link),
            key,
            handle: options.handle,
            event: link
                .event_loop
                .create(EventKind::Read(fd), Rc::new(on_readable)),
            source: RefCell::new(Some(source)),
            tap: RefCell::new(options.tap),
            on_end: RefCell::new(options.on_end),
            meter: RefCell::new(Meter::start()),
            method: Cell::new(Method::Copy),
            paused: Cell::new(false),
        }
    });
    link.state.borrow_mut().streams[key] = Some(Rc::clone(&core));
    core.meter.borrow_mut().wait_for(Wait::Writer);
    let stream = Stream { core };
    // Dropping the stream on failure takes it off the link again.
    stream.core.watch()?;
    Ok(stream)
}

impl Core {
    pub(super) fn handle(&self) -> u32 {
        self.handle
    }

    fn is_running(&self) -> bool {
        self.source.borrow().is_some()
    }

    fn pause(&self) {
        let Some(link) = self.link.upgrade().filter(|_| self.is_running()) else {
            return;
        };
        self.paused.set(true);
        self.event_loop.deactivate(self.event);
        link.state.borrow_mut().outgoing.schedule.set_idle(self.key);
        self.meter.borrow_mut().resume();
    }

    fn resume(&self) -> io::Result<()> {
        if self.paused.get() && self.is_running() {
            self.watch()?;
            self.paused.set(false);
            self.meter.borrow_mut().wait_for(Wait::Writer);
        }
        Ok(())
    }

    /// Asks to be told when the source has bytes.
    pub(super) fn watch(&self) -> io::Result<()> {
        self.event_loop.activate(self.event)
    }

    /// The source has bytes or has ended. A stream that is known to be ready is watched no more, so that a link that is
    /// full does not keep the loop turning; and not before, so that one that flows costs no system call for it.
    fn on_readable(&self) {
        let Some(link) = self.link.upgrade() else {
            return self.event_loop.deactivate(self.event);
        };
        let mut state = link.state.borrow_mut();
        if state.outgoing.schedule.is_ready(self.key) {
            drop(state);
            return self.event_loop.deactivate(self.event);
        }
        state.outgoing.schedule.set_ready(self.key);
        self.held_up();
        let full = state.waiting.is_some();
        drop(state);
        if !full {
            link.defer_pump();
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
            None => Err(io::Error::from_raw_os_error(libc::EIO)),
        }
    }

    /// There are bytes, and they have to wait: for the connection, or for the other streams on it.
    pub(super) fn held_up(&self) {
        self.meter.borrow_mut().wait_for(Wait::Output);
    }

    pub(super) fn count_spliced(&self) {
        self.method.set(Method::Splice);
    }

    /// A frame of `payload` bytes is out; `ready` if there are more.
    pub(super) fn sent(&self, payload: usize, ready: bool) {
        let mut meter = self.meter.borrow_mut();
        meter.passed(payload as u64);
        if self.paused.get() {
            meter.resume();
        } else {
            meter.wait_for(if ready { Wait::Output } else { Wait::Writer });
        }
    }

    /// Shows the bytes of a frame that is out.
    pub(super) fn tap(&self, payload: &[u8]) {
        let tap = self.tap.borrow().clone();
        if let Some(tap) = tap {
            tap(payload);
        }
    }

    /// Ends the stream, which the link has let go, and tells the host.
    pub(super) fn end(&self, code: i32) {
        let on_end = self.on_end.take();
        self.abandon();
        if let Some(on_end) = on_end {
            on_end(code);
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
