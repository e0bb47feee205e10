//! Timers by the moment they are due.

use std::collections::BTreeSet;
use std::time::Instant;

use super::kind::{Activation, EventId};

/// The armed timers of a loop. Arming, disarming and asking for the next one cost the logarithm of their number.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Activation, EventId)>);

impl Timers {
    pub(super) fn arm(&mut self, due: Instant, activation: Activation, id: EventId) {
        self.0.insert((due, activation, id));
    }

    pub(super) fn disarm(&mut self, due: Instant, activation: Activation, id: EventId) {
        self.0.remove(&(due, activation, id));
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|&(due, ..)| due)
    }

    /// Those due at `now`, in the order of their activation.
    pub(super) fn due(&self, now: Instant) -> Vec<(Activation, EventId)> {
        let mut due: Vec<_> = self
            .0
            .iter()
            .take_while(|&&(due, ..)| due <= now)
            .map(|&(_, activation, id)| (activation, id))
            .collect();
        due.sort_unstable();
        due
    }
}
