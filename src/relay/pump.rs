//! Moves the bytes of a link: from its sources, through one frame at a time, to the connection.
//!
//! Runs once a turn of the event loop and does a bounded amount of work in it, so that other connections get theirs.
//! What it finds is acted upon after the state has been let go, since callbacks may do anything.

use std::io;
use std::mem;
use std::rc::Rc;
use std::time::Instant;

use super::callback::SealCallback;
use super::error::code_of;
use super::frame::{HEADER_BYTES, MAX_FRAME, header};
use super::link::{Core, Direction, LinkKind, Phase};
use super::outgoing::{Frame, Next, Owner};
use super::schedule::{Key, QUANTUM};
use super::source::Loaded;
use super::stream;
use super::writer::Halt;

/// The frames a link begins in one turn of the loop, and the bytes after which it begins no other: one large frame or a
/// few small ones, so that connections get equal shares (docs/performance.md).
const TURN_FRAMES: usize = 16;
const TURN_BYTES: usize = QUANTUM;

/// Whether the pump goes on.
pub(super) enum Step {
    Again,
    Stop,
}

/// What this turn may still begin.
struct Allowance {
    frames: usize,
    bytes: usize,
}

impl Allowance {
    fn is_spent(&self) -> bool {
        self.frames == 0 || self.bytes == 0
    }

