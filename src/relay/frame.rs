//! Frames: how many streams share one connection. Pure: bytes in, bytes out.
//!
//! The format is the token of Amanda's `tcpm_send_token_helper` (common-src/security-util.c, unchanged since 3.1): the
//! length of the payload and the handle of its stream, each 32 bits big-endian, then the payload. A frame of length 0
//! ends its stream. Once a frame is begun, nothing else may be written to the connection until it is complete.

/// Bytes before a payload.
pub const HEADER_BYTES: usize = 8;

/// The largest payload a receiver takes: 128 × `NETWORK_BLOCK_BYTES` (`tcpm_recv_token`).
pub const MAX_FRAME: usize = 128 * 32 * 1024;

/// The header of a frame. `length` is at most [`MAX_FRAME`], 0 to end the stream.
///
/// # Panics
/// When `length` does not fit in 32 bits.
#[must_use]
pub fn header(handle: u32, length: usize) -> [u8; HEADER_BYTES] {
    let length = u32::try_from(length).expect("a frame is at most MAX_FRAME bytes long");
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&length.to_be_bytes());
    header[4..].copy_from_slice(&handle.to_be_bytes());
    header
}
