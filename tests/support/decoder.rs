//! Takes the byte stream of a framed connection apart, as a receiver does. A host has its own: the library only sends frames.

use std::fmt;

use amrelay::relay::frame::{HEADER_BYTES, MAX_FRAME};

/// A part of the byte stream, as [`Decoder::next_part`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A frame begins. Length 0: its stream has ended, and no payload follows.
    Frame {
        /// Whose frame it is.
        handle: u32,
        /// The bytes of payload that follow.
        length: usize,
    },
    /// Some of the payload of the frame begun last; never empty.
    Payload {
        /// Whose frame it is.
        handle: u32,
        /// The bytes, in order.
        bytes: &'a [u8],
    },
}

/// A header announced more than [`MAX_FRAME`] bytes: the byte stream is not one of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong {
    /// The length the header claimed.
    pub(crate) length: u32,
}

impl fmt::Display for TooLong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a frame claims {} bytes, more than {MAX_FRAME}",
            self.length
        )
    }
}

impl std::error::Error for TooLong {}

/// Takes a connection's byte stream apart, however it is cut. Holds no payload.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    header: [u8; HEADER_BYTES],
    header_read: usize,
    handle: u32,
    payload_left: usize,
}

impl Decoder {
    /// The next part of `input`, which is shortened by what was used; `None` when the rest is too little for one.
    ///
    /// # Errors
    /// [`TooLong`]; what follows in the byte stream cannot be told apart any more.
    pub(crate) fn next_part<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Part<'a>>, TooLong> {
        if input.is_empty() {
            return Ok(None);
        }
        if self.payload_left > 0 {
            let (bytes, rest) = input.split_at(self.payload_left.min(input.len()));
            self.payload_left -= bytes.len();
            *input = rest;
            let handle = self.handle;
            return Ok(Some(Part::Payload { handle, bytes }));
        }
        let wanted = HEADER_BYTES - self.header_read;
        let (bytes, rest) = input.split_at(wanted.min(input.len()));
        self.header[self.header_read..][..bytes.len()].copy_from_slice(bytes);
        self.header_read += bytes.len();
        *input = rest;
        if self.header_read < HEADER_BYTES {
            return Ok(None);
        }
        self.begin_frame().map(Some)
    }

    /// Whether the bytes so far end between two frames.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.header_read == 0 && self.payload_left == 0
    }

    fn begin_frame<'a>(&mut self) -> Result<Part<'a>, TooLong> {
        let [l0, l1, l2, l3, h0, h1, h2, h3] = self.header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let payload = usize::try_from(length).unwrap_or(usize::MAX);
        if payload > MAX_FRAME {
            return Err(TooLong { length });
        }
        self.handle = u32::from_be_bytes([h0, h1, h2, h3]);
        self.header_read = 0;
        self.payload_left = payload;
        Ok(Part::Frame {
            handle: self.handle,
            length: payload,
        })
    }
}
