//! A link: the writing side of one connection, and what the host does with it.
//!
//! Everything written to the connection goes through its link, since nothing may come between the bytes of a frame.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::callback::{Callbacks, CodeCallback, Notification};
use super::deadline::Deadline;
use super::error::{Error, NOT_FOR_WRITING, Result};
use super::frame::MAX_FRAME;
use super::frame_size::FrameSize;
use super::outgoing::Outgoing;
use super::schedule::Key;
use super::stream::{self, Stream, StreamOptions};
use crate::event::{EventId, EventKind, EventLoop};
use crate::sys::Descriptor;
use crate::sys::descriptor::{is_for_reading, is_for_writing, is_same_pipe};
use crate::sys::pipe;
use crate::sys::socket::{self, Nature};

/// How much a TCP connection takes that it has not sent yet, in bytes. More would only lie there: a small stream's line
/// would wait behind it, and the processor's cache would lose it before it is sent (docs/performance.md).
const UNSENT: u32 = 128 * 1024;

/// How long a closing link waits for its connection to take a byte unless the host names another time.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a connection's byte stream looks like, and who writes it.
#[derive(Clone)]
pub enum LinkKind {
    /// One stream, as it is; nothing but closing the connection marks its end (Amanda's `auth bsd`).
    Raw,
    /// Many streams in frames (bsdtcp, bsdudp, local, ssh, rsh).
    Framed,
    /// Many streams in frames that the host writes (ssl, krb5).
    Callback(Callbacks),
}

/// What [`Link::new`] needs to know.
pub struct LinkOptions {
    /// The connection. It is put in non-blocking mode and left so, and a TCP socket is kept from taking much more than
    /// it can send (`TCP_NOTSENT_LOWAT`); on a callback link it is only waited for, and must stay open until
    /// `on_closed`. If it is owned, it is closed when the link ends, before the host is told.
    pub descriptor: Descriptor,
    /// Its kind.
    pub kind: LinkKind,
    /// The largest payload of a bulk stream's frame, in bytes, at most [`MAX_FRAME`]. None: 256 KiB spliced, 64 KiB
    /// copied. Either gets smaller while the connection drains slowly.
    pub frame_size: Option<usize>,
    /// What the pipes of bulk streams are enlarged to where the system allows it, in bytes. None: 1 MiB.
    pub pipe_size: Option<usize>,
    /// How long a link goes on after [`Link::close`] while its connection takes no byte. None: [`CLOSE_TIMEOUT`].
    pub close_timeout: Option<Duration>,
    /// Called once with a negative errno when the connection has failed, after the `on_end` of its streams; with
    /// `-ETIMEDOUT` when a closing link was given up.
    pub on_error: Option<CodeCallback>,
    /// Called once after [`Link::close`], maybe before that returns: nothing more will be written.
    pub on_closed: Option<Notification>,
}

/// The writing side of one connection. Dropping it ends it at once: what is queued is lost, and neither its callbacks
/// nor those of its streams are called any more. It stays in the thread of its loop.
#[derive(Debug)]
pub struct Link {
    pub(super) core: Rc<Core>,
}

impl Link {
    /// Makes a link on a connection.
    ///
    /// # Errors
    /// [`Error::System`] when the descriptor is not open; [`Error::Argument`] when it is not for writing, unless the host
    /// writes itself; [`Error::Limit`] for a frame size of nothing or of more than [`MAX_FRAME`].
    pub fn new(event_loop: &EventLoop, options: LinkOptions) -> Result<Self> {
        if options
            .frame_size
            .is_some_and(|size| size == 0 || size > MAX_FRAME)
        {
            return Err(Error::Limit("no receiver takes frames of that size"));
        }
        let fd = options.descriptor.as_fd();
        if !matches!(options.kind, LinkKind::Callback(_)) {
            if !is_for_writing(fd)? {
                return Err(Error::Argument(NOT_FOR_WRITING));
            }
            pipe::set_nonblocking(fd, true)?;
            socket::limit_unsent(fd, UNSENT);
        }
        let nature = Nature::of(fd);
        let core = Rc::new_cyclic(|weak: &Weak<Core>| {
            let link = {
                let weak = Weak::clone(weak);
                move || weak.upgrade()
            };
            let events = Events::create(event_loop, options.descriptor.as_raw_fd(), &link);
            Core {
                event_loop: event_loop.clone(),
                kind: options.kind,
                pipe_size: options.pipe_size,
                close_timeout: options.close_timeout.unwrap_or(CLOSE_TIMEOUT),
                pumping: Cell::new(false),
                on_error: RefCell::new(options.on_error),
                on_closed: RefCell::new(options.on_closed),
                state: RefCell::new(State {
                    phase: Phase::Open,
                    descriptor: Some(options.descriptor),
                    nature,
                    splices: true,
                    outgoing: Outgoing::default(),
                    frame_size: FrameSize::new(options.frame_size),
                    begun: Instant::now(),
                    streams: Vec::new(),
                    buffer: Vec::new(),
                    waiting: None,
                    fault: None,
                    deadline: None,
                    events,
                }),
            }
        });
        Ok(Self { core })
    }

