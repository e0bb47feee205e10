//! How soon to look again at an input whose bytes have all been taken.
//!
//! A reader that looks immediately finds few bytes, and the writer in the middle of writing more: both then wait for the
//! pipe's lock, and soon the input is empty again. A nap of a fraction of a millisecond lets the pipe fill, so that the same
//! bytes come in a tenth of the wake-ups; it follows the writer's speed, so that the pipe is seldom found full. The
//! first bytes after a silence never wait: the nap comes after a transfer, not before it. docs/performance.md has the
//! measurements.

use std::mem;
use std::time::Duration;

use crate::sys::pipe::{PIPE_SIZE, SPLICE_MINIMUM};

/// A shorter nap costs more than it saves: timers are about as coarse as this.
const SHORTEST: Duration = Duration::from_micros(20);

/// A longer one saves little more, and a fast writer would find the pipe full.
const LONGEST: Duration = Duration::from_micros(500);

/// After so many of the longest naps in a row that came to nothing, only one transfer in 256 is followed by one.
const MOST_IN_VAIN: u32 = 8;

/// The naps of one input.
#[derive(Debug)]
pub(super) struct Pace {
    /// What can be taken out of the input's pipe at once.
    capacity: usize,
    nap: Duration,
    /// The last transfer was followed by a nap, of which it is not known yet whether it came to nothing.
    napped: bool,
    /// How many of the longest naps in a row came to nothing: the writer is slower than they are.
    in_vain: u32,
    /// How many of the next transfers are followed by none.
    rest: u32,
}

impl Pace {
    /// For a pipe that holds `capacity` bytes; 0 for anything but a pipe, for which there are no naps.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.min(PIPE_SIZE),
            nap: Duration::ZERO,
            napped: false,
            in_vain: 0,
            rest: 0,
        }
    }

    /// The input held `taken` bytes, and all have been taken. Returns how long to nap, if at all.
    ///
    /// Never where bytes are better copied: so small a pipe is full before the shortest nap is over. With more than
    /// seven eighths of the pipe, the writer may have had to wait, and the nap gets shorter; with less than half of
    /// it, longer.
    pub(super) fn nap(&mut self, taken: usize) -> Option<Duration> {
        if mem::take(&mut self.napped) {
            self.in_vain = 0;
        }
        if taken >= self.capacity / 8 * 7 {
            self.nap -= self.nap / 4;
        } else if taken < self.capacity / 2 {
            self.nap = LONGEST.min(self.nap + self.nap / 4 + SHORTEST / 4);
        }
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        self.napped = self.capacity >= SPLICE_MINIMUM && self.nap >= SHORTEST;
        self.napped.then_some(self.nap)
    }

    /// The input was found empty. If that was after a nap, a longer one may do; after the longest, naps become rare.
    pub(super) fn came_to_nothing(&mut self) {
        if mem::take(&mut self.napped) && self.nap == LONGEST {
            self.in_vain = MOST_IN_VAIN.min(self.in_vain + 1);
            self.rest = (1 << self.in_vain) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: usize = PIPE_SIZE;

    /// The nap after each of these amounts.
    fn naps(amounts: &[usize]) -> Vec<Option<Duration>> {
        naps_of(PIPE, amounts)
    }

    fn naps_of(capacity: usize, amounts: &[usize]) -> Vec<Option<Duration>> {
        let mut pace = Pace::new(capacity);
        amounts.iter().map(|&amount| pace.nap(amount)).collect()
    }

    #[test]
    fn a_slow_writer_is_left_alone_for_longer_and_longer() {
        let naps = naps(&[10 << 10; 40]);
        assert!(naps.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(naps[39], Some(LONGEST));
    }

    #[test]
    fn a_small_pipe_is_never_left_alone() {
        assert_eq!(naps_of(64 << 10, &[1000; 40]), vec![None; 40]);
    }

    #[test]
    fn a_pipe_that_holds_more_than_is_taken_at_once_is_not_left_alone() {
        assert_eq!(naps_of(4 * PIPE, &[PIPE; 40]), vec![None; 40]);
    }

    #[test]
    fn a_full_pipe_ends_the_naps() {
        let mut amounts = vec![10 << 10; 40];
        amounts.extend([PIPE; 20]);
        assert_eq!(naps(&amounts)[59], None);
    }

    #[test]
    fn a_short_nap_that_came_to_nothing_is_followed_by_a_longer_one() {
        let mut pace = Pace::new(PIPE);
        while pace.nap(1000).is_none() {}
        pace.came_to_nothing();
        assert!(pace.nap(1000) > Some(SHORTEST));
    }

    /// How many of the next transfers, each of which finds little, are followed by a nap, none of which brings anything.
    fn vain_naps(pace: &mut Pace, transfers: usize) -> usize {
        let naps = (0..transfers).filter(|_| {
            let napped = pace.nap(1000).is_some();
            pace.came_to_nothing();
            napped
        });
        naps.count()
    }

    #[test]
    fn naps_become_rare_where_they_come_to_nothing() {
        let mut pace = Pace::new(PIPE);
        vain_naps(&mut pace, 1000);
        assert_eq!(vain_naps(&mut pace, 256 * 10), 10);
    }

    #[test]
    fn naps_become_frequent_again_where_they_bring_something() {
        let mut pace = Pace::new(PIPE);
        vain_naps(&mut pace, 1000);
        while pace.nap(1000).is_none() {}
        assert_eq!((0..10).filter(|_| pace.nap(1000).is_some()).count(), 10);
    }

    #[test]
    fn a_pipe_found_well_filled_keeps_the_nap() {
        let mut amounts = vec![10 << 10; 10];
        amounts.extend([PIPE / 4 * 3; 5]);
        let naps = naps(&amounts);
        assert!(naps[9].is_some());
        assert!(naps[9..].iter().all(|nap| *nap == naps[9]));
    }
}
