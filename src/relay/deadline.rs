//! The end of a closing link whose connection takes nothing more: a peer that never reads must not keep the host alive.

use std::time::Duration;

use super::callback::Notification;
use crate::event::{EventId, EventKind, EventLoop};

/// When a closing link fails: once its connection has taken no byte for the time of the timer.
#[derive(Debug)]
pub(super) struct Deadline {
    timer: EventId,
    /// How many bytes the connection had taken when the timer was started.
    taken: u64,
}

impl Deadline {
    /// Starts the timer. `on_due` is called each time it fires, and calls [`Deadline::note_progress`].
    pub(super) fn start(
        event_loop: &EventLoop,
        time: Duration,
        taken: u64,
        on_due: Notification,
    ) -> Self {
        let timer = event_loop.create(EventKind::Timer(time), on_due);
        let deadline = Self { timer, taken };
        deadline.run(event_loop);
        deadline
    }

    /// Restarts the timer if the connection has taken something since the last call.
    pub(super) fn extend(&mut self, event_loop: &EventLoop, taken: u64) {
        if self.note_progress(taken) {
            event_loop.deactivate(self.timer);
            self.run(event_loop);
        }
    }

    /// Whether the connection, which has taken this many bytes by now, has taken any since the last call.
    pub(super) fn note_progress(&mut self, taken: u64) -> bool {
        let progress = self.taken != taken;
        self.taken = taken;
        progress
    }

    pub(super) fn release(&self, event_loop: &EventLoop) {
        event_loop.release(self.timer);
    }

    fn run(&self, event_loop: &EventLoop) {
        // A timer has no descriptor that could fail, and it is released only with the link's end.
        let _ = event_loop.activate(self.timer);
    }
}
