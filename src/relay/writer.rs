//! Writes the frame in flight to the connection, as far as that takes it.

use std::io;
use std::mem;
use std::os::fd::AsFd;

use super::callback::{Callbacks, Taken};
use super::error::code_of;
use super::link::{Core, Direction, State};
use super::outgoing::{Owner, Unsent};
use super::stream;
use crate::sys::pipe;
use crate::sys::signal::SigpipeGuard;
use crate::sys::socket;
use crate::sys::splice::{refused, splice};

/// How writing came to a halt.
pub(super) enum Halt {
    /// The frame is out.
    Done,
    /// The connection takes nothing more until this happens.
    Full(Direction),
    /// The connection has failed.
    Failed(i32),
    /// The link has ended meanwhile, or its loop was given up.
    Gone,
}

/// What one attempt achieved.
enum Progress {
    Some,
    Full,
    Fallback,
}

impl Core {
    /// Gives the rest of the frame to the host. The bytes leave the state meanwhile, so that the callback may do
    /// anything; their address stays the same.
    pub(super) fn write_by_callback(&self, callbacks: &Callbacks) -> Halt {
        loop {
            let Some((bytes, sent)) = self.state.borrow_mut().lend_frame() else {
                return Halt::Gone;
            };
            if sent == bytes.len() {
                self.state.borrow_mut().return_frame(bytes, 0);
                return Halt::Done;
            }
            let unsent = bytes.len() - sent;
            let result = (callbacks.write)(&bytes[sent..]);
            let taken = match result {
                Ok(Taken::Bytes(count)) if (1..=unsent).contains(&count) => count,
                _ => 0,
            };
            let returned = self.state.borrow_mut().return_frame(bytes, taken);
            if !returned || self.event_loop.is_given_up() {
                return Halt::Gone;
            }
            match result {
                Ok(Taken::Bytes(_)) if taken > 0 => {}
                Ok(Taken::Bytes(_)) => return Halt::Failed(-libc::EINVAL),
                Ok(Taken::WantWrite) => return Halt::Full(Direction::Write),
                Ok(Taken::WantRead) => return Halt::Full(Direction::Read),
                Err(error) => return Halt::Failed(code_of(&error)),
            }
        }
    }
}

impl State {
    /// Writes the frame in flight to a connection that is the library's to write to.
    pub(super) fn write_to_descriptor(&mut self) -> Halt {
        loop {
            let Some(descriptor) = &self.descriptor else {
                return Halt::Gone;
            };
            let progress = match self.outgoing.frame.as_ref().map(|frame| frame.unsent()) {
                None => return Halt::Gone,
                Some(Unsent::Nothing) => return Halt::Done,
                Some(Unsent::Bytes { bytes, more }) => {
                    let sent = socket::send(descriptor.as_fd(), self.nature, bytes, more);
                    let wanted = bytes.len();
                    self.count_sent(wanted, sent)
                }
                Some(Unsent::InPipe(length)) => self.splice(length),
            };
            match progress {
                Ok(Progress::Some) => {}
                Ok(Progress::Full) => return Halt::Full(Direction::Write),
                Ok(Progress::Fallback) => {
                    self.splices = false;
                    if let Err(error) = self.rescue() {
                        return Halt::Failed(code_of(&error));
                    }
                }
                Err(error) => return Halt::Failed(code_of(&error)),
            }
        }
    }

    /// A connection that took less than it was given is full: asking once more would be a wasted call.
    fn count_sent(&mut self, wanted: usize, sent: io::Result<usize>) -> io::Result<Progress> {
        match sent {
            Ok(count) => {
                self.outgoing.advance(count);
                Ok(if count < wanted {
                    Progress::Full
                } else {
                    Progress::Some
                })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Progress::Full),
            Err(error) => Err(error),
        }
    }

    /// Moves some of the frame's bytes from the source's pipe to the connection.
    fn splice(&mut self, length: usize) -> io::Result<Progress> {
        let (Some(stream), Some(descriptor)) = (self.frame_stream(), &self.descriptor) else {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        };
        let spliced = stream.with_source(|source| {
            let _guard = SigpipeGuard::new();
            match splice(source.fd(), descriptor.as_fd(), length, false) {
                // Would block for want of room, or because the bytes that were counted have gone?
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && pipe::readable_bytes(source.fd())? == 0 =>
                {
                    Ok(0)
                }
                result => result,
            }
        });
        match spliced {
            Ok(0) => Err(io::Error::from_raw_os_error(libc::EIO)),
            Ok(count) => {
                stream.count_spliced();
                self.outgoing.advance(count);
                Ok(Progress::Some)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Progress::Full),
            Err(error) if refused(&error) => Ok(Progress::Fallback),
            Err(error) => Err(error),
        }
    }

    /// Reads what the frame in flight has left in its source's pipe, so that it can be completed without the source.
    pub(super) fn rescue(&mut self) -> io::Result<()> {
        let stream = self.frame_stream();
        let Some(frame) = &mut self.outgoing.frame else {
            return Ok(());
        };
        let length = mem::take(&mut frame.in_pipe);
        match stream {
            Some(stream) if length > 0 => {
                stream.with_source(|source| source.rescue(&mut frame.bytes, length))
            }
            _ => Ok(()),
        }
    }

    fn frame_stream(&self) -> Option<std::rc::Rc<stream::Core>> {
        match self.outgoing.frame.as_ref()?.owner {
            Owner::Stream(key) => self.stream(key),
            Owner::Nobody | Owner::End(_) => None,
        }
    }

    /// Takes the bytes of the frame in flight for the time of a callback, and how many of them are out.
    fn lend_frame(&mut self) -> Option<(Vec<u8>, usize)> {
        let frame = self.outgoing.frame.as_mut()?;
        Some((mem::take(&mut frame.bytes), frame.sent()))
    }

    /// Gives them back, `taken` more of them being out; false if the frame has been dropped meanwhile.
    fn return_frame(&mut self, bytes: Vec<u8>, taken: usize) -> bool {
        let Some(frame) = &mut self.outgoing.frame else {
            return false;
        };
        frame.bytes = bytes;
        self.outgoing.advance(taken);
        true
    }
}
