//! One turn of the loop: wait, then call back.

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use super::registry::Registry;
use super::{Activation, EventId, EventLoop};

impl EventLoop {
    /// Waits for the next thing to happen (or only looks, without `block`) and fires what is ready: descriptors, then
    /// deferred events, then timers.
    ///
    /// A callback may make a turn of its own. What is left of this one is then void, as with `GLib`, since the inner
    /// turn has seen a later state of the descriptors.
    pub(super) fn turn(&self, block: bool) -> io::Result<()> {
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
            registry.registrations.poll(deadline, &mut ready)?;
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
    pub(super) fn fire(&self, id: EventId, activation: Activation) -> bool {
        let Some(callback) = self.0.registry.borrow_mut().begin(id, activation) else {
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
        self.registry.borrow_mut().end(self.id);
    }
}