    fn spend(&mut self, bytes: usize) {
        self.frames = self.frames.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Core {
    /// Writes what the connection takes. Does nothing inside a callback of this link.
    pub(super) fn pump(self: &Rc<Self>) {
        if self.pumping.replace(true) {
            return;
        }
        let mut allowance = Allowance {
            frames: TURN_FRAMES,
            bytes: TURN_BYTES,
        };
        while let Step::Again = self.step(&mut allowance) {}
        self.pumping.set(false);
    }

    /// The connection is ready; an event that nobody waits for any more is switched off only now, so that a link that
    /// is full again and again costs no system call for it.
    pub(super) fn on_ready(&self, direction: Direction) {
        let mut state = self.state.borrow_mut();
        let awaited = state.waiting == Some(direction);
        if awaited {
            state.waiting = None;
        }
        let event = state.events.of(direction);
        drop(state);
        if !awaited || direction == Direction::Read {
            self.event_loop.deactivate(event);
        }
        if awaited {
            self.defer_pump();
        }
    }

    fn step(&self, allowance: &mut Allowance) -> Step {
        let mut state = self.state.borrow_mut();
        let ended = matches!(state.phase, Phase::Ended(_)) || self.event_loop.is_given_up();
        if ended || state.waiting.is_some() {
            return Step::Stop;
        }
        if let Some(code) = state.fault.take() {
            drop(state);
            return self.fail(code);
        }
        let next = state.outgoing.next();
        if !matches!(next, Next::Frame | Next::Idle) && allowance.is_spent() {
            drop(state);
            self.defer_pump();
            return Step::Stop;
        }
        match next {
            Next::Frame => {
                drop(state);
                self.write_frame()
            }
            Next::Control => {
                let bytes = state.outgoing.take_control().unwrap_or_default();
                drop(state);
                allowance.spend(bytes.len());
                self.begin_control(bytes)
            }
            Next::Stream(key) => {
                drop(state);
                self.load(key, allowance)
            }
            Next::Idle => {
                state.buffer = Vec::new();
                drop(state);
                self.finish_closing();
                Step::Stop
            }
        }
    }

    fn write_frame(&self) -> Step {
        let halt = match &self.kind {
            LinkKind::Callback(callbacks) => self.write_by_callback(callbacks),
            LinkKind::Raw | LinkKind::Framed => self.state.borrow_mut().write_to_descriptor(),
        };
        match halt {
            Halt::Done => {
                self.complete_frame();
                Step::Again
            }
            Halt::Full(direction) => self.wait_for(direction),
            Halt::Failed(code) => self.fail(code),
            Halt::Gone => Step::Stop,
        }
    }

    /// The frame in flight is out: tells its stream, and keeps the buffer for the next one.
    fn complete_frame(&self) {
        let mut state = self.state.borrow_mut();
        let Some(frame) = state.outgoing.frame.take() else {
            return;
        };
        let (Owner::Stream(key) | Owner::End(key)) = frame.owner else {
            state.buffer = frame.bytes;
            return;
        };
        let after = state.begun.elapsed();
        state.frame_size.left(frame.payload, after);
        let stream = state.stream(key);
        let ready = state.outgoing.schedule.is_ready(key);
        drop(state);
        if let Some(stream) = stream {
            if matches!(frame.owner, Owner::End(_)) {
                self.end_stream(key, &stream, 0);
            } else {
                stream.sent(frame.payload, ready);
                stream.tap(frame.shown());
            }
        }
        self.state.borrow_mut().buffer = frame.bytes;
    }

    fn begin_control(&self, bytes: Vec<u8>) -> Step {
        let bytes = match (self.seal(), bytes.split_first_chunk::<HEADER_BYTES>()) {
            (Some(seal), Some((head, payload))) if !payload.is_empty() => {
                match sealed_frame(seal, handle_of(*head), payload) {
                    Ok(sealed) => sealed,
                    Err(error) => return self.fail(code_of(&error)),
                }
            }
            _ => bytes,
        };
        self.begin(Frame::copied(Owner::Nobody, bytes, 0))
    }

    /// Reads from the source of the stream whose turn it is.
    fn load(&self, key: Key, allowance: &mut Allowance) -> Step {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let Some(stream) = state.stream(key) else {
            state.outgoing.remove(key);
            return Step::Again;
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
                allowance.spend(length);
                self.begin_copied(key, &stream, buffer)
            }
            Loaded::InPipe(length) => {
                let header = self.header_alone(&stream, buffer, length);
                let frame = Frame::in_pipe(Owner::Stream(key), header, length);
                state.outgoing.begin(frame);
                allowance.spend(length);
                Step::Again
            }
            Loaded::Empty => {
                state.buffer = buffer;
                state.outgoing.schedule.set_idle(key);
                drop(guard);
                if let Err(error) = stream.watch() {
                    self.end_stream(key, &stream, code_of(&error));
                }
                Step::Again
            }
            Loaded::End if self.is_framed() => {
                drop(guard);
                let bytes = header(stream.handle(), 0).to_vec();
                self.begin(Frame::copied(Owner::End(key), bytes, 0))
            }
            Loaded::End => {
                drop(guard);
                self.end_stream(key, &stream, 0);
                Step::Again
            }
            Loaded::Failed(code) => {
                drop(guard);
                self.end_stream(key, &stream, code);
                Step::Again
            }
        }
    }

    /// What is sent from memory of a frame whose payload stays in the pipe: nothing on a raw link.
    fn header_alone(&self, stream: &stream::Core, mut buffer: Vec<u8>, length: usize) -> Vec<u8> {
        buffer.clear();
        if self.is_framed() {
            buffer.extend_from_slice(&header(stream.handle(), length));
        }
        buffer
    }

    fn begin_copied(&self, key: Key, stream: &Rc<stream::Core>, mut buffer: Vec<u8>) -> Step {
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
                let current = self.state.borrow().stream(key);
                let owner = match current {
                    Some(current) if Rc::ptr_eq(&current, stream) => Owner::Stream(key),
                    _ => Owner::Nobody,
                };
                let mut frame = Frame::copied(owner, sealed, buffer.len());
                frame.unsealed = Some(buffer);
                self.begin(frame)
            }
            Err(error) => self.fail(code_of(&error)),
        }
    }

    fn begin(&self, frame: Frame) -> Step {
        let mut state = self.state.borrow_mut();
        if !matches!(state.phase, Phase::Ended(_)) {
            state.outgoing.begin(frame);
        }
        Step::Again
    }

    fn wait_for(&self, direction: Direction) -> Step {
        let mut state = self.state.borrow_mut();
        state.waiting = Some(direction);
        if let Some(Owner::Stream(key)) = state.outgoing.frame.as_ref().map(|frame| frame.owner) {
            if let Some(stream) = state.stream(key) {
                stream.held_up();
            }
        }
        let event = state.events.of(direction);
        drop(state);
        self.extend_deadline();
        match self.event_loop.activate(event) {
            Ok(()) => Step::Stop,
            Err(error) => self.fail(code_of(&error)),
        }
    }

    fn seal(&self) -> Option<&SealCallback> {
        match &self.kind {
            LinkKind::Callback(callbacks) => callbacks.seal.as_ref(),
            LinkKind::Raw | LinkKind::Framed => None,
        }
    }

    /// The bytes that a header needs before a payload that is read; one that is sealed is framed elsewhere.
    fn header_room(&self) -> usize {
        if self.is_framed() && self.seal().is_none() {
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
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    bytes[..HEADER_BYTES].copy_from_slice(&header(handle, length));
    Ok(bytes)
}
