//! The connection of a link: what is open, what is under way, and what wakes it.
//!
//! `writer`, `closing`, `pump` and `link` work on it; each uses only those before it. The host's callbacks are kept
//! here, and called from there.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::{Rc, Weak};
use std::time::Instant;

use super::callback::{Callbacks, ErrorCallback, Notification};
use super::deadline::Deadline;
use super::error::{Error, Result};
use super::frame_size::FrameSize;
use super::outgoing::{Outgoing, Owner};
use super::schedule::Key;
use super::stream::{Carrier, StreamCore};
use crate::event::{Direction, EventId, EventKind, EventLoop};
use crate::sys::descriptor::{is_for_reading, is_same_pipe};
use crate::sys::errno::errno_of;
use crate::sys::socket::Nature;
use crate::sys::{Descriptor, Errno};

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

/// The state of a connection's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Streams and control frames are taken.
    Open,
    /// Only what is queued is written.
    Closing,
    /// Nothing is written any more; the errno says why.
    Ended(Errno),
}

/// A connection's events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Events {
    pump: EventId,
    write: EventId,
    read: EventId,
}

impl Events {
    /// Makes the events of the connection that `connection` leads to, none of them active. `pump` writes what it takes.
    pub(super) fn create<F>(
        event_loop: &EventLoop,
        fd: RawFd,
        connection: &F,
        pump: fn(&Connection),
    ) -> Self
    where
        F: Fn() -> Option<Rc<Connection>> + Clone + 'static,
    {
        let create = |kind, action: fn(&Connection)| {
            let connection = connection.clone();
            let callback = move || {
                if let Some(connection) = connection() {
                    action(&connection);
                }
            };
            event_loop.create(kind, Rc::new(callback))
        };
        Self {
            pump: create(EventKind::Deferred, pump),
            write: create(EventKind::Write(fd), |connection| {
                connection.on_ready(Direction::Write);
            }),
            read: create(EventKind::Read(fd), |connection| {
                connection.on_ready(Direction::Read);
            }),
        }
    }

    /// The event that tells that the connection is ready in this direction.
    fn of(self, direction: Direction) -> EventId {
        match direction {
            Direction::Write => self.write,
            Direction::Read => self.read,
        }
    }

    fn release(self, event_loop: &EventLoop) {
        event_loop.release(self.pump);
        event_loop.release(self.write);
        event_loop.release(self.read);
    }
}

/// A connection and what is on its way into it. Outlives the host's handle: streams and events lead to it.
pub(super) struct Connection {
    pub(super) event_loop: EventLoop,
    pub(super) kind: LinkKind,
    /// The pump is on the stack: a callback of this link is running.
    pub(super) pumping: Cell<bool>,
    pub(super) on_error: RefCell<Option<ErrorCallback>>,
    pub(super) on_closed: RefCell<Option<Notification>>,
    pub(super) state: RefCell<State>,
}

/// The parts of a connection that change. Never borrowed while the host is called back.
pub(super) struct State {
    pub(super) phase: Phase,
    /// None once the connection has ended.
    pub(super) descriptor: Option<Descriptor>,
    pub(super) nature: Nature,
    /// Cleared for good once the connection has refused a splice.
    pub(super) splices: bool,
    pub(super) outgoing: Outgoing,
    pub(super) frame_size: FrameSize,
    /// When the frame in flight was begun.
    pub(super) begun: Instant,
    /// Kept from frame to frame while there is something to send.
    pub(super) buffer: Vec<u8>,
    /// The connection is full until this happens.
    pub(super) waiting: Option<Direction>,
    /// The frame in flight cannot be completed, for this reason: found where no callback may be called.
    pub(super) fault: Option<Errno>,
    streams: Vec<Option<Rc<StreamCore>>>,
    /// Set while the connection is closing.
    deadline: Option<Deadline>,
    events: Events,
}