    /// Queues one whole control frame, a copy of `payload`; none ends the stream of that handle. It goes out before any
    /// further frame of a stream.
    ///
    /// # Errors
    /// [`Error::Limit`]: more than [`MAX_FRAME`] bytes, or more than 1 MiB would be queued behind the first frame, where
    /// each counts 72 bytes more than its payload. [`Error::State`] on a raw link, and while a stream has that handle: its
    /// bytes and its end are its own. [`Error::System`] when the connection has failed, or there is no memory for the
    /// frame (ENOMEM).
    pub fn send(&self, handle: u32, payload: &[u8]) -> Result<()> {
        if !self.core.is_framed() {
            return Err(Error::State("a raw link has no frames"));
        }
        self.core.check_open()?;
        let mut state = self.core.state.borrow_mut();
        state.check_unused(handle)?;
        state.outgoing.queue_control(handle, payload)?;
        let waiting = state.waiting.is_some();
        drop(state);
        if !waiting {
            self.core.defer_pump();
        }
        Ok(())
    }

    /// Starts to read a descriptor into the link.
    ///
    /// # Errors
    /// [`Error::State`] when a raw link has its stream already, or another stream of the link has the handle and has
    /// neither ended nor been dropped; [`Error::Argument`] when the descriptor is not for reading, or is the other end of
    /// the pipe that the link writes to; [`Error::System`] when the connection has failed, or the descriptor is not open.
    /// Nothing was started then.
    pub fn start(&self, options: StreamOptions) -> Result<Stream> {
        self.core.check_open()?;
        self.core.check_source(options.descriptor.as_fd())?;
        stream::start(&self.core, options)
    }

    /// How many bytes the link holds in memory that are not written yet: control frames and the frame in flight.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.core.state.borrow().outgoing.held()
    }

    /// Ends the link. Its streams end with `-ECANCELED`; control frames and the frame in flight are still written in
    /// the background while the loop turns, then `on_closed` is called. The host may close its descriptor at once
    /// unless it is a callback link: a duplicate is written to. If that fails, or the connection takes no byte for
    /// [`LinkOptions::close_timeout`], what is left is lost, and `on_error` is called before `on_closed`.
    ///
    /// A link that is not closed waits for its connection as long as that takes.
    ///
    /// After [`EventLoop::release_all`] it is as if the link was dropped: what is queued is lost, and nobody is told.
    pub fn close(self) {
        self.core.begin_closing();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A closing link goes on without its handle. One that has failed may still be telling its streams.
        let closing = self.core.state.borrow().phase == Phase::Closing;
        if !closing || self.core.event_loop.is_given_up() {
            drop(self.core.on_error.take());
            drop(self.core.on_closed.take());
            self.core.end(libc::ECANCELED);
            self.core.abandon_streams();
        }
    }
}

/// How far a link is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Streams and control frames are taken.
    Open,
    /// Only what is queued is written.
    Closing,
    /// Nothing is written any more; the errno says why.
    Ended(i32),
}

/// What the connection is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Write,
    Read,
}

/// A link's events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Events {
    pub(super) pump: EventId,
    pub(super) write: EventId,
    pub(super) read: EventId,
}

impl Events {
    /// Makes the events of the link that `link` leads to, none of them active.
    pub(super) fn create<F>(event_loop: &EventLoop, fd: RawFd, link: &F) -> Self
    where
        F: Fn() -> Option<Rc<Core>> + Clone + 'static,
    {
        let create = |kind, action: fn(&Rc<Core>)| {
            let link = link.clone();
            let callback = move || {
                if let Some(core) = link() {
                    action(&core);
                }
            };
            event_loop.create(kind, Rc::new(callback))
        };
        Self {
            pump: create(EventKind::Deferred, Core::pump),
            write: create(EventKind::Write(fd), |core| {
                core.on_ready(Direction::Write);
            }),
            read: create(EventKind::Read(fd), |core| core.on_ready(Direction::Read)),
        }
    }

