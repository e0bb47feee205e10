//! The reading side of a stream: the descriptor the bytes come from.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::error::out_of_memory;
use super::frame_size::{FrameSize, SMALLEST};
use crate::sys::descriptor::set_nonblocking;
use crate::sys::errno::errno_of;
use crate::sys::pipe::{self, PIPE_SIZE, SPLICE_MINIMUM};
use crate::sys::read::{read_behind, readable_bytes};
use crate::sys::{Descriptor, Errno};

/// Fewer bytes than this are cheaper to copy than to splice.
const MIN_SPLICE: usize = 32 * 1024;

/// What a source had to give.
#[derive(Debug)]
pub(super) enum Loaded {
    /// This many bytes, appended to the buffer; `drained` if there were no more at that moment.
    Copied { length: usize, drained: bool },
    /// This many bytes, still in the pipe, which can be spliced.
    InPipe(usize),
    /// Nothing yet.
    Empty,
    /// The writer has closed its end, and everything has been read.
    End,
    /// Reading failed.
    Failed(Errno),
}

/// A descriptor that a stream is read from.
#[derive(Debug)]
pub(super) struct Source {
    descriptor: Descriptor,
    bulk: bool,
    /// What the pipe holds; 0 if it is not a pipe.
    capacity: usize,
    splices: bool,
}

impl Source {
    /// Puts the descriptor in non-blocking mode. `may_splice`: neither its stream nor its link needs to see the bytes;
    /// only then a larger pipe is of use. `pipe_size` is its size in bytes, if the host names one.
    pub(super) fn new(
        descriptor: Descriptor,
        bulk: bool,
        may_splice: bool,
        pipe_size: Option<usize>,
    ) -> io::Result<Self> {
        let fd = descriptor.as_fd();
        set_nonblocking(fd)?;
        let wanted = if bulk && may_splice {
            pipe_size.unwrap_or(PIPE_SIZE)
        } else {
            0
        };
        let capacity = pipe::enlarge(fd, wanted);
        Ok(Self {
            bulk,
            capacity,
            splices: bulk && may_splice && capacity >= SPLICE_MINIMUM,
            descriptor,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Finds the payload of the next frame. A payload that is copied goes after the first `room` bytes of `buffer`.
    pub(super) fn load(
        &self,
        buffer: &mut Vec<u8>,
        room: usize,
        may_splice: bool,
        size: &FrameSize,
    ) -> Loaded {
        if may_splice && self.splices {
            match readable_bytes(self.fd()) {
                Ok(ready) if ready >= MIN_SPLICE => {
                    return Loaded::InPipe(ready.min(size.spliced()));
                }
                Ok(_) => {}
                Err(error) => return Loaded::Failed(errno_of(&error)),
            }
        }
        let length = self.copied(size);
        if let Err(error) = prepare(buffer, room, length) {
            return Loaded::Failed(errno_of(&error));
        }
        match read_behind(self.fd(), buffer) {
            Ok(0) => Loaded::End,
            Ok(count) => Loaded::Copied {
                length: count,
                drained: count < length,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Loaded::Empty,
            Err(error) => Loaded::Failed(errno_of(&error)),
        }
    }

    /// The largest payload that is copied. A stream without bulk has short frames always, so that what waits behind
    /// them does not wait long.
    fn copied(&self, size: &FrameSize) -> usize {
        let length = if self.bulk { size.copied() } else { SMALLEST };
        // A pipe never gives more than it holds: a larger buffer would be waste.
        if self.capacity > 0 {
            length.min(self.capacity)
        } else {
            length
        }
    }

    /// Reads the rest of a frame, which was left in the pipe to be spliced, and appends it to `buffer`.
    ///
    /// Fails with `EIO` if the bytes have gone: somebody else has read from the pipe, and the frame cannot be
    /// completed. Fails with `ENOMEM` if there is no room for them.
    pub(super) fn rescue(&self, buffer: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let end = buffer.len() + length;
        buffer.try_reserve_exact(length).map_err(out_of_memory)?;
        while buffer.len() < end {
            let mut rest = Vec::new();
            rest.try_reserve_exact(SMALLEST.min(end - buffer.len()))
                .map_err(out_of_memory)?;
            match read_behind(self.fd(), &mut rest) {
                Ok(count) if count > 0 => buffer.extend_from_slice(&rest),
                _ => return Err(Errno::IO.into()),
            }
        }
        Ok(())
    }
}

/// Leaves `buffer` with `room` bytes and a capacity for exactly `length` more.
fn prepare(buffer: &mut Vec<u8>, room: usize, length: usize) -> io::Result<()> {
    if buffer.capacity() != room + length {
        *buffer = Vec::new();
        buffer
            .try_reserve_exact(room + length)
            .map_err(out_of_memory)?;
    }
    buffer.clear();
    buffer.resize(room, 0);
    Ok(())
}
