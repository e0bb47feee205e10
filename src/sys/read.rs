//! Reading, mostly without waiting for the writer, and how many bytes there are to read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

#[cfg(target_os = "linux")]
use rustix::io::{Errno, ReadWriteFlags};

use super::descriptor::Descriptor;
use super::pipe::capacity;
use super::poll::is_readable;

/// A descriptor to read from. Closed when dropped if it is owned.
///
/// The descriptor may be lent and its open file shared with other processes, so its mode is never changed:
/// each read asks not to wait.
#[derive(Debug)]
pub(crate) struct Reader {
    descriptor: Descriptor,
    /// Whether each read has to be preceded by poll(2), as for all that is no pipe: `RWF_NOWAIT` refuses what a regular
    /// file would have to fetch from its disk.
    polled: bool,
}

impl Reader {
    /// Wraps a descriptor, and asks the kernel what it is. A closed one is noticed when it is read.
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        let polled = capacity(descriptor.as_fd()).is_err();
        Self { descriptor, polled }
    }

    /// Reads what there is, at most the buffer's length; 0 is the end. `WouldBlock`: nothing yet.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.polled {
            match read_nowait(self.as_fd(), buffer) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => self.polled = true,
                result => return result,
            }
        }
        if !is_readable(self.as_fd())? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        read(self.as_fd(), buffer)
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Reads what there is, whatever mode the open file is in: with the flag `RWF_NOWAIT` of preadv2(2), which pipes know
/// since Linux 6.5. 0 is the end, `WouldBlock` says nothing, `Unsupported` that this cannot be asked here.
#[cfg(target_os = "linux")]
fn read_nowait(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let result = rustix::io::retry_on_intr(|| {
        let mut piece = [io::IoSliceMut::new(&mut *buffer)];
        rustix::io::preadv2(fd, &mut piece, CURRENT_POSITION, ReadWriteFlags::NOWAIT)
    });
    result.map_err(nowait_error)
}

/// This system has no such flag.
#[cfg(not(target_os = "linux"))]
fn read_nowait(_fd: BorrowedFd<'_>, _buffer: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The file's own position, which for a pipe means none.
#[cfg(target_os = "linux")]
pub(super) const CURRENT_POSITION: u64 = u64::MAX;

/// What an error of preadv2(2) and pwritev2(2) with `RWF_NOWAIT` says.
///
/// EOPNOTSUPP: this kind of file does not know the flag. ENOSYS, EINVAL: the kernel does not know the call
/// or the flag. EPERM: a sandbox forbids the call.
#[cfg(target_os = "linux")]
pub(super) fn nowait_error(error: Errno) -> io::Error {
    match error {
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM => {
            io::ErrorKind::Unsupported.into()
        }
        other => other.into(),
    }
}

/// Reads what there is, at most the buffer's length; 0 is the end. Waits only if the open file is in blocking mode and
/// nothing is there.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| {
        rustix::io::read(fd, &mut *buffer)
    })?)
}

/// Reads into the room behind what `buffer` holds, as far as its capacity goes, and returns how many bytes came.
///
/// 0 is the end of the source (or no room). Fails with `WouldBlock` when there is nothing yet.
pub(crate) fn read_behind(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let read =
        rustix::io::retry_on_intr(|| rustix::io::read(fd, rustix::buffer::spare_capacity(buffer)));
    Ok(read?)
}

/// How many bytes a read would find at once (`FIONREAD`). Only a reader of the pipe can make it less.
pub(crate) fn readable_bytes(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let count = rustix::io::ioctl_fionread(fd)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}
