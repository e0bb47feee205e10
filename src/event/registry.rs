//! The events of a loop: what they are, which are active, and whose callback is running.
//!
//! Nothing here calls a callback or drops one. Both may come back into the loop, so both are left to the caller, who
//! does it when no borrow of this state is held.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Instant;

use super::kind::{Activation, EventId, EventKind};
use super::timers::Timers;
use super::watch_list::WatchList;

struct Event {
    kind: EventKind,
    callback: Rc<dyn Fn()>,
    active: Option<Activation>,
    /// When a timer is due.
    due: Option<Instant>,
    /// How many calls of the callback are on the stack; only a wait event can have more than one.
    running: usize,
    /// Set when the event has done what an `EventLoop::wait` waits for.
    waiters: Vec<Rc<Cell<bool>>>,
}

/// All state of a loop.
pub(super) struct Registry {
    events: HashMap<EventId, Event>,
    last_id: usize,
    activations: Activation,
    /// Active events other than wait events.
    live: usize,
    pub(super) watch_list: WatchList,
    pub(super) timers: Timers,
    deferred: BTreeMap<Activation, EventId>,
    waits: BTreeSet<(i64, Activation, EventId)>,
    /// Events on descriptors whose callbacks are on the stack.
    running: Vec<EventId>,
}

