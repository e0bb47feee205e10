//! The plain loops that a relay is measured against: one pipe, one connection, blocking calls, nothing else to do.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use amrelay::relay::frame::header;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::ioctl_fionread;
use rustix::net::{SendFlags, send};
use rustix::pipe::{SpliceFlags, splice};

/// The largest payload of a spliced frame, as the relay's.
const SPLICED: usize = 256 * 1024;

/// The handle of the one stream.
const HANDLE: u32 = 0;

/// Splices what the pipe holds, each time behind a header that says how much: the least that the kernel can be asked.
pub(crate) fn splice_frames(source: &OwnedFd, connection: &TcpStream) {
    loop {
        let mut ready = readable(source);
        if ready == 0 {
            poll(&mut [PollFd::new(source, PollFlags::IN)], None).unwrap();
            ready = readable(source);
        }
        let mut left = ready.min(SPLICED);
        let flags = if left > 0 {
            SendFlags::MORE
        } else {
            SendFlags::empty()
        };
        send(
            connection,
            &header(HANDLE, left),
            flags | SendFlags::NOSIGNAL,
        )
        .unwrap();
        if left == 0 {
            return;
        }
        while left > 0 {
            left -= splice(source, None, connection, None, left, SpliceFlags::MOVE).unwrap();
        }
    }
}

fn readable(source: &OwnedFd) -> usize {
    usize::try_from(ioctl_fionread(source).unwrap()).unwrap()
}

/// Splices until the pipe ends.
pub(crate) fn splice_raw(source: &OwnedFd, connection: &TcpStream) {
    while splice(source, None, connection, None, SPLICED, SpliceFlags::MOVE).unwrap() > 0 {}
}

/// Reads up to `size` bytes and writes them behind a header.
pub(crate) fn copy_frames(source: OwnedFd, mut connection: &TcpStream, size: usize) {
    let (mut source, mut buffer) = (File::from(source), vec![0; size]);
    loop {
        let count = source.read(&mut buffer).unwrap();
        let head = header(HANDLE, count);
        let pieces = [IoSlice::new(&head), IoSlice::new(&buffer[..count])];
        let sent = connection.write_vectored(&pieces).unwrap();
        let unsent = head.get(sent..).unwrap_or_default();
        connection.write_all(unsent).unwrap();
        let payload = sent.saturating_sub(head.len());
        connection.write_all(&buffer[payload..count]).unwrap();
        if count == 0 {
            return;
        }
    }
}

/// Reads up to `size` bytes and writes them.
pub(crate) fn copy_raw(source: OwnedFd, mut connection: &TcpStream, size: usize) {
    let (mut source, mut buffer) = (File::from(source), vec![0; size]);
    loop {
        match source.read(&mut buffer).unwrap() {
            0 => return,
            count => connection.write_all(&buffer[..count]).unwrap(),
        }
    }
}
