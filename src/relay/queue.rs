//! Bytes that wait to be written, in the order they came in. Pure.

use std::collections::{TryReserveError, VecDeque};
use std::io::Cursor;

use bytes::Buf;

/// Small additions are gathered into pieces of this size.
const PIECE: usize = 64 * 1024;

/// A queue of bytes in pieces that are allocated as they are needed and freed as they are taken.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Cursor<Vec<u8>>>,
}

impl Queue {
    /// Puts a copy of `bytes` at the end. If memory is short, a part of them may have been added.
    pub(super) fn append(&mut self, mut bytes: &[u8]) -> Result<(), TryReserveError> {
        if let Some(last) = self.pieces.back_mut() {
            let last = last.get_mut();
            let (fits, rest) = bytes.split_at(bytes.len().min(last.capacity() - last.len()));
            last.extend_from_slice(fits);
            bytes = rest;
        }
        for part in bytes.chunks(PIECE) {
            let mut piece = Vec::new();
            piece.try_reserve_exact(PIECE)?;
            self.pieces.try_reserve(1)?;
            piece.extend_from_slice(part);
            self.pieces.push_back(Cursor::new(piece));
        }
        Ok(())
    }

    /// The bytes to be written next; none if the queue is empty.
    pub(super) fn front(&self) -> Option<&[u8]> {
        self.pieces.front().map(Buf::chunk)
    }

    /// Takes `count` bytes, no more than [`Queue::front`] has, off the front.
    pub(super) fn consume(&mut self, count: usize) {
        if let Some(first) = self.pieces.front_mut() {
            first.advance(count);
            if !first.has_remaining() {
                self.pieces.pop_front();
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            steps in prop::collection::vec((0..3 * PIECE, 0..3 * PIECE), 1..20),
        ) {
            let mut queue = Queue::default();
            let mut expected = Vec::new();
            let mut taken = Vec::new();
            for (added, wanted) in steps {
                let bytes: Vec<u8> = (expected.len()..expected.len() + added)
                    .map(|at| u8::try_from(at % 251).unwrap())
                    .collect();
                queue.append(&bytes).unwrap();
                expected.extend(bytes);
                let mut wanted = wanted;
                while let Some(front) = queue.front().filter(|_| wanted > 0) {
                    let count = front.len().min(wanted);
                    prop_assert!(count > 0);
                    taken.extend_from_slice(&front[..count]);
                    queue.consume(count);
                    wanted -= count;
                }
                prop_assert_eq!(queue.is_empty(), taken.len() == expected.len());
            }
            while let Some(front) = queue.front() {
                let count = front.len();
                taken.extend_from_slice(front);
                queue.consume(count);
            }
            prop_assert!(taken == expected);
        }
    }
}
