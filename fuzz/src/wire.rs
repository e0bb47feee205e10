//! Descriptors of every kind, and their other ends.

use std::cell::Cell;
use std::fs::{File, OpenOptions, read_dir};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use arbitrary::Arbitrary;
use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, memfd_create};
use rustix::io::Errno;
use rustix::net::{SendFlags, sockopt};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// What bytes go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum Wire {
    /// A pipe of one page.
    Page,
    /// A pipe as it comes.
    Pipe,
    /// A local socket.
    Socket,
    /// A local socket with the smallest buffer.
    Tight,
}

impl Wire {
    /// The end to write to, then the end to read from.
    pub fn open(self) -> (OwnedFd, OwnedFd) {
        match self {
            Self::Page | Self::Pipe => {
                let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
                if self == Self::Page {
                    fcntl_setpipe_size(&writing, 4096).unwrap();
                }
                (writing, reading)
            }
            Self::Socket | Self::Tight => {
                let (writing, reading) = UnixStream::pair().unwrap();
                if self == Self::Tight {
                    sockopt::set_socket_send_buffer_size(&writing, 1).unwrap();
                }
                (writing.into(), reading.into())
            }
        }
    }

    pub fn is_socket(self) -> bool {
        matches!(self, Self::Socket | Self::Tight)
    }
}

/// Puts an open file in non-blocking mode, or out of it.
pub fn set_nonblocking(fd: impl AsFd, nonblocking: bool) {
    let mut flags = fcntl_getfl(&fd).unwrap();
    flags.set(OFlags::NONBLOCK, nonblocking);
    fcntl_setfl(&fd, flags).unwrap();
}

/// Writes what a non-blocking descriptor takes at once, and returns how much that was. Whoever closes the other end of a
/// pipe does not write to it afterwards.
pub fn put(fd: BorrowedFd<'_>, bytes: &[u8]) -> usize {
    let sent = match rustix::net::send(fd, bytes, SendFlags::NOSIGNAL) {
        Err(Errno::NOTSOCK) => rustix::io::write(fd, bytes),
        sent => sent,
    };
    match sent {
        Ok(count) => count,
        Err(Errno::AGAIN | Errno::PIPE | Errno::CONNRESET) => 0,
        Err(error) => panic!("writing: {error}"),
    }
}

/// What became of a look at a reading end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    Bytes(usize),
    Nothing,
    End,
}

/// How much one read takes at most.
const PIECE: usize = 1 << 16;

thread_local! {
    /// Where reads go first: a new buffer for each would have to be filled with zeros.
    static SCRATCH: Cell<Vec<u8>> = Cell::new(vec![0; PIECE]);
}

/// Reads at most `count` bytes, and 64 KiB, that are there, behind what `into` holds.
pub fn get(fd: BorrowedFd<'_>, count: usize, into: &mut Vec<u8>) -> Got {
    if count == 0 {
        return Got::Nothing;
    }
    let mut scratch = SCRATCH.take();
    let result = rustix::io::read(fd, &mut scratch[..count.min(PIECE)]);
    let got = match result {
        Ok(0) | Err(Errno::CONNRESET) => Got::End,
        Ok(count) => {
            into.extend_from_slice(&scratch[..count]);
            Got::Bytes(count)
        }
        Err(Errno::AGAIN) => Got::Nothing,
        Err(error) => panic!("reading: {error}"),
    };
    SCRATCH.set(scratch);
    got
}

/// A file in memory that holds `bytes` and is at its begin.
pub fn file(bytes: &[u8]) -> OwnedFd {
    use std::io::{Seek, Write};
    let mut file = File::from(memfd_create("amrelay-fuzz", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file.into()
}

/// A device that takes everything (`null`) or nothing (`full`).
pub fn device(name: &str) -> OwnedFd {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/dev/{name}"));
    device.unwrap().into()
}

/// How many descriptors this process has open.
pub fn open_descriptors() -> usize {
    read_dir("/proc/self/fd").unwrap().count()
}
