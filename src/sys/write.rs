//! Writing without waiting for the reader.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::FileType;
#[cfg(target_os = "linux")]
use rustix::io::ReadWriteFlags;
use rustix::net::SendFlags;

use super::descriptor::Descriptor;
use super::poll::is_writable;
#[cfg(target_os = "linux")]
use super::read::{CURRENT_POSITION, nowait_error};
use super::socket::send_with;

/// A descriptor to write to. Closed when dropped if it is owned.
///
/// The descriptor may be lent and its open file shared with other processes, so its mode is never changed:
/// each write asks not to wait. Broken pipes raise SIGPIPE: the thread must have it blocked.
#[derive(Debug)]
pub(crate) struct Writer {
    descriptor: Descriptor,
    kind: Kind,
}

/// How a write avoids waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Socket,
    /// A pipe that can be asked not to wait.
    Pipe,
    /// A pipe or device where only poll(2) tells, and only for the first [`SMALLEST_ROOM`] bytes.
    Polled,
    /// A regular file: writing to it waits for no other process.
    File,
}

/// How many bytes a pipe surely takes once poll(2) calls it writable. Linux, macOS and the BSDs all wait for `PIPE_BUF`
/// bytes of room before they say so (pipe(7); `pipe_poll` in their kernels).
const SMALLEST_ROOM: usize = rustix::pipe::PIPE_BUF;

impl Writer {
    /// Wraps a descriptor, and asks the kernel what it is. A closed one is noticed when it is written to.
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        let file_type =
            rustix::fs::fstat(&descriptor).map(|status| FileType::from_raw_mode(status.st_mode));
        let kind = match file_type {
            Ok(FileType::Socket) => Kind::Socket,
            Ok(FileType::RegularFile) => Kind::File,
            Ok(FileType::Fifo) => Kind::Pipe,
            _ => Kind::Polled,
        };
        Self { descriptor, kind }
    }

    /// Writes as much as is taken at once, and returns how many bytes that was. `WouldBlock`: none.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.kind {
            Kind::Socket => send_with(self.as_fd(), bytes, SendFlags::empty()),
            Kind::Pipe => match write_nowait(self.as_fd(), bytes) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.kind = Kind::Polled;
                    self.write_polled(bytes)
                }
                result => result,
            },
            Kind::Polled => self.write_polled(bytes),
            Kind::File => write(self.descriptor.as_fd(), bytes),
        }
    }

    fn write_polled(&self, bytes: &[u8]) -> io::Result<usize> {
        let fd = self.descriptor.as_fd();
        if !is_writable(fd)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        write(fd, &bytes[..bytes.len().min(SMALLEST_ROOM)])
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Writes what is taken at once, whatever mode the open file is in: with the flag `RWF_NOWAIT` of pwritev2(2), which
/// pipes know since Linux 6.5. `WouldBlock` says nothing is, `Unsupported` that this cannot be asked here.
#[cfg(target_os = "linux")]
fn write_nowait(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let piece = [io::IoSlice::new(bytes)];
    let result = rustix::io::retry_on_intr(|| {
        rustix::io::pwritev2(fd, &piece, CURRENT_POSITION, ReadWriteFlags::NOWAIT)
    });
    result.map_err(nowait_error)
}

/// This system has no such flag.
#[cfg(not(target_os = "linux"))]
fn write_nowait(_fd: BorrowedFd<'_>, _bytes: &[u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?)
}