impl Registry {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            events: HashMap::new(),
            last_id: 0,
            activations: 0,
            live: 0,
            watch_list: WatchList::new()?,
            timers: Timers::default(),
            deferred: BTreeMap::new(),
            waits: BTreeSet::new(),
            running: Vec::new(),
        })
    }

    pub(super) fn create(&mut self, kind: EventKind, callback: Rc<dyn Fn()>) -> EventId {
        let id = loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(number) = NonZeroUsize::new(self.last_id).map(EventId::from) {
                if !self.events.contains_key(&number) {
                    break number;
                }
            }
        };
        let event = Event {
            kind,
            callback,
            active: None,
            due: None,
            running: 0,
            waiters: Vec::new(),
        };
        self.events.insert(id, event);
        id
    }

    pub(super) fn activate(&mut self, id: EventId) -> io::Result<()> {
        let event = self.events.get_mut(&id).ok_or_else(unknown)?;
        let kind = event.kind;
        if event.active.is_some() {
            match kind.descriptor() {
                Some((fd, _)) if self.watch_list.is_absent(fd) && event.running == 0 => {
                    self.deactivate(id);
                    return self.activate(id);
                }
                _ => return Ok(()),
            }
        }
        self.activations += 1;
        let activation = self.activations;
        if let Some((fd, direction)) = kind.descriptor() {
            self.watch_list.watch(fd, direction, id, activation)?;
        }
        event.active = Some(activation);
        match kind {
            EventKind::Timer(interval) => event.due = Instant::now().checked_add(interval),
            EventKind::Wait(wait_id) => {
                self.waits.insert((wait_id, activation, id));
            }
            _ => {}
        }
        self.live += usize::from(!kind.is_wait());
        self.arm(id);
        Ok(())
    }

    pub(super) fn deactivate(&mut self, id: EventId) {
        let Some(event) = self.events.get_mut(&id) else {
            return;
        };
        let Some(activation) = event.active.take() else {
            return;
        };
        let due = event.due.take();
        match event.kind {
            EventKind::Read(fd) | EventKind::Write(fd) => self.watch_list.unwatch(fd, id),
            EventKind::Timer(_) => {
                if let Some(due) = due {
                    self.timers.disarm(due, activation, id);
                }
            }
            EventKind::Wait(wait_id) => {
                self.waits.remove(&(wait_id, activation, id));
            }
            EventKind::Deferred => {
                self.deferred.remove(&activation);
            }
        }
        self.live -= usize::from(!event.kind.is_wait());
    }

    /// Forgets an event. The callback comes back to be dropped by the caller, outside the borrow.
    pub(super) fn release(&mut self, id: EventId) -> Option<Rc<dyn Fn()>> {
        self.deactivate(id);
        let event = self.events.remove(&id)?;
        for waiter in &event.waiters {
            waiter.set(true);
        }
        Some(event.callback)
    }

    /// All events there are.
    pub(super) fn ids(&self) -> Vec<EventId> {
        self.events.keys().copied().collect()
    }

    /// A flag that becomes true when the event fires (a wait event: when it is released).
    pub(super) fn waiter(&mut self, id: EventId) -> io::Result<Rc<Cell<bool>>> {
        let event = self.events.get_mut(&id).ok_or_else(unknown)?;
        // A wait that ended for want of live events has left its flag behind.
        event.waiters.retain(|waiter| Rc::strong_count(waiter) > 1);
        let waiter = Rc::new(Cell::new(false));
        event.waiters.push(Rc::clone(&waiter));
        Ok(waiter)
    }

    pub(super) fn has_live(&self) -> bool {
        self.live > 0
    }

    /// The active wait events of `wait_id`, the latest activation first, as `event_wakeup` in Amanda's
    /// `common-src/event.c` goes through them.
    pub(super) fn waiting_for(&self, wait_id: i64) -> Vec<(Activation, EventId)> {
        self.waits
            .iter()
            .rev()
            .skip_while(|&&(other, ..)| other > wait_id)
            .take_while(|&&(other, ..)| other == wait_id)
            .map(|&(_, activation, id)| (activation, id))
            .collect()
    }

    pub(super) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    pub(super) fn deferred(&self) -> Vec<(Activation, EventId)> {
        self.deferred
            .iter()
            .map(|(&activation, &id)| (activation, id))
            .collect()
    }

    /// Keeps a nested turn from firing, and from being woken by, an event whose callback is on the stack.
    pub(super) fn mask_running(&mut self) {
        for &id in &self.running {
            if let Some((fd, _)) = self
                .events
                .get(&id)
                .and_then(|event| event.kind.descriptor())
            {
                self.watch_list.mask(fd, id, true);
            }
        }
    }

    /// Prepares a call of the event's callback; `None` if the event has been released, or deactivated since
    /// `activation`, or is running already.
    pub(super) fn begin_call(
        &mut self,
        id: EventId,
        activation: Activation,
    ) -> Option<Rc<dyn Fn()>> {
        let event = self.events.get_mut(&id)?;
        if event.active != Some(activation) || (event.running > 0 && !event.kind.is_wait()) {
            return None;
        }
        let callback = Rc::clone(&event.callback);
        match event.kind {
            EventKind::Timer(interval) => {
                if let Some(due) = event.due.take() {
                    self.timers.disarm(due, activation, id);
                }
                event.due = Instant::now().checked_add(interval);
            }
            EventKind::Deferred => self.deactivate(id),
            EventKind::Read(_) | EventKind::Write(_) => self.running.push(id),
            EventKind::Wait(_) => {}
        }
        self.events.get_mut(&id)?.running += 1;
        Some(callback)
    }

    /// Notes that the event's callback has returned. The event may be gone by now.
    pub(super) fn end_call(&mut self, id: EventId) {
        if let Some(position) = self.running.iter().rposition(|&running| running == id) {
            self.running.remove(position);
        }
        let Some(event) = self.events.get_mut(&id) else {
            return;
        };
        event.running -= 1;
        if event.kind.is_wait() {
            return;
        }
        for waiter in event.waiters.drain(..) {
            waiter.set(true);
        }
        if let Some((fd, _)) = event.kind.descriptor() {
            self.watch_list.mask(fd, id, false);
        }
        self.arm(id);
    }

    /// Puts an active timer or deferred event in line, unless its callback is on the stack: then `end_call` does it, and a
    /// nested turn neither fires it nor stays awake for it.
    fn arm(&mut self, id: EventId) {
        let Some(event) = self.events.get(&id) else {
            return;
        };
        let Some(activation) = event.active.filter(|_| event.running == 0) else {
            return;
        };
        match (event.kind, event.due) {
            (EventKind::Timer(_), Some(due)) => self.timers.arm(due, activation, id),
            (EventKind::Deferred, _) => {
                self.deferred.insert(activation, id);
            }
            _ => {}
        }
    }
}

fn unknown() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the event has been released")
}
