//! Moving and duplicating bytes between pipes without copying them through user space.
//!
//! `WouldBlock` has two meanings here that the kernel does not tell apart: the source is empty, or the target is
//! full. The caller has to know one of them by other means. 0 is the end of the source. Broken targets raise SIGPIPE,
//! which no flag prevents: see [`super::signal`].

use std::io;
use std::os::fd::BorrowedFd;

#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::pipe::SpliceFlags;

/// Moves at most `len` bytes from one descriptor to the other, one of which must be a pipe; returns how many.
///
/// Never waits for a pipe; a target that is no pipe must be in non-blocking mode itself. `more` says that further
/// bytes follow at once, which lets a socket fill its packets. Fails with `InvalidInput` (`EINVAL`) when one of the
/// files cannot do it at all.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    len: usize,
    more: bool,
) -> io::Result<usize> {
    let mut flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    flags.set(SpliceFlags::MORE, more);
    rustix::io::retry_on_intr(|| rustix::pipe::splice(from, None, to, None, len, flags))
        .map_err(Into::into)
}

/// Duplicates at most `len` bytes of one pipe into the other without consuming them; returns how many.
///
/// Never waits. Fails with `InvalidInput` (`EINVAL`) when one of the files is not a pipe.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn tee(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    rustix::io::retry_on_intr(|| rustix::pipe::tee(from, to, len, SpliceFlags::NONBLOCK))
        .map_err(Into::into)
}

/// Whether an error of these calls means that the system cannot do it with these files, or must not do it at all (a
/// sandbox): then reading and writing has to do.
pub(crate) fn refused(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

/// This system has no splice(2): always `Unsupported`.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn splice(
    _from: BorrowedFd<'_>,
    _to: BorrowedFd<'_>,
    _len: usize,
    _more: bool,
) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// This system has no tee(2): always `Unsupported`.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn tee(_from: BorrowedFd<'_>, _to: BorrowedFd<'_>, _len: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
