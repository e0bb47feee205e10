//! The loop: waits for what its events ask for, then calls back.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use super::kind::{Activation, EventId, EventKind};
use super::registry::Registry;

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

    /// Releases every event, for a host that gives up the loop. Links and sinks lose theirs, too: they stand
    /// still and call nobody from then on. What only their callbacks kept alive, such as a closed link with
    /// bytes left to write, is freed.
    pub fn release_all(&self) {
        self.0.given_up.set(true);
        let ids = self.0.registry.borrow().ids();
        for id in ids {
            self.release(id);
        }
    }

    /// True after [`EventLoop::release_all`]. Code that makes several callbacks asks after each one: it may
    /// have given up the loop.
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
    /// event but wait events is active. Returns how many turns that took, without those of callbacks.
    ///
    /// # Errors
    /// `NotFound` if the event has been released before; those of [`EventLoop::turns`].
    pub fn wait(&self, id: EventId) -> io::Result<u64> {
        let done = self.0.registry.borrow_mut().waiter(id)?;
        self.turn_while(|| !done.get() && self.has_live())
    }

    /// Turns the loop until no event but wait events is active; with `nonblock`, at most once and without blocking.
    /// Returns how many turns that took, without those of callbacks.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)`. Nothing is lost then: the next call waits with a new poller. A poller that has to be
    /// replaced and cannot be, for want of descriptors or memory, is no error: the loop waits with poll(2) meanwhile,
    /// and tries again in each turn.
    pub fn turns(&self, nonblock: bool) -> io::Result<u64> {
        if !nonblock {
            return self.turn_while(|| self.has_live());
        }
        let live = self.has_live();
        if live {
            self.turn(false)?;
        }
        Ok(u64::from(live))
    }

    /// Turns the loop until [`EventLoop::quit`], waiting even when no event is active. A `quit` from before the call
    /// does not count. Returns how many turns that took, without those of callbacks.
    ///
    /// # Errors
    /// Those of [`EventLoop::turns`].
    pub fn run(&self) -> io::Result<u64> {
        self.0.quit.set(false);
        self.turn_while(|| !self.0.quit.get())
    }

    /// Makes every [`EventLoop::run`] on the stack return at the end of its turn.
    pub fn quit(&self) {
        self.0.quit.set(true);
    }

    fn turn_while(&self, wanted: impl Fn() -> bool) -> io::Result<u64> {
        let mut turns = 0;
        while wanted() {
            self.turn(true)?;
            turns += 1;
        }
        Ok(turns)
    }

    fn has_live(&self) -> bool {
        self.0.registry.borrow().has_live()
    }

    /// Waits for the next thing to happen (or only looks, without `block`) and fires what is ready: descriptors, then
    /// deferred events, then timers.
    ///
    /// A callback may make a turn of its own. What is left of this one is then void, as with `GLib`, since the inner
    /// turn has seen a later state of the descriptors.
    fn turn(&self, block: bool) -> io::Result<()> {
        let turn = self.0.turns.get().wrapping_add(1);
        self.0.turns.set(turn);
        let mut ready = Vec::new();
        let now = {
            let mut registry = self.0.registry.borrow_mut();
            registry.mask_running();
            let deadline = if block && !registry.has_deferred() {
                registry.timers.next()
            } else {
                Some(Instant::now())
            };
            registry.watch_list.poll(deadline, &mut ready)?;
            Instant::now()
        };
        // A backend may report the two directions of one descriptor apart, in any order.
        ready.sort_unstable();
        ready.dedup();
        if self.fire_all(&ready, turn) {
            let deferred = self.0.registry.borrow().deferred();
            if self.fire_all(&deferred, turn) {
                let due = self.0.registry.borrow().timers.due(now);
                self.fire_all(&due, turn);
            }
        }
        Ok(())
    }

    /// False if a callback made a turn of its own.
    fn fire_all(&self, ready: &[(Activation, EventId)], turn: u64) -> bool {
        ready.iter().all(|&(activation, id)| {
            self.fire(id, activation);
            self.0.turns.get() == turn
        })
    }

    /// Calls the event's callback, with no borrow held, unless the event is not what it was at `activation`. Says
    /// whether it did. No borrow is held either when the callback is dropped here because it released its event.
    fn fire(&self, id: EventId, activation: Activation) -> bool {
        let Some(callback) = self.0.registry.borrow_mut().begin_call(id, activation) else {
            return false;
        };
        let _running = Running {
            registry: &self.0.registry,
            id,
        };
        callback();
        true
    }
}

/// Ends a call of a callback, also when it panics.
struct Running<'a> {
    registry: &'a RefCell<Registry>,
    id: EventId,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.registry.borrow_mut().end_call(self.id);
    }
}