impl State {
    fn new(descriptor: Descriptor, frame_size: Option<usize>, events: Events) -> Self {
        Self {
            phase: Phase::Open,
            nature: Nature::of(descriptor.as_fd()),
            descriptor: Some(descriptor),
            splices: true,
            outgoing: Outgoing::default(),
            frame_size: FrameSize::new(frame_size),
            begun: Instant::now(),
            buffer: Vec::new(),
            waiting: None,
            fault: None,
            streams: Vec::new(),
            deadline: None,
            events,
        }
    }

    pub(super) fn stream(&self, key: Key) -> Option<Rc<StreamCore>> {
        self.streams.get(key).cloned().flatten()
    }

    /// The stream whose bytes the frame in flight carries.
    pub(super) fn stream_in_flight(&self) -> Option<Rc<StreamCore>> {
        match self.outgoing.frame.as_ref()?.owner {
            Owner::Stream(key) => self.stream(key),
            Owner::Nobody | Owner::End(_) => None,
        }
    }

    /// Reads what the frame in flight has left in its source's pipe, so that it can be completed without the source.
    pub(super) fn rescue(&mut self) -> io::Result<()> {
        let stream = self.stream_in_flight();
        let Some(frame) = &mut self.outgoing.frame else {
            return Ok(());
        };
        let length = mem::take(&mut frame.in_pipe);
        match stream {
            Some(stream) if length > 0 => {
                stream.with_source(|source| source.rescue(&mut frame.bytes, length))
            }
            _ => Ok(()),
        }
    }

    /// Takes every stream out of the schedule: no further frame of theirs is begun.
    pub(super) fn unschedule_streams(&mut self) {
        for key in 0..self.streams.len() {
            self.outgoing.remove(key);
        }
    }

    /// Two streams with one handle would mix their bytes, or go on after each other's end.
    pub(super) fn check_unused(&self, handle: u32) -> Result<()> {
        let mut streams = self.streams.iter().flatten();
        if streams.any(|stream| stream.handle() == handle) {
            return Err(Error::State("a stream of the link has that handle"));
        }
        Ok(())
    }
}

impl Connection {
    /// Takes charge of an open connection. `pump` is run in its turn whenever there is something to write.
    pub(super) fn new(
        event_loop: &EventLoop,
        kind: LinkKind,
        descriptor: Descriptor,
        frame_size: Option<usize>,
        on_error: Option<ErrorCallback>,
        on_closed: Option<Notification>,
        pump: fn(&Self),
    ) -> Rc<Self> {
        Rc::new_cyclic(|weak: &Weak<Self>| {
            let weak = Weak::clone(weak);
            let fd = descriptor.as_raw_fd();
            let events = Events::create(event_loop, fd, &move || weak.upgrade(), pump);
            Self {
                event_loop: event_loop.clone(),
                kind,
                pumping: Cell::new(false),
                on_error: RefCell::new(on_error),
                on_closed: RefCell::new(on_closed),
                state: RefCell::new(State::new(descriptor, frame_size, events)),
            }
        })
    }

    pub(super) fn is_framed(&self) -> bool {
        !matches!(self.kind, LinkKind::Raw)
    }

    /// The host writes its bytes.
    pub(super) fn is_callback(&self) -> bool {
        matches!(self.kind, LinkKind::Callback(_))
    }

    pub(super) fn check_open(&self) -> Result<()> {
        let state = self.state.borrow();
        match (state.fault, state.phase) {
            (Some(errno), _) | (None, Phase::Ended(errno)) => Err(io::Error::from(errno).into()),
            (None, Phase::Open) => Ok(()),
            (None, Phase::Closing) => Err(Error::State("the link is closed")),
        }
    }

