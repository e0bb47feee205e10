//! Writes as much of the frame in flight as the connection takes.

use std::cell::RefMut;
use std::io;
use std::os::fd::AsFd;

use super::callback::{Callbacks, Taken};
use super::connection::{Connection, LinkKind, State};
use super::outgoing::Unsent;
use crate::event::Direction;
use crate::sys::Errno;
use crate::sys::errno::errno_of;
use crate::sys::pipe::{refused, splice};
use crate::sys::read::readable_bytes;
use crate::sys::signal::SigpipeGuard;
use crate::sys::socket;

/// How writing came to a halt.
pub(super) enum Halt {
    /// The frame is out.
    Done,
    /// The connection takes nothing more until this happens.
    Full(Direction),
    /// The connection has failed.
    Failed(Errno),
    /// The link has ended meanwhile, or its loop was given up.
    Gone,
}

/// The result of one attempt.
enum Progress {
    Some,
    Full,
    Fallback,
}

/// Writes the frame in flight until it is out or the connection takes nothing more.
pub(super) fn write(connection: &Connection) -> Halt {
    match &connection.kind {
        LinkKind::Callback(callbacks) => write_by_callback(connection, callbacks),
        LinkKind::Raw | LinkKind::Framed => write_to_descriptor(&mut connection.state.borrow_mut()),
    }
}

/// Gives the rest of the frame to the host. The bytes leave the state meanwhile, so that the callback may do anything;
/// their address stays the same.
fn write_by_callback(connection: &Connection, callbacks: &Callbacks) -> Halt {
    let outgoing = || RefMut::map(connection.state.borrow_mut(), |state| &mut state.outgoing);
    loop {
        let Some((bytes, sent)) = outgoing().lend_frame() else {
            return Halt::Gone;
        };
        if sent == bytes.len() {
            outgoing().return_frame(bytes, 0);
            return Halt::Done;
        }
        let unsent = bytes.len() - sent;
        let result = (callbacks.write)(&bytes[sent..]);
        let taken = match result {
            Ok(Taken::Bytes(count)) if (1..=unsent).contains(&count) => count,
            _ => 0,
        };
        let returned = outgoing().return_frame(bytes, taken);
        if !returned || connection.event_loop.is_given_up() {
            return Halt::Gone;
        }
        match result {
            Ok(Taken::Bytes(_)) if taken > 0 => {}
            Ok(Taken::Bytes(_)) => return Halt::Failed(Errno::INVAL),
            Ok(Taken::WantWrite) => return Halt::Full(Direction::Write),
            Ok(Taken::WantRead) => return Halt::Full(Direction::Read),
            Err(error) => return Halt::Failed(errno_of(&error)),
        }
    }
}

/// Writes the frame in flight to a connection that the library writes to itself.
fn write_to_descriptor(state: &mut State) -> Halt {
    loop {
        let Some(descriptor) = &state.descriptor else {
            return Halt::Gone;
        };
        let progress = match state.outgoing.frame.as_ref().map(|frame| frame.unsent()) {
            None => return Halt::Gone,
            Some(Unsent::Nothing) => return Halt::Done,
            Some(Unsent::Bytes { bytes, more }) => {
                let sent = socket::send(descriptor.as_fd(), state.nature, bytes, more);
                let wanted = bytes.len();
                count_sent(state, wanted, sent)
            }
            Some(Unsent::InPipe(length)) => splice_frame(state, length),
        };
        match progress {
            Ok(Progress::Some) => {}
            Ok(Progress::Full) => return Halt::Full(Direction::Write),
            Ok(Progress::Fallback) => {
                state.splices = false;
                if let Err(error) = state.rescue() {
                    return Halt::Failed(errno_of(&error));
                }
            }
            Err(error) => return Halt::Failed(errno_of(&error)),
        }
    }
}

/// A connection that took less than it was given is full: a further call would be wasted.
fn count_sent(state: &mut State, wanted: usize, sent: io::Result<usize>) -> io::Result<Progress> {
    match sent {
        Ok(count) => {
            state.outgoing.advance(count);
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
fn splice_frame(state: &mut State, length: usize) -> io::Result<Progress> {
    let (Some(stream), Some(descriptor)) = (state.stream_in_flight(), &state.descriptor) else {
        return Err(Errno::IO.into());
    };
    let spliced = stream.with_source(|source| {
        let _guard = SigpipeGuard::new();
        match splice(source.fd(), descriptor.as_fd(), length, false) {
            // Would block for want of room, or because the bytes that were counted have gone?
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && readable_bytes(source.fd())? == 0 =>
            {
                Ok(0)
            }
            result => result,
        }
    });
    match spliced {
        Ok(0) => Err(Errno::IO.into()),
        Ok(count) => {
            stream.count_spliced();
            state.outgoing.advance(count);
            Ok(Progress::Some)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Progress::Full),
        Err(error) if refused(&error) => Ok(Progress::Fallback),
        Err(error) => Err(error),
    }
}
