//! Moves the bytes of a link: from its sources, through one frame at a time, to the connection.
//!
//! Runs once a turn of the event loop and does a bounded amount of work, so that other connections get their share. It
//! acts only after the borrow of the state has ended, since callbacks may do anything.

use std::io;
use std::mem;
use std::ops::ControlFlow::{self, Break, Continue};
use std::rc::Rc;
use std::time::Instant;

use super::callback::SealCallback;
use super::closing;
use super::connection::{Connection, LinkKind, Phase};
use super::frame::{HEADER_BYTES, MAX_FRAME, header};
use super::outgoing::{Frame, Next, Owner};
use super::schedule::{Key, QUANTUM};
use super::source::Loaded;
use super::stream::StreamCore;
use super::writer::{Halt, write};
use crate::event::Direction;
use crate::sys::Errno;
use crate::sys::errno::errno_of;

/// How many frames a link begins in one turn of the loop, and after how many bytes it begins no further one: one large
/// frame or a few small ones, so that connections get equal shares (docs/performance.md).
const TURN_FRAMES: usize = 16;
const TURN_BYTES: usize = QUANTUM;

/// Writes what the connection takes. Does nothing inside a callback of this link.
pub(super) fn pump(connection: &Connection) {
    if connection.pumping.replace(true) {
        return;
    }
    let mut turn = Turn {
        connection,
        frames: TURN_FRAMES,
        bytes: TURN_BYTES,
    };
    while turn.step().is_continue() {}
    connection.pumping.set(false);
}

/// A connection's turn, and what it may still begin in it.
struct Turn<'a> {
    connection: &'a Connection,
    frames: usize,
    bytes: usize,
}