    /// Checks that a stream can be read from `fd`.
    pub(super) fn check_source(&self, fd: BorrowedFd<'_>) -> Result<()> {
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

    /// Puts a stream in the room that [`Connection::reserve`] made.
    pub(super) fn admit(&self, key: Key, stream: Rc<StreamCore>) {
        self.state.borrow_mut().streams[key] = Some(stream);
    }

    /// Takes any one stream off the connection; the schedule may still know it.
    pub(super) fn take_stream(&self) -> Option<Rc<StreamCore>> {
        let mut state = self.state.borrow_mut();
        state.streams.iter_mut().find_map(Option::take)
    }

    /// Has the pump run after the descriptors of this turn.
    pub(super) fn defer_pump(&self) {
        let pump = self.state.borrow().events.pump;
        // A deferred event has no descriptor that could fail, and it is released only with the connection's end.
        let _ = self.event_loop.activate(pump);
    }

    /// The connection takes nothing more before it is ready in this direction.
    pub(super) fn wait_for(&self, direction: Direction) -> io::Result<()> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.waiting = Some(direction);
        if let Some(stream) = state.stream_in_flight() {
            stream.held_up();
        }
        if let Some(deadline) = &mut state.deadline {
            deadline.extend(&self.event_loop, state.outgoing.taken());
        }
        let event = state.events.of(direction);
        drop(guard);
        self.event_loop.activate(event)
    }

    /// The connection is ready; an event that nobody waits for any more is switched off only now, so that a link that
    /// is full again and again costs no system call for it.
    fn on_ready(&self, direction: Direction) {
        let mut state = self.state.borrow_mut();
        let awaited = state.waiting == Some(direction);
        if awaited {
            state.waiting = None;
        }
        let event = state.events.of(direction);
        drop(state);
        if !awaited || direction == Direction::Read {
            self.event_loop.deactivate(event);
        }
        if awaited {
            self.defer_pump();
        }
    }

    /// Goes on with other events and with a deadline. What it waits for must be determined anew.
    pub(super) fn go_on_with(&self, events: Events, deadline: Deadline) {
        let mut state = self.state.borrow_mut();
        let before = mem::replace(&mut state.events, events);
        state.deadline = Some(deadline);
        state.waiting = None;
        drop(state);
        before.release(&self.event_loop);
        self.defer_pump();
    }

    /// Whether a closing connection has taken anything since the last call.
    pub(super) fn has_progressed(&self) -> bool {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let taken = state.outgoing.taken();
        let deadline = state.deadline.as_mut();
        deadline.is_some_and(|deadline| deadline.note_progress(taken))
    }

    /// Takes everything away from the connection except its streams, which the caller ends. Calls nobody.
    pub(super) fn end(&self, errno: Errno) {
        let mut state = self.state.borrow_mut();
        state.phase = Phase::Ended(errno);
        state.fault = None;
        state.waiting = None;
        state.buffer = Vec::new();
        state.outgoing = Outgoing::default();
        let events = state.events;
        let deadline = state.deadline.take();
        let descriptor = state.descriptor.take();
        drop(state);
        events.release(&self.event_loop);
        if let Some(deadline) = deadline {
            deadline.release(&self.event_loop);
        }
        // The host may wait in its callback for what the peer does at the end of the connection.
        drop(descriptor);
    }
}

impl Carrier for Connection {
    fn ready(&self, key: Key) -> bool {
        let mut state = self.state.borrow_mut();
        if state.outgoing.schedule.is_ready(key) {
            return false;
        }
        state.outgoing.schedule.set_ready(key);
        let full = state.waiting.is_some();
        drop(state);
        if !full {
            self.defer_pump();
        }
        true
    }

    fn detach(&self, key: Key) {
        let mut state = self.state.borrow_mut();
        let rescued = if state.outgoing.is_in_flight(key) {
            state.rescue()
        } else {
            Ok(())
        };
        let faulty = rescued.is_err();
        if let Err(error) = rescued {
            state.fault = Some(errno_of(&error));
            state.waiting = None;
        }
        state.outgoing.remove(key);
        let stream = state.streams.get_mut(key).and_then(Option::take);
        drop(state);
        drop(stream);
        if faulty {
            self.defer_pump();
        }
    }
}
