//! Reading from a descriptor without waiting for its writer, whatever mode its open file is in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::wait::is_readable;
use super::{Descriptor, nowait, pipe};

/// A descriptor to read from. Closed when dropped if it is owned.
///
/// The descriptor may be lent and its open file shared with other processes, so its mode is never changed: each read
/// asks for itself not to wait.
#[derive(Debug)]
pub(crate) struct Inlet {
    descriptor: Descriptor,
    /// Whether each read has to be preceded by poll(2), as for all that is no pipe: `RWF_NOWAIT` refuses what a regular
    /// file would have to fetch from its disk.
    polled: bool,
}

impl Inlet {
    /// Wraps a descriptor, and asks the kernel what it is. A closed one shows when it is read.
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        let polled = pipe::capacity(descriptor.as_fd()).is_err();
        Self { descriptor, polled }
    }

    /// Reads what there is, at most the buffer's length; 0 is the end. `WouldBlock`: nothing yet.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.polled {
            match nowait::read(self.as_fd(), buffer) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => self.polled = true,
                result => return result,
            }
        }
        if !is_readable(self.as_fd())? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipe::read(self.as_fd(), buffer)
    }
}

impl AsFd for Inlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
