//! Descriptors the library owns, and descriptors it was lent.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

pub(crate) use rustix::fs::FileType;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::Errno;

/// A file descriptor, and whether the library closes it.
///
/// A descriptor made from an [`OwnedFd`] is closed when this value is dropped. A lent one never is: it belongs to
/// the host program, which keeps it open for as long as this value lives.
#[derive(Debug)]
pub struct Descriptor(Ownership);

#[derive(Debug)]
enum Ownership {
    Owned(OwnedFd),
    Lent(RawFd),
}

impl Descriptor {
    /// Wraps a descriptor that stays the caller's.
    ///
    /// # Safety
    /// `fd` is open and is not -1. The caller keeps it open until the returned value is dropped, or accepts that the
    /// library's calls then fail with `EBADF` or reach whatever file has taken over the number.
    #[must_use]
    pub unsafe fn lend(fd: RawFd) -> Self {
        Self(Ownership::Lent(fd))
    }
}

/// The file that a number leads to at this moment; `EBADF` for a negative one.
pub(super) fn number<'moment>(fd: RawFd) -> io::Result<BorrowedFd<'moment>> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the number is not -1. It may have been closed by the host; the borrow goes no further than the system
    // call (or, in polling's poll(2) backend, the table lookup) that follows, and the kernel checks the number there.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Whether the number leads to a file at this moment.
pub(crate) fn is_open(fd: RawFd) -> bool {
    number(fd).is_ok_and(|fd| rustix::io::fcntl_getfd(fd).is_ok())
}

/// What kind of file both descriptors lead to; none if they lead to different ones. The two ends of a pipe are the same.
pub(crate) fn same_file(
    one: BorrowedFd<'_>,
    other: BorrowedFd<'_>,
) -> io::Result<Option<FileType>> {
    let (one, other) = (fstat(one)?, fstat(other)?);
    let same = one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    Ok(same.then(|| FileType::from_raw_mode(one.st_mode)))
}

/// A second descriptor of the same open file, close-on-exec and none of the standard ones.
pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?)
}

/// Whether the file was opened for reading; poll(2) would wait for ever for one that was not.
pub(crate) fn is_for_reading(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok((fcntl_getfl(fd)? & OFlags::RWMODE) != OFlags::WRONLY)
}

/// Whether the file was opened for writing.
pub(crate) fn is_for_writing(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok((fcntl_getfl(fd)? & OFlags::RWMODE) != OFlags::RDONLY)
}

/// Fails with `EBADF` if the descriptor cannot be read from. poll(2) would wait for ever on one that cannot.
pub(crate) fn check_readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    if is_for_reading(fd)? {
        Ok(())
    } else {
        Err(Errno::BADF.into())
    }
}

/// Puts the open file in non-blocking mode; leaves it alone when it is in that mode already.
///
/// The mode belongs to the open file, not to the descriptor: every process that inherited it sees the change.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfl(fd)?;
    if !flags.contains(OFlags::NONBLOCK) {
        fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
    }
    Ok(())
}

/// Whether both are ends of the same pipe, so that what is written to the one is read from the other.
pub(crate) fn is_same_pipe(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(same_file(one, other)? == Some(FileType::Fifo))
}

/// The descriptor, under a number that is none of the standard ones: where the host has closed those, a new descriptor
/// gets one of them, and what anybody prints then goes into it.
pub(crate) fn beyond_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        Ok(fd)
    } else {
        duplicate(fd.as_fd())
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Self {
        Self(Ownership::Owned(fd))
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Ownership::Owned(fd) => fd.as_fd(),
            // SAFETY: whoever lent the descriptor promised in `lend` that it is not -1 and stays open.
            Ownership::Lent(fd) => unsafe { BorrowedFd::borrow_raw(*fd) },
        }
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
