//! Pipes: making them, their size, how much they hold.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::descriptor::{beyond_standard, is_for_reading};

/// Makes a pipe whose ends are closed when a child process executes another program. Read end first.
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
/// A refusal is no error. Linux says EPERM past `/proc/sys/fs/pipe-max-size`, and once the user's pipes together
/// exceed `pipe-user-pages-soft` (pipe(7)); the pipe then stays as it is. A pipe is never made smaller.
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

/// How many bytes a read would find at once (`FIONREAD`). Only a reader of the pipe can make it less.
pub(crate) fn readable_bytes(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let count = rustix::io::ioctl_fionread(fd)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Sets or clears non-blocking mode; leaves the open file alone when it is in that mode already.
///
/// The mode belongs to the open file, not to the descriptor: every process that inherited it sees the change.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(fd)?;
    if flags.contains(OFlags::NONBLOCK) != nonblocking {
        flags.set(OFlags::NONBLOCK, nonblocking);
        fcntl_setfl(fd, flags)?;
    }
    Ok(())
}

/// Fails with `EBADF` if the descriptor cannot be read from. poll(2) would wait for such a one for ever.
pub(crate) fn check_readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    if is_for_reading(fd)? {
        Ok(())
    } else {
        Err(rustix::io::Errno::BADF.into())
    }
}

/// Reads what there is, at most the buffer's length; 0 is the end. Waits only if the open file is in blocking mode and
/// nothing is there.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| {
        rustix::io::read(fd, &mut *buffer)
    })?)
}
