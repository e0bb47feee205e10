//! A sink: bytes from the network, written to a local pipe that may be slow to take them.
//!
//! Takes the place of the blocking `full_write` in Amanda's `process_writenetfd` (amandad-src/amandad.c).

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};

use super::callback::{EndCallback, Notification};
use super::error::{Error, NOT_FOR_WRITING, Result, out_of_memory};
use super::frame::MAX_FRAME;
use super::queue::Queue;
use crate::event::{EventId, EventKind, EventLoop};
use crate::stats::{Meter, Stats, Wait};
use crate::sys::descriptor::{is_for_writing, set_nonblocking};
use crate::sys::errno::errno_of;
use crate::sys::socket::{self, Nature};
use crate::sys::{Descriptor, Errno};

/// The default high-water mark, in bytes: 64 stalled sinks hold 16 MiB.
pub const HIGH_WATER: usize = 256 * 1024;
/// The default low-water mark, in bytes.
pub const LOW_WATER: usize = 64 * 1024;

/// What [`Sink::new`] needs to know.
pub struct SinkOptions {
    /// Where the bytes go; put in non-blocking mode and left so. If it is owned, it is closed when the sink ends,
    /// before `on_end`.
    pub descriptor: Descriptor,
    /// More queued bytes than this ask for a pause. None: [`HIGH_WATER`].
    pub high_water: Option<usize>,
    /// Once no more than this is queued the pause is over. None: [`LOW_WATER`], or the high-water mark where that is
    /// lower.
    pub low_water: Option<usize>,
    /// Called when a pause that [`Sink::push`] asked for is over. A sink that ends while it is paused calls
    /// [`SinkOptions::on_end`] alone.
    pub on_resume: Option<Notification>,
    /// Called once: with `Ok` after [`Sink::finish`] when all is written, with an error when writing failed (`EPIPE`: the
    /// reader has gone) or memory was short (`ENOMEM`).
    pub on_end: Option<EndCallback>,
}

/// The way from the network to a local descriptor. Dropping it ends it at once: what is queued is lost, and its
/// callbacks are not called any more. It stays in the thread of its loop, and calls back from there only, never from
/// within its own functions.
#[derive(Debug)]
pub struct Sink {
    core: Rc<SinkCore>,
}

impl Sink {
    /// Makes a sink.
    ///
    /// # Errors
    /// [`Error::Argument`] when the low-water mark is above the high one, or the descriptor is not for writing;
    /// [`Error::System`] when it is not open.
    pub fn new(event_loop: &EventLoop, options: SinkOptions) -> Result<Self> {
        let high_water = options.high_water.unwrap_or(HIGH_WATER);
        let low_water = options.low_water.unwrap_or(LOW_WATER.min(high_water));
        if low_water > high_water {
            return Err(Error::Argument(
                "the low-water mark is above the high-water mark",
            ));
        }
        let fd = options.descriptor.as_fd();
        if !is_for_writing(fd)? {
            return Err(Error::Argument(NOT_FOR_WRITING));
        }
        set_nonblocking(fd)?;
        let nature = Nature::of(fd);
        let raw_fd = options.descriptor.as_raw_fd();
        let core = Rc::new_cyclic(|weak: &Weak<SinkCore>| SinkCore {
            event_loop: event_loop.clone(),
            write: event_loop.create(EventKind::Write(raw_fd), callback(weak)),
            report: event_loop.create(EventKind::Deferred, callback(weak)),
            nature,
            high_water,
            low_water,
            on_resume: RefCell::new(options.on_resume),
            on_end: RefCell::new(options.on_end),
            meter: RefCell::new(Meter::start()),
            queued: Cell::new(0),
            state: RefCell::new(State {
                descriptor: Some(options.descriptor),
                queue: Queue::default(),
                paused: false,
                finishing: false,
                failed: None,
            }),
        });
        core.meter.borrow_mut().wait_for(Wait::Writer);
        Ok(Self { core })
    }

    /// Takes the descriptor, which was lent until now: if the sink cannot be made, it stays the caller's.
    pub(crate) fn adopt(&self, descriptor: OwnedFd) {
        self.core.state.borrow_mut().descriptor = Some(descriptor.into());
    }

    /// Writes `bytes` as far as that is possible at once and queues a copy of the rest. True if the sink is past its
    /// high-water mark: nothing more should be pushed until `on_resume`.
    ///
    /// # Errors
    /// [`Error::Limit`] when more than the high-water mark and [`MAX_FRAME`] together would be queued; none of `bytes`
    /// is then. [`Error::State`] after [`Sink::finish`]. [`Error::System`] when writing has failed, now or before, or
    /// there is no memory for the rest (ENOMEM): the sink ends.
    pub fn push(&self, bytes: &[u8]) -> Result<bool> {
        self.core.check_writable()?;
        let queued = self.core.queued.get();
        if queued.saturating_add(bytes.len()) > self.core.high_water.saturating_add(MAX_FRAME) {
            return Err(Error::Limit("the sink's queue is full"));
        }
        let written = if queued == 0 && !bytes.is_empty() {
            self.core.write_at_once(bytes)?
        } else {
            0
        };
        let rest = &bytes[written..];
        if rest.is_empty() {
            return Ok(self.core.state.borrow().paused);
        }
        self.core.queue(rest)
    }

