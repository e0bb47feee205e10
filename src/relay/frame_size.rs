//! How large the frames of bulk streams are on one link. Pure.
//!
//! Large frames cost fewer system calls, and splicing pays only with them; but whatever becomes ready after a frame
//! has begun waits until it is out. So frames get smaller while the connection drains slowly, and larger again when it
//! does not. docs/performance.md has the measurements behind the numbers.

use std::time::Duration;

/// The largest payload that is spliced.
const SPLICED: usize = 256 * 1024;

/// The largest payload that is copied: four times as much costs the same and four times the memory.
const COPIED: usize = 64 * 1024;

/// Frames are not made smaller than this, Amanda's `NETWORK_BLOCK_BYTES`.
pub(super) const SMALLEST: usize = 32 * 1024;

/// A frame that took longer to leave is followed by smaller ones: well below the 50 ms that a person notices.
const SLOW: Duration = Duration::from_millis(20);

/// A frame that took less than this is followed by larger ones.
const FAST: Duration = Duration::from_millis(5);

/// The frame sizes of a link.
#[derive(Debug)]
pub(super) struct FrameSize {
    /// What the host asked for, if it did.
    wanted: Option<usize>,
    /// What the connection's speed allows.
    current: usize,
}

impl FrameSize {
    /// `wanted`: the largest payload, if the host names one.
    pub(super) fn new(wanted: Option<usize>) -> Self {
        Self {
            wanted,
            current: wanted.unwrap_or(SPLICED),
        }
    }

    /// The largest payload of the next frame that is copied.
    pub(super) fn copied(&self) -> usize {
        self.current.min(self.wanted.unwrap_or(COPIED))
    }

    /// The largest payload of the next frame that is spliced.
    pub(super) fn spliced(&self) -> usize {
        self.current
    }

    /// Records how long a frame with a payload of this many bytes took, from its beginning until the connection had
    /// all of it. A short frame says nothing about the speed.
    pub(super) fn record(&mut self, payload: usize, after: Duration) {
        let largest = self.wanted.unwrap_or(SPLICED);
        if payload < self.copied() {
            return;
        }
        if after > SLOW {
            self.current = (self.current / 2).max(SMALLEST.min(largest));
        } else if after < FAST {
            self.current = (self.current * 2).min(largest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(wanted: Option<usize>, times: &[Duration]) -> FrameSize {
        let mut size = FrameSize::new(wanted);
        for &time in times {
            size.record(size.spliced(), time);
        }
        size
    }

    #[test]
    fn frames_begin_large() {
        let size = FrameSize::new(None);
        assert_eq!((size.spliced(), size.copied()), (SPLICED, COPIED));
    }

    #[test]
    fn a_slow_link_gets_small_frames() {
        let size = after(None, &[SLOW * 2; 10]);
        assert_eq!((size.spliced(), size.copied()), (SMALLEST, SMALLEST));
    }

    #[test]
    fn a_fast_link_gets_large_frames_again() {
        let mut times = vec![SLOW * 2; 10];
        times.extend([FAST / 2; 10]);
        assert_eq!(after(None, &times).spliced(), SPLICED);
    }

    #[test]
    fn a_link_of_middling_speed_keeps_its_frames() {
        let mut times = vec![SLOW * 2];
        times.extend([SLOW / 2; 10]);
        assert_eq!(after(None, &times).spliced(), SPLICED / 2);
    }

    #[test]
    fn a_short_frame_tells_nothing() {
        let mut size = FrameSize::new(None);
        size.record(100, SLOW * 2);
        assert_eq!(size.spliced(), SPLICED);
        let mut size = after(None, &[SLOW * 2; 10]);
        size.record(100, FAST / 2);
        assert_eq!(size.spliced(), SMALLEST);
    }

    #[test]
    fn frames_that_are_copied_tell_as_well() {
        let mut size = FrameSize::new(None);
        size.record(COPIED, SLOW * 2);
        assert_eq!(size.spliced(), SPLICED / 2);
    }

    #[test]
    fn the_host_has_the_last_word() {
        let large = FrameSize::new(Some(1 << 20));
        assert_eq!((large.spliced(), large.copied()), (1 << 20, 1 << 20));
        let small = after(Some(1000), &[SLOW * 2, FAST / 2, FAST / 2]);
        assert_eq!((small.spliced(), small.copied()), (1000, 1000));
    }
}
