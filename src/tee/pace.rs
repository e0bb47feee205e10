//! How soon to look again at an input that was found empty.
//!
//! Who is woken by the first bytes finds few of them, and their writer in the middle of writing more: both then wait for the
//! pipe's lock, and soon the input is empty again. A rest of a fraction of a millisecond lets the pipe fill, so that
//! the same bytes come in a tenth of the wake-ups; it follows the writer's speed, so that the pipe is seldom found full
//! (`cargo bench --bench tee` counts both).

use std::time::Duration;

/// A shorter rest costs more than it saves: timers are about as coarse as this.
const SHORTEST: Duration = Duration::from_micros(20);

/// A longer one would be felt.
const LONGEST: Duration = Duration::from_millis(1);

/// A smaller pipe, in bytes, is full before the shortest rest is over.
const SMALLEST_PIPE: u64 = 256 << 10;

/// The rests of one input.
#[derive(Debug)]
pub(super) struct Pace {
    /// What the input's pipe holds.
    capacity: u64,
    /// How many bytes had passed when the input was last found empty.
    passed: u64,
    rest: Duration,
}

impl Pace {
    /// For a pipe that holds `capacity` bytes; 0 for what is no pipe, which is never left alone.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity as u64,
            passed: 0,
            rest: Duration::ZERO,
        }
    }

    /// The input is empty after `passed` bytes in all: how long to leave it alone, if at all.
    ///
    /// When more than seven eighths of the pipe came since the last time, the writer may have had to wait, and the rest
    /// gets shorter; with less than half of it, longer.
    pub(super) fn rest(&mut self, passed: u64) -> Option<Duration> {
        let taken = passed - self.passed;
        self.passed = passed;
        if taken >= self.capacity / 8 * 7 {
            self.rest -= self.rest / 4;
        } else if taken < self.capacity / 2 {
            self.rest = LONGEST.min(self.rest + self.rest / 4 + SHORTEST / 2);
        }
        (self.capacity >= SMALLEST_PIPE && self.rest >= SHORTEST).then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: usize = 1 << 20;

    /// The rest after each of these amounts.
    fn rests(amounts: &[u64]) -> Vec<Option<Duration>> {
        rests_of(PIPE, amounts)
    }

    fn rests_of(capacity: usize, amounts: &[u64]) -> Vec<Option<Duration>> {
        let mut pace = Pace::new(capacity);
        let mut passed = 0;
        amounts
            .iter()
            .map(|amount| {
                passed += amount;
                pace.rest(passed)
            })
            .collect()
    }

    #[test]
    fn a_slow_writer_is_left_alone_for_longer_and_longer() {
        let rests = rests(&[10 << 10; 40]);
        assert!(rests.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(rests[39], Some(LONGEST));
    }

    #[test]
    fn a_small_pipe_is_never_left_alone() {
        assert_eq!(rests_of(64 << 10, &[1000; 40]), vec![None; 40]);
    }

    #[test]
    fn a_full_pipe_ends_the_rests() {
        let mut amounts = vec![10 << 10; 40];
        amounts.extend([PIPE as u64; 20]);
        assert_eq!(rests(&amounts)[59], None);
    }

    #[test]
    fn a_pipe_found_well_filled_keeps_the_rest() {
        let mut amounts = vec![10 << 10; 10];
        amounts.extend([PIPE as u64 / 4 * 3; 5]);
        let rests = rests(&amounts);
        assert!(rests[9].is_some());
        assert!(rests[9..].iter().all(|rest| *rest == rests[9]));
    }
}
