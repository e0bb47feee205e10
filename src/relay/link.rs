//! A link: the host's handle of the writing side of one connection.
//!
//! Everything written to the connection goes through its link, since nothing may come between the bytes of a frame.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::callback::{ErrorCallback, Notification};
use super::closing;
use super::connection::{Connection, Events, LinkKind, Phase};
use super::deadline::Deadline;
use super::error::{Error, NOT_FOR_WRITING, Result};
use super::frame::MAX_FRAME;
use super::pump::pump;
use super::source::Source;
use super::stream::{Carrier, Place, Stream, StreamCore, StreamOptions};
use crate::event::EventLoop;
use crate::sys::descriptor::{duplicate, is_for_writing, set_nonblocking};
use crate::sys::errno::errno_of;
use crate::sys::socket;
use crate::sys::{Descriptor, Errno};

/// How many bytes a TCP connection takes that it has not sent yet. With more, a line of a small stream would wait
/// longer, and the bytes would leave the processor's cache before they are sent (docs/performance.md).
const UNSENT: u32 = 128 * 1024;

/// How long a closing link waits for its connection to take a byte unless the host names another time.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

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
    /// Called once when the connection has failed, after the `on_end` of its streams; with `ETIMEDOUT` when that of a
    /// closing link takes nothing more.
    pub on_error: Option<ErrorCallback>,
    /// Called once after [`Link::close`], maybe before that returns: nothing more will be written.
    pub on_closed: Option<Notification>,
}

/// The writing side of one connection. Dropping it ends it at once: what is queued is lost, and neither its callbacks
/// nor those of its streams are called any more. It stays in the thread of its loop.
pub struct Link {
    connection: Rc<Connection>,
    pipe_size: Option<usize>,
    close_timeout: Duration,
}

impl Link {
    /// Makes a link on a connection.
    ///
    /// # Errors
    /// [`Error::System`] when the descriptor is not open; [`Error::Argument`] when it is not for writing, unless the
    /// host writes itself; [`Error::Limit`] for a frame size of 0 or of more than [`MAX_FRAME`].
    pub fn new(event_loop: &EventLoop, options: LinkOptions) -> Result<Self> {
        if options
            .frame_size
            .is_some_and(|size| size == 0 || size > MAX_FRAME)
        {
            return Err(Error::Limit("no receiver takes frames of that size"));
        }
        if !matches!(options.kind, LinkKind::Callback(_)) {
            let fd = options.descriptor.as_fd();
            if !is_for_writing(fd)? {
                return Err(Error::Argument(NOT_FOR_WRITING));
            }
            set_nonblocking(fd)?;
            socket::limit_unsent(fd, UNSENT);
        }
        let connection = Connection::new(
            event_loop,
            options.kind,
            options.descriptor,
            options.frame_size,
            options.on_error,
            options.on_closed,
            pump,
        );
        Ok(Self {
            connection,
            pipe_size: options.pipe_size,
            close_timeout: options.close_timeout.unwrap_or(CLOSE_TIMEOUT),
        })
    }

    /// Queues one whole control frame, a copy of `payload`; an empty one ends the stream of that handle. It goes out
    /// before any further frame of a stream.
    ///
    /// # Errors
    /// [`Error::Limit`] for more than [`MAX_FRAME`] bytes, or if more than 1 MiB would be queued after the first
    /// frame, where each counts 72 bytes more than its payload. [`Error::State`] on a raw link, and while a stream has
    /// that handle. [`Error::System`] when the connection has failed, or there is no memory for the frame (ENOMEM).
    pub fn send(&self, handle: u32, payload: &[u8]) -> Result<()> {
        if !self.connection.is_framed() {
            return Err(Error::State("a raw link has no frames"));
        }
        self.connection.check_open()?;
        let mut state = self.connection.state.borrow_mut();
        state.check_unused(handle)?;
        state.outgoing.queue_control(handle, payload)?;
        let waiting = state.waiting.is_some();
        drop(state);
        if !waiting {
            self.connection.defer_pump();
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
        self.connection.check_open()?;
        self.connection.check_source(options.descriptor.as_fd())?;
        let source = self.source(options.descriptor, options.bulk, options.tap.is_some())?;
        let handle = options.handle;
        let key = self.connection.reserve(handle, options.bulk)?;
        let carrier: Weak<dyn Carrier> = Rc::<Connection>::downgrade(&self.connection);
        let place = Place {
            carrier,
            key,
            handle,
        };
        let event_loop = &self.connection.event_loop;
        let core = StreamCore::new(event_loop, place, source, options.tap, options.on_end);
        self.connection.admit(key, Rc::clone(&core));
        let stream = Stream::new(Rc::clone(&core));
        // Dropping the stream on failure takes it off the link again.
        core.watch()?;
        Ok(stream)
    }

    /// How many bytes the link holds in memory that are not written yet: control frames and the frame in flight.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.connection.state.borrow().outgoing.held()
    }

