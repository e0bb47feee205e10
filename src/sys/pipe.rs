//! Pipes: making them, their size, and moving and duplicating bytes between them without copying through user space.
//!
//! `WouldBlock` of [`splice`] and [`tee`] has two meanings that the kernel does not tell apart: the source is empty, or
//! the target is full. The caller has to know one of them by other means. 0 is the end of the source. Broken targets
//! raise SIGPIPE, which no flag prevents: see [`super::signal`].

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::pipe::SpliceFlags;

use super::descriptor::beyond_standard;

/// What the pipes of bulk data are enlarged to, if the system allows: Linux's `/proc/sys/fs/pipe-max-size` for users.
pub(crate) const PIPE_SIZE: usize = 1 << 20;

/// With smaller pipes splicing is no faster than copying (measured: the same from 64 to 128 KiB), and worse where short
/// writes leave the few pages half empty. `cargo bench --bench tee` compares the ways.
pub(crate) const SPLICE_MINIMUM: usize = 256 << 10;

/// Makes a pipe: reading end, writing end. Both are close-on-exec.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = new_pipe()?;
    Ok((beyond_standard(reader)?, beyond_standard(writer)?))
}

#[cfg(not(target_vendor = "apple"))]
fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// Without pipe2(2) a fork in another thread between the calls can still inherit the ends.
#[cfg(target_vendor = "apple")]
fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe()?;
    rustix::io::fcntl_setfd(&reader, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::CLOEXEC)?;
    Ok((reader, writer))
}

/// How many bytes the pipe can hold. Fails with `EBADF` when `fd` is not a pipe.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn capacity(fd: BorrowedFd<'_>) -> io::Result<usize> {
    Ok(rustix::pipe::fcntl_getpipe_size(fd)?)
}

/// This system does not tell the size of a pipe: always `Unsupported`.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn capacity(_fd: BorrowedFd<'_>) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Asks for a pipe of at least `wanted` bytes and returns the bytes it holds now, 0 when `fd` is not a pipe.
///
/// A refusal is not an error. Linux says EPERM past `/proc/sys/fs/pipe-max-size`, and once the user's pipes
/// together exceed `pipe-user-pages-soft` (pipe(7)); the pipe then stays as it is. A pipe is never made
/// smaller.
pub(crate) fn enlarge(fd: BorrowedFd<'_>, wanted: usize) -> usize {
    match capacity(fd) {
        Ok(current) if current >= wanted => current,
        Ok(current) => set_capacity(fd, wanted).unwrap_or(current),
        Err(_) => 0,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_capacity(fd: BorrowedFd<'_>, wanted: usize) -> io::Result<usize> {
    Ok(rustix::pipe::fcntl_setpipe_size(fd, wanted)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_capacity(_fd: BorrowedFd<'_>, _wanted: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

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

/// Whether an error of [`splice`] and [`tee`] means that the system cannot do it with these files, or may
/// not do it at all (a sandbox). The bytes are then read and written.
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
