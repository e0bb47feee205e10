//! The format of frames: any cut of a byte stream is decoded alike, and hostile bytes do no harm.

use amrelay::relay::frame::{MAX_FRAME, header};
use proptest::prelude::*;

use crate::support::decoder::{Decoder, Part, TooLong};

/// Frames put together, from pieces of input of the lengths `cuts`.
fn decode(bytes: &[u8], cuts: &[usize]) -> Result<Vec<(u32, Vec<u8>)>, TooLong> {
    let mut decoder = Decoder::default();
    let mut frames: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut rest = bytes;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let (mut input, later) = rest.split_at(cut.min(rest.len()));
        rest = later;
        while let Some(part) = decoder.next_part(&mut input)? {
            match part {
                Part::Frame { handle, .. } => frames.push((handle, Vec::new())),
                Part::Payload { handle, bytes } => {
                    let (owner, payload) = frames.last_mut().expect("a frame was begun");
                    assert_eq!(*owner, handle);
                    assert!(!bytes.is_empty());
                    payload.extend_from_slice(bytes);
                }
            }
        }
    }
    assert!(decoder.is_between_frames());
    Ok(frames)
}

proptest! {
    #[test]
    fn any_cut_decodes_alike(
        frames in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..300)), 0..20),
        cuts in prop::collection::vec(1..40_usize, 0..400),
    ) {
        let mut bytes = Vec::new();
        for (handle, payload) in &frames {
            bytes.extend_from_slice(&header(*handle, payload.len()));
            bytes.extend_from_slice(payload);
        }
        prop_assert_eq!(decode(&bytes, &cuts).unwrap(), frames);
    }

    #[test]
    fn hostile_bytes_end_in_an_error_or_in_parts(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut decoder = Decoder::default();
        let mut input = bytes.as_slice();
        let mut before = input.len();
        loop {
            match decoder.next_part(&mut input) {
                Ok(Some(_)) => {
                    prop_assert!(input.len() < before);
                    before = input.len();
                }
                Ok(None) => { prop_assert!(input.is_empty()); break; }
                Err(TooLong { length }) => { prop_assert!(length as usize > MAX_FRAME); break; }
            }
        }
    }
}

#[test]
fn a_header_is_length_then_handle_in_network_order() {
    assert_eq!(header(0x0102_0304, 0x0005_0607), [0, 5, 6, 7, 1, 2, 3, 4]);
}

#[test]
fn the_largest_frame_is_taken_and_one_byte_more_is_not() {
    let mut decoder = Decoder::default();
    let largest = header(1, MAX_FRAME);
    assert_eq!(
        decoder.next_part(&mut &largest[..]),
        Ok(Some(Part::Frame {
            handle: 1,
            length: MAX_FRAME
        }))
    );
    let mut decoder = Decoder::default();
    let larger = header(1, MAX_FRAME + 1);
    assert!(decoder.next_part(&mut &larger[..]).is_err());
}
