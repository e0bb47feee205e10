//! The decoder of frames: any bytes, however they are cut, come apart the same way, and what was put together comes apart
//! into what it was made of.
//!
//! Run with scripts/fuzz.sh, or with cargo-fuzz (`cargo +nightly fuzz run frames`).
#![no_main]

#[path = "../../tests/support/decoder.rs"]
mod decoder;

use amrelay::relay::frame::{HEADER_BYTES, MAX_FRAME, header};
use amrelay_fuzz::pattern;
use amrelay_fuzz::program::{Amount, Sequence};
use arbitrary::Arbitrary;
use decoder::{Decoder, Part, TooLong};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Piece {
    /// A frame of so many bytes.
    Frame { handle: u32, length: Amount },
    /// The frame that ends a stream.
    End { handle: u32 },
    /// A header whose payload does not come whole: the claim is any.
    Claim { handle: u32, length: u32 },
    /// Any bytes.
    Noise([u8; 5]),
}

#[derive(Debug, Arbitrary)]
struct Program {
    /// How long the pieces are that the decoder gets, in turn.
    cuts: [u8; 4],
    pieces: Sequence<Piece>,
}

/// A frame as far as it came.
type Frame = (u32, usize, Vec<u8>);

#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    frames: Vec<Frame>,
    end: Result<bool, TooLong>,
}

/// Takes the bytes apart in pieces of these lengths, again and again.
fn decode(bytes: &[u8], mut cuts: impl Iterator<Item = usize>) -> Decoded {
    let mut decoder = Decoder::default();
    let mut frames: Vec<Frame> = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (mut piece, tail) = rest.split_at(cuts.next().unwrap().clamp(1, rest.len()));
        rest = tail;
        loop {
            let before = piece.len();
            match decoder.next_part(&mut piece) {
                Ok(None) => break,
                Ok(Some(Part::Frame { handle, length })) => {
                    assert!(length <= MAX_FRAME);
                    frames.push((handle, length, Vec::new()));
                }
                Ok(Some(Part::Payload { handle, bytes })) => {
                    let (owner, length, payload) = frames.last_mut().unwrap();
                    assert!(!bytes.is_empty() && handle == *owner);
                    payload.extend_from_slice(bytes);
                    assert!(payload.len() <= *length);
                }
                Err(error) => {
                    return Decoded {
                        frames,
                        end: Err(error),
                    };
                }
            }
            assert!(piece.len() < before, "no progress");
        }
        assert!(piece.is_empty(), "bytes were left");
    }
    let end = Ok(decoder.is_between_frames());
    Decoded { frames, end }
}

/// The bytes of the pieces, and the frames in them up to the first that is none.
fn encode(pieces: &[Piece]) -> (Vec<u8>, Vec<Frame>, bool) {
    let (mut bytes, mut frames, mut sound) = (Vec::new(), Vec::new(), true);
    for piece in pieces {
        let (handle, payload) = match *piece {
            Piece::Frame { handle, length } => (handle, pattern::bytes(frames.len(), 0, length.0)),
            Piece::End { handle } => (handle, Vec::new()),
            Piece::Claim { handle, length } => {
                sound = false;
                bytes.extend(length.to_be_bytes());
                bytes.extend(handle.to_be_bytes());
                continue;
            }
            Piece::Noise(noise) => {
                sound = false;
                bytes.extend(noise);
                continue;
            }
        };
        bytes.extend(header(handle, payload.len()));
        bytes.extend_from_slice(&payload);
        if sound {
            frames.push((handle, payload.len(), payload));
        }
    }
    (bytes, frames, sound)
}

fuzz_target!(|program: Program| {
    let (bytes, frames, sound) = encode(&program.pieces.0);
    let whole = decode(&bytes, std::iter::repeat(bytes.len()));
    assert_eq!(whole.frames[..frames.len()], frames);
    assert!(!sound || (whole.frames.len() == frames.len() && whole.end == Ok(true)));
    assert!(whole.frames.len() <= bytes.len() / HEADER_BYTES);
    let cuts = program.cuts.map(|cut| usize::from(cut) + 1);
    assert_eq!(decode(&bytes, cuts.into_iter().cycle()), whole);
});
