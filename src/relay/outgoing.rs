//! What a link has to send, and in which order. Pure: it holds bytes and counts, and calls nothing.
//!
//! One frame is in flight at a time. Between two frames the control frames go first, then the stream whose turn it is.

use std::collections::VecDeque;
use std::mem;

use super::error::{Error, Result, out_of_memory};
use super::frame::{HEADER_BYTES, MAX_FRAME, header};
use super::schedule::{Key, Schedule};

/// The most bytes that wait as control frames behind the first one, which may be a large one. Each counts its header
/// and [`FRAME_COST`].
pub(super) const MAX_CONTROL: usize = 1024 * 1024;

/// What a queued frame takes besides its bytes, at most: its place in the queue, and the allocator's overhead.
const FRAME_COST: usize = 64;

/// Whom to tell when a frame is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody: it is a control frame, or the stream has been detached.
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
    /// This many bytes out of the source's pipe.
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
    fn advance(&mut self, count: usize) {
        if self.sent < self.bytes.len() {
            self.sent += count;
        } else {
            self.in_pipe -= count;
        }
    }

    /// The payload as the source gave it, for a tap; streams with a tap are never spliced.
    pub(super) fn shown(&self) -> &[u8] {
        match &self.unsealed {
            Some(payload) => payload,
            None => &self.bytes[self.bytes.len().saturating_sub(self.payload)..],
        }
    }

    /// How many unwritten bytes are held in memory.
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
    /// How many bytes the connection has taken so far.
    taken: u64,
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
        if let Some(first) = self.control.front() {
            let behind = self.control_bytes - first.len() + self.control.len() * FRAME_COST;
            if behind + length > MAX_CONTROL {
                return Err(Error::Limit("too many control frames wait to be sent"));
            }
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(out_of_memory)?;
        self.control.try_reserve(1).map_err(out_of_memory)?;
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

    /// The connection has taken `count` bytes of the frame in flight.
    pub(super) fn advance(&mut self, count: usize) {
        if let Some(frame) = &mut self.frame {
            frame.advance(count);
            self.taken += count as u64;
        }
    }

    /// Takes the bytes of the frame in flight for the time of a callback, and how many of them are out.
    pub(super) fn lend_frame(&mut self) -> Option<(Vec<u8>, usize)> {
        let frame = self.frame.as_mut()?;
        Some((mem::take(&mut frame.bytes), frame.sent))
    }

    /// Gives them back after `taken` more of them were written; false if the frame has been dropped meanwhile.
    pub(super) fn return_frame(&mut self, bytes: Vec<u8>, taken: usize) -> bool {
        let Some(frame) = &mut self.frame else {
            return false;
        };
        frame.bytes = bytes;
        self.advance(taken);
        true
    }

    /// How many bytes the connection has taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the frame in flight carries this stream's bytes or its end.
    pub(super) fn is_in_flight(&self, key: Key) -> bool {
        self.frame.as_ref().is_some_and(
            |frame| matches!(frame.owner, Owner::Stream(owner) | Owner::End(owner) if owner == key),
        )
    }

    /// Whether nothing waits, apart from streams.
    pub(super) fn is_empty(&self) -> bool {
        self.frame.is_none() && self.control.is_empty()
    }

    /// Takes a stream out. A frame of it that is in flight stays, and belongs to nobody from now on.
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const STREAMS: usize = 5;
    const CONTROL_HANDLE: u32 = 1000;

    #[derive(Debug, Clone)]
    enum Action {
        /// The writer of a stream writes so many bytes.
        Produce(usize, usize),
        /// The connection takes so many bytes.
        Take(usize),
        /// The host sends a control frame of so many bytes.
        Control(usize),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            (0..STREAMS, 1..2000_usize).prop_map(|(stream, bytes)| Action::Produce(stream, bytes)),
            (1..700_usize).prop_map(Action::Take),
            (1..50_usize).prop_map(Action::Control),
        ]
    }

    /// A connection and its sources, without a system call.
    struct Model {
        outgoing: Outgoing,
        keys: Vec<Key>,
        pipes: Vec<VecDeque<u8>>,
        produced: Vec<Vec<u8>>,
        controls: Vec<Vec<u8>>,
        closed: bool,
        output: Vec<u8>,
        /// Whether the next frame is copied or left in its pipe.
        copies: Box<dyn Iterator<Item = bool>>,
    }

    impl Model {
        fn new(copies: Vec<bool>) -> Self {
            let mut outgoing = Outgoing::default();
            let keys = (0..STREAMS)
                .map(|stream| outgoing.schedule.insert(stream % 2 == 0))
                .collect();
            Self {
                outgoing,
                keys,
                pipes: vec![VecDeque::new(); STREAMS],
                produced: vec![Vec::new(); STREAMS],
                controls: Vec::new(),
                closed: false,
                output: Vec::new(),
                copies: Box::new(copies.into_iter().cycle()),
            }
        }

        fn act(&mut self, action: &Action) {
            match *action {
                Action::Produce(stream, count) => {
                    let from = self.produced[stream].len();
                    let bytes = (from..from + count).map(|at| byte(stream, at));
                    self.produced[stream].extend(bytes.clone());
                    self.pipes[stream].extend(bytes);
                    self.outgoing.schedule.set_ready(self.keys[stream]);
                }
                Action::Take(count) => self.take(count),
                Action::Control(length) => {
                    let number = self.controls.len();
                    let payload: Vec<u8> = (0..length).map(|at| byte(number, at)).collect();
                    let handle = CONTROL_HANDLE + u32::try_from(number).unwrap();
                    self.outgoing.queue_control(handle, &payload).unwrap();
                    self.controls.push(payload);
                }
            }
        }

        fn take(&mut self, mut room: usize) {
            while room > 0 {
                match self.outgoing.next() {
                    Next::Idle => return,
                    Next::Frame => self.write(&mut room),
                    Next::Control => {
                        let bytes = self.outgoing.take_control().unwrap();
                        self.outgoing.begin(Frame::copied(Owner::Nobody, bytes, 0));
                    }
                    Next::Stream(key) => self.load(key),
                }
            }
        }

        fn write(&mut self, room: &mut usize) {
            let frame = self.outgoing.frame.as_mut().unwrap();
            let count = match frame.unsent() {
                Unsent::Bytes { bytes, .. } => {
                    let count = bytes.len().min(*room);
                    self.output.extend_from_slice(&bytes[..count]);
                    count
                }
                Unsent::InPipe(length) => {
                    let Owner::Stream(key) = frame.owner else {
                        panic!("only a stream has a pipe");
                    };
                    let count = length.min(*room);
                    self.output.extend(self.pipes[key].drain(..count));
                    count
                }
                Unsent::Nothing => {
                    let owner = frame.owner;
                    self.outgoing.frame = None;
                    if let Owner::End(key) = owner {
                        self.outgoing.remove(key);
                    }
                    return;
                }
            };
            self.outgoing.advance(count);
            *room -= count;
        }

        fn load(&mut self, key: Key) {
            let handle = u32::try_from(key).unwrap();
            let ready = self.pipes[key].len().min(900);
            if ready == 0 && self.closed {
                let bytes = header(handle, 0).to_vec();
                return self
                    .outgoing
                    .begin(Frame::copied(Owner::End(key), bytes, 0));
            }
            if ready == 0 {
                return self.outgoing.schedule.set_idle(key);
            }
            let mut bytes = header(handle, ready).to_vec();
            let owner = Owner::Stream(key);
            self.outgoing.begin(if self.copies.next().unwrap() {
                bytes.extend(self.pipes[key].drain(..ready));
                Frame::copied(owner, bytes, ready)
            } else {
                Frame::in_pipe(owner, bytes, ready)
            });
        }
    }

    fn byte(stream: usize, at: usize) -> u8 {
        u8::try_from((at * 31 + at / 251 + stream * 97) % 256).unwrap()
    }

    /// What each handle sent, and the handles that ended, in order.
    fn decode(mut output: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<u32>) {
        let (mut streams, mut controls, mut ended) =
            (vec![Vec::new(); STREAMS], Vec::new(), Vec::new());
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        while !output.is_empty() {
            let (header, rest) = output.split_at(HEADER_BYTES);
            let (length, handle) = (number(&header[..4]), number(&header[4..]));
            let (payload, rest) = rest.split_at(length as usize);
            output = rest;
            assert!(!ended.contains(&handle), "a frame after the end");
            if handle >= CONTROL_HANDLE {
                let next = CONTROL_HANDLE + u32::try_from(controls.len()).unwrap();
                assert_eq!(handle, next);
                controls.push(payload.to_vec());
            } else if payload.is_empty() {
                ended.push(handle);
            } else {
                streams[handle as usize].extend_from_slice(payload);
            }
        }
        (streams, controls, ended)
    }

    proptest! {
        #[test]
        fn any_partial_writes_give_what_each_stream_sent_in_order(
            actions in prop::collection::vec(action(), 1..200),
            copies in prop::collection::vec(any::<bool>(), 1..20),
        ) {
            let mut model = Model::new(copies);
            for action in &actions {
                model.act(action);
            }
            model.closed = true;
            for stream in 0..STREAMS {
                model.outgoing.schedule.set_ready(model.keys[stream]);
            }
            model.take(usize::MAX);
            prop_assert_eq!(model.outgoing.held(), 0);
            let (streams, controls, mut ended) = decode(&model.output);
            prop_assert_eq!(streams, model.produced);
            prop_assert_eq!(controls, model.controls);
            ended.sort_unstable();
            prop_assert_eq!(ended, (0..u32::try_from(STREAMS).unwrap()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn control_frames_are_refused_beyond_the_bound() {
        let mut outgoing = Outgoing::default();
        let largest = vec![7; MAX_FRAME];
        assert!(matches!(
            outgoing.queue_control(1, &vec![7; MAX_FRAME + 1]),
            Err(Error::Limit(_))
        ));
        outgoing.queue_control(1, &largest).unwrap();
        assert!(matches!(
            outgoing.queue_control(1, &largest),
            Err(Error::Limit(_))
        ));
        assert_eq!(outgoing.held(), HEADER_BYTES + MAX_FRAME);
    }

    #[test]
    fn empty_control_frames_count_for_what_they_take() {
        let mut outgoing = Outgoing::default();
        let mut queued = 0;
        while outgoing.queue_control(1, &[]).is_ok() {
            queued += 1;
        }
        assert_eq!(queued, 1 + MAX_CONTROL / (HEADER_BYTES + FRAME_COST));
    }

    #[test]
    fn a_frame_of_a_stream_taken_out_stays_in_flight() {
        let mut outgoing = Outgoing::default();
        let key = outgoing.schedule.insert(true);
        outgoing.begin(Frame::copied(Owner::Stream(key), vec![1, 2, 3], 3));
        outgoing.remove(key);
        assert_eq!(outgoing.next(), Next::Frame);
        assert_eq!(outgoing.frame.as_ref().unwrap().owner, Owner::Nobody);
    }
}
