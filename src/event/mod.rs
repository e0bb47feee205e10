//! The event loop: readiness of descriptors, timers, wait events and deferred work, in one thread.
//!
//! Its semantics are those Amanda's `common-src/event.h` promises and its callers have come to rely on, so that it can
//! stand under that interface in place of `GLib`. A callback may do anything with the loop: create, activate and
//! release events, its own included, fire wait events, and turn the loop itself. No state is borrowed while one runs.
//!
//! `turn` makes one turn, `registry` knows the events, `registration` and `timers` what they wait for.
#![forbid(unsafe_code)]

mod registration;
mod registry;
mod timers;
mod turn;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use registry::Registry;

/// The how-manieth activation in its loop made an event active: its place in the order of callbacks.
type Activation = u64;

/// Names an event of a loop, from [`EventLoop::create`] to [`EventLoop::release`]. Numbers are not used again (where
/// a pointer has 32 bits: not before 2³² events were created).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(NonZeroUsize);

impl EventId {
    /// The event's number, for callers who keep it as an integer.
    #[must_use]
    pub fn get(self) -> NonZeroUsize {
        self.0
    }
}

impl From<NonZeroUsize> for EventId {
    /// Takes a number that [`EventId::get`] gave. Any other names no event, which every call tolerates.
    fn from(number: NonZeroUsize) -> Self {
        Self(number)
    }
}

/// What an event waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Bytes to read, end of file, hang-up or an error on this descriptor, which stays the caller's.
    Read(RawFd),
    /// Room to write, hang-up or an error on this descriptor, which stays the caller's.
    Write(RawFd),
    /// This much time since the activation, and again since each firing.
    Timer(Duration),
    /// A call of [`EventLoop::wakeup`] with this number.
    Wait(i64),
    /// The end of the current turn's descriptors, or the next one's: once per activation, before timers. An active one
    /// keeps the loop from blocking.
    Deferred,
}

/// An event loop. Clones are the same loop; it stays in the thread that made it.
///
/// Events fire in the order of their activation, those on descriptors first, then deferred ones, then timers.
/// An event released or deactivated by an earlier callback of the same turn does not fire. A callback that captures
/// the loop keeps it in memory until its event is released.
#[derive(Clone)]
pub struct EventLoop(Rc<Inner>);

struct Inner {
    registry: RefCell<Registry>,
    turns: Cell<u64>,
    quit: Cell<bool>,
    /// Set for good by [`EventLoop::release_all`].
    given_up: Cell<bool>,
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("turns", &self.0.turns.get())
            .finish_non_exhaustive()
    }
}

impl EventLoop {
    /// Makes a loop without events. It owns a few descriptors of its own (epoll, eventfd, timerfd), close-on-exec.
    ///
    /// # Errors
    /// Those of `epoll_create1(2)` and its like, mostly EMFILE.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Rc::new(Inner {
            registry: RefCell::new(Registry::new()?),
            turns: Cell::new(0),
            quit: Cell::new(false),
            given_up: Cell::new(false),
        })))
    }

    /// Makes an event, not active yet. The loop keeps `callback` until [`EventLoop::release`].
    pub fn create(&self, kind: EventKind, callback: Rc<dyn Fn()>) -> EventId {
        self.0.registry.borrow_mut().create(kind, callback)
    }

    /// Makes an event able to fire. An active one stays as it is.
    ///
    /// A descriptor is watched as the file it names at this moment. If the host closes it and opens another file under
    /// its number, events activated before need not see that file until some event is activated on the number again.
    ///
    /// # Errors
    /// `NotFound` if the event has been released; EBADF if its descriptor is not open. The event is not active then.
    pub fn activate(&self, id: EventId) -> io::Result<()> {
        self.0.registry.borrow_mut().activate(id)
    }

    /// Makes an event unable to fire; it neither keeps the loop going nor is its descriptor watched. It can be
    /// activated again. Nothing happens if it is not active or has been released.
    pub fn deactivate(&self, id: EventId) {
        self.0.registry.borrow_mut().deactivate(id);
    }

    /// Ends an event for good and drops its callback (if that is running: when it returns). False if the event has been
    /// released before. The descriptor may have been closed already.
    #[expect(clippy::must_use_candidate, reason = "releasing is the point")]
    pub fn release(&self, id: EventId) -> bool {
        let callback = self.0.registry.borrow_mut().release(id);
        callback.is_some()
    }

    /// Releases every event, those of links and sinks among them, which stand still and are silent from then on: for a
    /// host that gives the loop up. What only their callbacks kept alive, such as a closed link with something left to
    /// write, goes too.
    pub fn release_all(&self) {
        self.0.given_up.set(true);
        let ids = self.0.registry.borrow().ids();
        for id in ids {
            self.release(id);
        }
    }

    /// True after [`EventLoop::release_all`]. Asked by whoever has further callbacks to make: the one before may have
    /// given the loop up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.0.given_up.get()
    }

    /// Fires the active wait events of `wait_id`, before it returns, and says how many fired. Those that the callbacks
    /// activate are not among them.
    #[expect(clippy::must_use_candidate, reason = "firing is the point")]
    pub fn wakeup(&self, wait_id: i64) -> usize {
        let waiting = self.0.registry.borrow().waiting_for(wait_id);
        waiting
            .into_iter()
            .filter(|&(activation, id)| self.fire(id, activation))
            .count()
    }

    /// Turns the loop until the event has fired or has been released (a wait event: until it has been released), or no
    /// event but wait events is active.
    ///
    /// # Errors
    /// `NotFound` if the event has been released before; those of [`EventLoop::turns`].
    pub fn wait(&self, id: EventId) -> io::Result<()> {
        let done = self.0.registry.borrow_mut().waiter(id)?;
        while !done.get() && self.has_live() {
            self.turn(true)?;
        }
        Ok(())
    }

    /// Turns the loop until no event but wait events is active; with `nonblock`, at most once and without blocking.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)`. Nothing is lost then: the next call waits with a new poller. A poller that has to be
    /// replaced and cannot be, for want of descriptors or memory, is no error: the loop waits with poll(2) meanwhile,
    /// and tries again in each turn.
    pub fn turns(&self, nonblock: bool) -> io::Result<()> {
        while self.has_live() {
            self.turn(!nonblock)?;
            if nonblock {
                break;
            }
        }
        Ok(())
    }

    /// Turns the loop until [`EventLoop::quit`], waiting even when no event is active. A `quit` from before the call
    /// does not count.
    ///
    /// # Errors
    /// Those of [`EventLoop::turns`].
    pub fn run(&self) -> io::Result<()> {
        self.0.quit.set(false);
        while !self.0.quit.get() {
            self.turn(true)?;
        }
        Ok(())
    }

    /// Makes every [`EventLoop::run`] on the stack return at the end of its turn.
    pub fn quit(&self) {
        self.0.quit.set(true);
    }

    /// How many turns the loop has made: for statistics, and to tell waiting from spinning.
    #[must_use]
    pub fn turn_count(&self) -> u64 {
        self.0.turns.get()
    }

    fn has_live(&self) -> bool {
        self.0.registry.borrow().has_live()
    }
}
