//! Waiting for a handful of descriptors in a thread of the library's own.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::Timespec;
pub(crate) use rustix::event::{PollFd, PollFlags};

/// Waits until one of the descriptors is ready in the way its entry asks for, or broken.
///
/// Afterwards each entry's `revents` tell: `ERR`, `HUP` and `NVAL` come unasked. Waits again after a signal.
pub(crate) fn wait(descriptors: &mut [PollFd<'_>]) -> io::Result<()> {
    wait_at_most(descriptors, None)
}

/// The same, but no longer than `limit`. A signal makes it begin anew.
pub(crate) fn wait_at_most(
    descriptors: &mut [PollFd<'_>],
    limit: Option<Duration>,
) -> io::Result<()> {
    // A time too long for the system is for ever.
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    rustix::io::retry_on_intr(|| rustix::event::poll(descriptors, limit.as_ref()))?;
    Ok(())
}

/// Whether a read would find bytes at once, the end, or an error.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    is_ready(fd, PollFlags::IN)
}

/// Whether a write would find room at once, or a broken reader.
pub(crate) fn is_writable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    is_ready(fd, PollFlags::OUT)
}

fn is_ready(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<bool> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut entry = [PollFd::from_borrowed_fd(fd, flags)];
    Ok(rustix::io::retry_on_intr(|| rustix::event::poll(&mut entry, Some(&now)))? > 0)
}