    /// Has what is queued written, then the sink ends: `on_end` is called with `Ok`. If nothing is queued, the descriptor
    /// is dropped before this returns: the reader sees the end even if the loop does not turn for a while.
    ///
    /// # Errors
    /// [`Error::State`] when called before; [`Error::System`] when writing has failed.
    pub fn finish(&self) -> Result<()> {
        self.core.check_writable()?;
        let mut state = self.core.state.borrow_mut();
        state.finishing = true;
        let all_written = state.queue.is_empty();
        let descriptor = state.descriptor.take_if(|_| all_written);
        drop((state, descriptor));
        self.core.report()
    }

    /// How many bytes are held in memory.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.core.queued.get()
    }

    /// How much was written, and what the sink waited for.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.meter.borrow().stats()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.core.abandon();
    }
}

fn callback(weak: &Weak<SinkCore>) -> Notification {
    let weak = Weak::clone(weak);
    Rc::new(move || {
        if let Some(core) = weak.upgrade() {
            core.turn();
        }
    })
}

struct SinkCore {
    event_loop: EventLoop,
    write: EventId,
    /// Calls the host back from the loop, and not from within the host's own call.
    report: EventId,
    nature: Nature,
    high_water: usize,
    low_water: usize,
    on_resume: RefCell<Option<Notification>>,
    on_end: RefCell<Option<EndCallback>>,
    meter: RefCell<Meter>,
    queued: Cell<usize>,
    state: RefCell<State>,
}

struct State {
    /// None once the sink has ended.
    descriptor: Option<Descriptor>,
    queue: Queue,
    paused: bool,
    finishing: bool,
    failed: Option<Errno>,
}

impl fmt::Debug for SinkCore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sink").finish_non_exhaustive()
    }
}

impl State {
    /// Writes what is taken at once; 0 if nothing is.
    fn write(&self, nature: Nature, bytes: &[u8]) -> io::Result<usize> {
        let Some(descriptor) = &self.descriptor else {
            return Ok(0);
        };
        match socket::send(descriptor.as_fd(), nature, bytes, false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }
}

impl SinkCore {
    fn check_writable(&self) -> Result<()> {
        let state = self.state.borrow();
        if let Some(errno) = state.failed {
            Err(io::Error::from(errno).into())
        } else if state.finishing {
            Err(Error::State("the sink is finished"))
        } else {
            Ok(())
        }
    }

    fn write_at_once(&self, bytes: &[u8]) -> Result<usize> {
        let result = self.state.borrow().write(self.nature, bytes);
        match result {
            Ok(count) => {
                self.meter.borrow_mut().passed(count as u64);
                Ok(count)
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail<T>(&self, error: io::Error) -> Result<T> {
        self.state.borrow_mut().failed = Some(errno_of(&error));
        self.report()?;
        Err(error.into())
    }

    fn queue(&self, bytes: &[u8]) -> Result<bool> {
        if let Err(error) = self.event_loop.activate(self.write) {
            return self.fail(error);
        }
        let mut state = self.state.borrow_mut();
        if let Err(error) = state.queue.append(bytes) {
            drop(state);
            return self.fail(out_of_memory(error));
        }
        self.queued.set(self.queued.get() + bytes.len());
        state.paused |= self.queued.get() > self.high_water;
        self.meter.borrow_mut().wait_for(Wait::Output);
        Ok(state.paused)
    }

    fn report(&self) -> Result<()> {
        Ok(self.event_loop.activate(self.report)?)
    }

    /// Writes what the descriptor takes and calls the host back.
    fn turn(&self) {
        if let Err(error) = self.flush() {
            self.state.borrow_mut().failed = Some(errno_of(&error));
        }
        let mut state = self.state.borrow_mut();
        let failed = state.failed;
        let resumed = failed.is_none() && state.paused && self.queued.get() <= self.low_water;
        if resumed {
            state.paused = false;
        }
        let ended = failed.is_some() || (state.finishing && self.queued.get() == 0);
        drop(state);
        if ended {
            return self.end(failed.map_or(Ok(()), Err));
        }
        if resumed {
            let on_resume = self.on_resume.borrow().clone();
            if let Some(on_resume) = on_resume {
                on_resume();
            }
        }
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        while let Some(piece) = state.queue.front() {
            let wanted = piece.len();
            let count = state.write(self.nature, piece)?;
            state.queue.consume(count);
            self.queued.set(self.queued.get() - count);
            self.meter.borrow_mut().passed(count as u64);
            if count < wanted {
                return Ok(());
            }
        }
        drop(state);
        self.meter.borrow_mut().wait_for(Wait::Writer);
        self.event_loop.deactivate(self.write);
        Ok(())
    }

    fn end(&self, end: std::result::Result<(), Errno>) {
        let on_end = self.on_end.take();
        self.abandon();
        if let Some(on_end) = on_end {
            on_end(end);
        }
    }

    /// Ends the sink without a word.
    fn abandon(&self) {
        self.event_loop.release(self.write);
        self.event_loop.release(self.report);
        self.meter.borrow_mut().end();
        self.queued.set(0);
        let mut state = self.state.borrow_mut();
        let descriptor = state.descriptor.take();
        state.queue = Queue::default();
        drop(state);
        drop(descriptor);
        drop(self.on_resume.take());
        drop(self.on_end.take());
    }
}