    /// Ends the link. Its streams end with `ECANCELED`; control frames and the frame in flight are still written in
    /// the background while the loop turns, then `on_closed` is called. The host may close its descriptor at once
    /// unless it is a callback link: a duplicate is written to. If that fails, or the connection takes no byte for
    /// [`LinkOptions::close_timeout`], what is left is lost, and `on_error` is called before `on_closed`.
    ///
    /// A link that is not closed waits for its connection as long as that takes.
    ///
    /// After [`EventLoop::release_all`] it is as if the link was dropped: what is queued is lost, and nobody is told.
    pub fn close(self) {
        let connection = &self.connection;
        if connection.event_loop.is_given_up() {
            // Events made now would never be released, and would keep link and connection for ever. The rest is done
            // when the handle is dropped.
            return;
        }
        let phase = connection.state.borrow().phase;
        if let Phase::Ended(errno) = phase {
            return closing::close_ended(connection, errno);
        }
        if let Err(error) = self.prepare_closing() {
            return closing::fail(connection, errno_of(&error));
        }
        closing::end_streams(connection, Errno::CANCELED);
        if !connection.pumping.get() {
            closing::end_if_written(connection);
        }
    }

    /// Makes the source of a stream. A connection that has refused a splice gains nothing from a larger pipe.
    fn source(&self, descriptor: Descriptor, bulk: bool, has_tap: bool) -> io::Result<Source> {
        let splices = self.connection.state.borrow().splices;
        let may_splice = splices && !self.connection.is_callback() && !has_tap;
        Source::new(descriptor, bulk, may_splice, self.pipe_size)
    }

    /// Takes the streams out of the schedule, and makes the link independent of the host if anything is left to write.
    fn prepare_closing(&self) -> io::Result<()> {
        let mut state = self.connection.state.borrow_mut();
        state.phase = Phase::Closing;
        state.rescue()?;
        state.unschedule_streams();
        // A callback link may be sealing what it sends next.
        if state.outgoing.is_empty() && !self.connection.is_callback() {
            return Ok(());
        }
        drop(state);
        self.become_independent()
            .or_else(|error| self.write_out().ok_or(error))
    }

    /// Writes what the connection takes at once; `None` if something is left. Without a descriptor for a duplicate,
    /// nothing more can be done.
    fn write_out(&self) -> Option<()> {
        let mut state = self.connection.state.borrow_mut();
        loop {
            state.waiting = None;
            let before = state.outgoing.taken();
            drop(state);
            pump(&self.connection);
            state = self.connection.state.borrow_mut();
            if state.phase != Phase::Closing {
                return Some(());
            }
            if state.outgoing.taken() == before {
                return None;
            }
        }
    }

    /// Makes a closing link independent of the host: its events keep it in memory, and its descriptor is a duplicate.
    fn become_independent(&self) -> io::Result<()> {
        let mut state = self.connection.state.borrow_mut();
        let taken = state.outgoing.taken();
        let Some(descriptor) = &mut state.descriptor else {
            return Ok(());
        };
        if !self.connection.is_callback() {
            *descriptor = Descriptor::from(duplicate(descriptor.as_fd())?);
        }
        let fd = descriptor.as_raw_fd();
        drop(state);
        let event_loop = &self.connection.event_loop;
        let connection = Rc::clone(&self.connection);
        let on_due = Rc::new(move || closing::on_deadline(&connection));
        let deadline = Deadline::start(event_loop, self.close_timeout, taken, on_due);
        let connection = Rc::clone(&self.connection);
        let events = Events::create(event_loop, fd, &move || Some(Rc::clone(&connection)), pump);
        self.connection.go_on_with(events, deadline);
        Ok(())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A closing link goes on without its handle. One that has failed may still be telling its streams.
        let closing = self.connection.state.borrow().phase == Phase::Closing;
        if !closing || self.connection.event_loop.is_given_up() {
            closing::abandon(&self.connection);
        }
    }
}
