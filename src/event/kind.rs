//! What an event is, and what it waits for.

use std::num::NonZeroUsize;
use std::os::fd::RawFd;
use std::time::Duration;

/// Serial number of an activation in its loop: callbacks run in this order.
pub(super) type Activation = u64;

/// Names an event of a loop, from [`EventLoop::create`](super::EventLoop::create) to
/// [`EventLoop::release`](super::EventLoop::release). Numbers are not used again (where a pointer has 32 bits: not before
/// 2³² events were created).
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
    /// A call of [`EventLoop::wakeup`](super::EventLoop::wakeup) with this number.
    Wait(i64),
    /// Fires once per activation: after the descriptors of the current turn, or of the next one, and before
    /// the timers. While it is active the loop does not block.
    Deferred,
}

impl EventKind {
    /// The descriptor that the event waits for.
    pub(super) fn descriptor(self) -> Option<(RawFd, Direction)> {
        match self {
            Self::Read(fd) => Some((fd, Direction::Read)),
            Self::Write(fd) => Some((fd, Direction::Write)),
            Self::Timer(_) | Self::Wait(_) | Self::Deferred => None,
        }
    }

    pub(super) fn is_wait(self) -> bool {
        matches!(self, Self::Wait(_))
    }
}

/// Which readiness of a descriptor is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}
