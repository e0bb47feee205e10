//! The end of a closing link whose connection takes nothing more: a peer that never reads must not keep the host alive.

use std::rc::Rc;

use super::link::Core;
use crate::event::{EventId, EventKind, EventLoop};

/// When a closing link is given up.
#[derive(Debug)]
pub(super) struct Deadline {
    timer: EventId,
    /// How many bytes the connection had taken when the time began to run.
    taken: u64,
}

impl Deadline {
    pub(super) fn release(&self, event_loop: &EventLoop) {
        event_loop.release(self.timer);
    }
}

impl Core {
    /// From now on the connection has to take a byte in each `close_timeout`.
    pub(super) fn set_deadline(self: &Rc<Self>) {
        let core = Rc::clone(self);
        let timer = self.event_loop.create(
            EventKind::Timer(self.close_timeout),
            Rc::new(move || core.on_deadline()),
        );
        self.start_timer(timer);
        let mut state = self.state.borrow_mut();
        let taken = state.outgoing.taken();
        state.deadline = Some(Deadline { timer, taken });
    }

    /// The connection takes nothing more for now: lets the time run anew if it has taken something since the last time.
    pub(super) fn extend_deadline(&self) {
        if let Some(timer) = self.note_progress() {
            self.event_loop.deactivate(timer);
            self.start_timer(timer);
        }
    }

    /// The time is up. Where the host was kept from turning its loop, the connection may have had no occasion to take
    /// anything before the last pump; and while a callback of the link runs, it has none.
    fn on_deadline(&self) {
        if !self.pumping.get() && self.note_progress().is_none() {
            self.fail(-libc::ETIMEDOUT);
        }
    }

    /// The timer of a closing link whose connection has taken something since it was asked last.
    fn note_progress(&self) -> Option<EventId> {
        let mut state = self.state.borrow_mut();
        let taken = state.outgoing.taken();
        let deadline = state.deadline.as_mut()?;
        let progress = deadline.taken != taken;
        deadline.taken = taken;
        progress.then_some(deadline.timer)
    }

    fn start_timer(&self, timer: EventId) {
        // A timer has no descriptor that could fail, and it is released only with the link's end.
        let _ = self.event_loop.activate(timer);
    }
}