impl Turn<'_> {
    fn is_spent(&self) -> bool {
        self.frames == 0 || self.bytes == 0
    }

    fn spend(&mut self, bytes: usize) {
        self.frames = self.frames.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Does the next thing there is to do. Returns whether the turn goes on, as do the functions it calls.
    fn step(&mut self) -> ControlFlow<()> {
        let mut state = self.connection.state.borrow_mut();
        let ended =
            matches!(state.phase, Phase::Ended(_)) || self.connection.event_loop.is_given_up();
        if ended || state.waiting.is_some() {
            return Break(());
        }
        if let Some(errno) = state.fault.take() {
            drop(state);
            return self.fail(errno);
        }
        let next = state.outgoing.next();
        if !matches!(next, Next::Frame | Next::Idle) && self.is_spent() {
            drop(state);
            self.connection.defer_pump();
            return Break(());
        }
        match next {
            Next::Frame => {
                drop(state);
                self.write_frame()
            }
            Next::Control => {
                let bytes = state.outgoing.take_control().unwrap_or_default();
                drop(state);
                self.spend(bytes.len());
                self.begin_control(bytes)
            }
            Next::Stream(key) => {
                drop(state);
                self.load(key)
            }
            Next::Idle => {
                state.buffer = Vec::new();
                drop(state);
                closing::end_if_written(self.connection);
                Break(())
            }
        }
    }

    fn write_frame(&self) -> ControlFlow<()> {
        match write(self.connection) {
            Halt::Done => {
                self.complete_frame();
                Continue(())
            }
            Halt::Full(direction) => self.wait_for(direction),
            Halt::Failed(errno) => self.fail(errno),
            Halt::Gone => Break(()),
        }
    }

    /// The frame in flight is out: tells its stream, and keeps the buffer for the next one.
    fn complete_frame(&self) {
        let mut state = self.connection.state.borrow_mut();
        let Some(frame) = state.outgoing.frame.take() else {
            return;
        };
        let (Owner::Stream(key) | Owner::End(key)) = frame.owner else {
            state.buffer = frame.bytes;
            return;
        };
        let after = state.begun.elapsed();
        state.frame_size.record(frame.payload, after);
        let stream = state.stream(key);
        let ready = state.outgoing.schedule.is_ready(key);
        drop(state);
        if let Some(stream) = stream {
            if matches!(frame.owner, Owner::End(_)) {
                closing::end_stream(self.connection, key, &stream, Ok(()));
            } else {
                stream.sent(frame.payload, ready);
                stream.tap(frame.shown());
            }
        }
        self.connection.state.borrow_mut().buffer = frame.bytes;
    }

    fn begin_control(&self, bytes: Vec<u8>) -> ControlFlow<()> {
        let bytes = match (self.seal(), bytes.split_first_chunk::<HEADER_BYTES>()) {
            (Some(seal), Some((head, payload))) if !payload.is_empty() => {
                match sealed_frame(seal, handle_of(*head), payload) {
                    Ok(sealed) => sealed,
                    Err(error) => return self.fail(errno_of(&error)),
                }
            }
            _ => bytes,
        };
        self.begin(Frame::copied(Owner::Nobody, bytes, 0))
    }

    /// Reads from the source of the stream whose turn it is.
    fn load(&mut self, key: Key) -> ControlFlow<()> {
        let mut guard = self.connection.state.borrow_mut();
        let state = &mut *guard;
        let Some(stream) = state.stream(key) else {
            state.outgoing.remove(key);
            return Continue(());
        };
        let mut buffer = mem::take(&mut state.buffer);
        state.begun = Instant::now();
        let loaded = stream.load(
            &mut buffer,
            self.header_room(),
            state.splices,
            &state.frame_size,
        );
        match loaded {
            Loaded::Copied { length, drained } => {
                // The level-triggered event tells when there is more: cheaper than asking again now.
                if drained && stream.watch().is_ok() {
                    state.outgoing.schedule.set_idle(key);
                }
                drop(guard);
                self.spend(length);
                self.begin_copied(key, &stream, buffer)
            }
            Loaded::InPipe(length) => {
                let header = self.header_alone(&stream, buffer, length);
                let frame = Frame::in_pipe(Owner::Stream(key), header, length);
                state.outgoing.begin(frame);
                drop(guard);
                self.spend(length);
                Continue(())
            }
            Loaded::Empty => {
                state.buffer = buffer;
                state.outgoing.schedule.set_idle(key);
                drop(guard);
                match stream.watch() {
                    Ok(()) => Continue(()),
                    Err(error) => self.end_stream(key, &stream, Err(errno_of(&error))),
                }
            }
            Loaded::End if self.connection.is_framed() => {
                drop(guard);
                let bytes = header(stream.handle(), 0).to_vec();
                self.begin(Frame::copied(Owner::End(key), bytes, 0))
            }
            Loaded::End => {
                drop(guard);
                self.end_stream(key, &stream, Ok(()))
            }
            Loaded::Failed(errno) => {
                drop(guard);
                self.end_stream(key, &stream, Err(errno))
            }
        }
    }

    /// What is sent from memory of a frame whose payload stays in the pipe: nothing on a raw link.
    fn header_alone(&self, stream: &StreamCore, mut buffer: Vec<u8>, length: usize) -> Vec<u8> {
        buffer.clear();
        if self.connection.is_framed() {
            buffer.extend_from_slice(&header(stream.handle(), length));
        }
        buffer
    }

    fn begin_copied(
        &self,
        key: Key,
        stream: &Rc<StreamCore>,
        mut buffer: Vec<u8>,
    ) -> ControlFlow<()> {
        let Some(seal) = self.seal() else {
            let room = self.header_room();
            let payload = buffer.len() - room;
            if room > 0 {
                buffer[..room].copy_from_slice(&header(stream.handle(), payload));
            }
            return self.begin(Frame::copied(Owner::Stream(key), buffer, payload));
        };
        match sealed_frame(seal, stream.handle(), &buffer) {
            Ok(sealed) => {
                // The callback may have freed the stream; its number may then be another's.
                let current = self.connection.state.borrow().stream(key);
                let owner = match current {
                    Some(current) if Rc::ptr_eq(&current, stream) => Owner::Stream(key),
                    _ => Owner::Nobody,
                };
                let mut frame = Frame::copied(owner, sealed, buffer.len());
                frame.unsealed = Some(buffer);
                self.begin(frame)
            }
            Err(error) => self.fail(errno_of(&error)),
        }
    }

    fn begin(&self, frame: Frame) -> ControlFlow<()> {
        let mut state = self.connection.state.borrow_mut();
        if !matches!(state.phase, Phase::Ended(_)) {
            state.outgoing.begin(frame);
        }
        Continue(())
    }

    fn wait_for(&self, direction: Direction) -> ControlFlow<()> {
        match self.connection.wait_for(direction) {
            Ok(()) => Break(()),
            Err(error) => self.fail(errno_of(&error)),
        }
    }

    fn fail(&self, errno: Errno) -> ControlFlow<()> {
        closing::fail(self.connection, errno);
        Break(())
    }

    fn end_stream(&self, key: Key, stream: &StreamCore, end: Result<(), Errno>) -> ControlFlow<()> {
        closing::end_stream(self.connection, key, stream, end);
        Continue(())
    }

    fn seal(&self) -> Option<&SealCallback> {
        match &self.connection.kind {
            LinkKind::Callback(callbacks) => callbacks.seal.as_ref(),
            LinkKind::Raw | LinkKind::Framed => None,
        }
    }

    /// How many bytes to leave for a header before a payload; a sealed payload is framed elsewhere.
    fn header_room(&self) -> usize {
        if self.connection.is_framed() && self.seal().is_none() {
            HEADER_BYTES
        } else {
            0
        }
    }
}

fn handle_of(header: [u8; HEADER_BYTES]) -> u32 {
    let [_, _, _, _, handle @ ..] = header;
    u32::from_be_bytes(handle)
}

fn sealed_frame(seal: &SealCallback, handle: u32, payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER_BYTES];
    seal(payload, &mut bytes)?;
    let length = bytes.len().saturating_sub(HEADER_BYTES);
    if length == 0 || length > MAX_FRAME {
        return Err(Errno::MSGSIZE.into());
    }
    bytes[..HEADER_BYTES].copy_from_slice(&header(handle, length));
    Ok(bytes)
}
