//! What a link has to send, and in which order. Pure: it holds bytes and counts, and calls nothing.
//!
//! One frame is in flight at a time. Between two frames the control frames go first, then the stream whose turn it is.

use std::collections::VecDeque;

use super::error::{Error, Result};
use super::frame::{HEADER_BYTES, MAX_FRAME, header};
use super::schedule::{Key, Schedule};

/// The most bytes that wait as control frames, headers included.
pub(super) const MAX_CONTROL: usize = 2 * MAX_FRAME;

/// Whom to tell when a frame is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody: a control frame, or the stream has been stopped meanwhile.
    Nobody,
    /// The stream whose bytes these are.
    Stream(Key),
    /// The stream that ends with this frame.
    End(Key),
}

/// A frame on its way. On a raw link it is a piece of the one stream, without a header.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) owner: Owner,
    /// The header and the part of the payload that is copied; taken away while a write callback has it.
    pub(super) bytes: Vec<u8>,
    /// How many of `bytes` are out.
    sent: usize,
    /// How much of the payload, behind `bytes`, is still in the source's pipe.
    pub(super) in_pipe: usize,
    /// How many bytes of the stream it carries.
    pub(super) payload: usize,
    /// The payload before it was sealed, where a tap wants it.
    pub(super) unsealed: Option<Vec<u8>>,
}

/// What of a frame is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsent<'a> {
    /// These bytes; `more` if a part of the frame follows them.
    Bytes { bytes: &'a [u8], more: bool },
    /// So many bytes out of the source's pipe.
    InPipe(usize),
    /// Nothing: the frame is out.
    Nothing,
}

impl Frame {
    /// A frame all of whose bytes are here, header included; `payload` of them are the owner's.
    pub(super) fn copied(owner: Owner, bytes: Vec<u8>, payload: usize) -> Self {
        Self {
            owner,
            bytes,
            sent: 0,
            in_pipe: 0,
            payload,
            unsealed: None,
        }
    }

    /// A frame whose payload stays in the source's pipe: `bytes` is its header.
    pub(super) fn in_pipe(owner: Owner, bytes: Vec<u8>, payload: usize) -> Self {
        Self {
            in_pipe: payload,
            ..Self::copied(owner, bytes, payload)
        }
    }

    pub(super) fn unsent(&self) -> Unsent<'_> {
        if self.sent < self.bytes.len() {
            Unsent::Bytes {
                bytes: &self.bytes[self.sent..],
                more: self.in_pipe > 0,
            }
        } else if self.in_pipe > 0 {
            Unsent::InPipe(self.in_pipe)
        } else {
            Unsent::Nothing
        }
    }

    /// Counts `count` of the unsent bytes, or of those in the pipe, as written.
    pub(super) fn advance(&mut self, count: usize) {
        if self.sent < self.bytes.len() {
            self.sent += count;
        } else {
            self.in_pipe -= count;
        }
    }

    /// How many of `bytes` are out.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// What is held in memory of what is not yet written.
    fn held(&self) -> usize {
        self.bytes.len().saturating_sub(self.sent)
    }
}

/// What a link does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Write the frame in flight.
    Frame,
    /// Begin the next control frame.
    Control,
    /// Read this stream's source and begin a frame of it.
    Stream(Key),
    /// Nothing.
    Idle,
}

/// Everything that waits to be written to one connection.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) schedule: Schedule,
    pub(super) frame: Option<Frame>,
    control: VecDeque<Vec<u8>>,
    control_bytes: usize,
}

impl Outgoing {
    /// Copies a control frame into the queue; length 0 ends the stream of that handle.
    pub(super) fn queue_control(&mut self, handle: u32, payload: &[u8]) -> Result<()> {
        if payload.len() > MAX_FRAME {
            return Err(Error::Limit(
                "a frame of more than 4 MiB: no receiver takes it",
            ));
        }
        let length = HEADER_BYTES + payload.len();
        if self.control_bytes + length > MAX_CONTROL {
            return Err(Error::Limit("too many control frames wait to be sent"));
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&header(handle, payload.len()));
        bytes.extend_from_slice(payload);
        self.control_bytes += length;
        self.control.push_back(bytes);
        Ok(())
    }

    /// The next control frame, whole.
    pub(super) fn take_control(&mut self) -> Option<Vec<u8>> {
        let bytes = self.control.pop_front()?;
        self.control_bytes -= bytes.len();
        Some(bytes)
    }

    pub(super) fn next(&mut self) -> Next {
        if self.frame.is_some() {
            Next::Frame
        } else if !self.control.is_empty() {
            Next::Control
        } else {
            self.schedule.next_turn().map_or(Next::Idle, Next::Stream)
        }
    }

    /// Puts a frame in flight; its stream is charged for it.
    pub(super) fn begin(&mut self, frame: Frame) {
        if let Owner::Stream(key) | Owner::End(key) = frame.owner {
            let bytes = frame.bytes.len() + frame.in_pipe;
            self.schedule.charge(key, bytes);
        }
        self.frame = Some(frame);
    }

    /// Whether the frame in flight carries this stream's bytes or its end.
    pub(super) fn is_in_flight(&self, key: Key) -> bool {
        self.frame.as_ref().is_some_and(
            |frame| matches!(frame.owner, Owner::Stream(owner) | Owner::End(owner) if owner == key),
        )
    }

    /// Whether nothing waits, streams left aside.
    pub(super) fn is_empty(&self) -> bool {
        self.frame.is_none() && self.control.is_empty()
    }

    /// Takes a stream out. A frame of it that is in flight stays, and is nobody's from now on.
    pub(super) fn remove(&mut self, key: Key) {
        self.schedule.remove(key);
        if self.is_in_flight(key) {
            if let Some(frame) = &mut self.frame {
                frame.owner = Owner::Nobody;
            }
        }
    }

    /// How many bytes are held in memory.
    pub(super) fn held(&self) -> usize {
        self.control_bytes + self.frame.as_ref().map_or(0, Frame::held)
    }
}