    /// The event that tells that the connection is ready in this direction.
    pub(super) fn of(self, direction: Direction) -> EventId {
        match direction {
            Direction::Write => self.write,
            Direction::Read => self.read,
        }
    }

    pub(super) fn release(self, event_loop: &EventLoop) {
        event_loop.release(self.pump);
        event_loop.release(self.write);
        event_loop.release(self.read);
    }
}

/// What outlives the host's handle: streams and events reach the link through it.
pub(super) struct Core {
    pub(super) event_loop: EventLoop,
    pub(super) kind: LinkKind,
    pub(super) pipe_size: Option<usize>,
    pub(super) close_timeout: Duration,
    /// The pump is on the stack: a callback of this link is running.
    pub(super) pumping: Cell<bool>,
    pub(super) on_error: RefCell<Option<CodeCallback>>,
    pub(super) on_closed: RefCell<Option<Notification>>,
    pub(super) state: RefCell<State>,
}

pub(super) struct State {
    pub(super) phase: Phase,
    /// None once the link has ended.
    pub(super) descriptor: Option<Descriptor>,
    pub(super) nature: Nature,
    /// Cleared for good once the connection has refused a splice.
    pub(super) splices: bool,
    pub(super) outgoing: Outgoing,
    pub(super) frame_size: FrameSize,
    /// When the frame in flight was begun.
    pub(super) begun: Instant,
    pub(super) streams: Vec<Option<Rc<stream::Core>>>,
    /// Kept from frame to frame while there is something to send.
    pub(super) buffer: Vec<u8>,
    /// The connection is full until this happens.
    pub(super) waiting: Option<Direction>,
    /// The frame in flight cannot be completed, for this reason: found where no callback may be called.
    pub(super) fault: Option<i32>,
    /// Set while the link is closing.
    pub(super) deadline: Option<Deadline>,
    pub(super) events: Events,
}

impl fmt::Debug for Core {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn stream(&self, key: Key) -> Option<Rc<stream::Core>> {
        self.streams.get(key).cloned().flatten()
    }

    /// Two that send with one handle would mix their bytes, or go on behind each other's end.
    fn check_unused(&self, handle: u32) -> Result<()> {
        let mut streams = self.streams.iter().flatten();
        if streams.any(|stream| stream.handle() == handle) {
            return Err(Error::State("a stream of the link has that handle"));
        }
        Ok(())
    }
}

impl Core {
    pub(super) fn is_framed(&self) -> bool {
        !matches!(self.kind, LinkKind::Raw)
    }

    /// Makes room for a stream.
    pub(super) fn reserve(&self, handle: u32, bulk: bool) -> Result<Key> {
        let mut state = self.state.borrow_mut();
        if self.is_framed() {
            state.check_unused(handle)?;
        } else if state.streams.iter().any(Option::is_some) {
            return Err(Error::State("a raw link carries one stream"));
        }
        let key = state.outgoing.schedule.insert(bulk);
        if key >= state.streams.len() {
            state.streams.resize_with(key + 1, || None);
        }
        Ok(key)
    }

    fn check_source(&self, fd: BorrowedFd<'_>) -> Result<()> {
        if !is_for_reading(fd)? {
            return Err(Error::Argument("the descriptor is not open for reading"));
        }
        match &self.state.borrow().descriptor {
            Some(target) if is_same_pipe(fd, target.as_fd())? => Err(Error::Argument(
                "the stream would read what its own link writes",
            )),
            _ => Ok(()),
        }
    }

    fn check_open(&self) -> Result<()> {
        let state = self.state.borrow();
        match (state.fault, state.phase) {
            (Some(code), _) => Err(io::Error::from_raw_os_error(-code).into()),
            (None, Phase::Open) => Ok(()),
            (None, Phase::Closing) => Err(Error::State("the link is closed")),
            (None, Phase::Ended(errno)) => Err(io::Error::from_raw_os_error(errno).into()),
        }
    }

    /// Has the pump run after the descriptors of this turn.
    pub(super) fn defer_pump(&self) {
        let pump = self.state.borrow().events.pump;
        // A deferred event has no descriptor that could fail, and it is released only with the link's end.
        let _ = self.event_loop.activate(pump);
    }
}
