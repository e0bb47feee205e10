//! A name that arrives in pieces, of bounded length.

use super::header::until_nul;
use super::outcome::{MAX_NAME, Omission};

/// A name, or none yet. Its memory is kept for the next one.
#[derive(Default)]
pub(super) struct Name {
    bytes: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Absent,
    Present,
    TooLong,
}

impl Name {
    /// The name, if there is one; an error if it is too long to hold.
    pub(super) fn get(&self) -> Option<Result<&[u8], Omission>> {
        match self.state {
            State::Absent => None,
            State::Present => Some(Ok(&self.bytes)),
            State::TooLong => Some(Err(Omission::NameTooLong)),
        }
    }

    pub(super) fn is_present(&self) -> bool {
        self.state != State::Absent
    }

    /// Whether there is a name, without any bytes.
    pub(super) fn is_empty(&self) -> bool {
        self.get() == Some(Ok(b""))
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.state = State::Absent;
    }

    /// Begins an empty name.
    pub(super) fn begin(&mut self) {
        self.bytes.clear();
        self.state = State::Present;
    }

    /// Adds the next piece, up to its first NUL. Returns whether there was a NUL: then the name is whole.
    pub(super) fn append(&mut self, piece: &[u8]) -> bool {
        let part = until_nul(piece);
        let length = self.bytes.len() + part.len();
        if length > MAX_NAME || self.state == State::TooLong {
            self.bytes.clear();
            self.state = State::TooLong;
            return part.len() < piece.len();
        }
        if length > self.bytes.capacity() {
            // Doubling, but never past the limit: seven names at most live in one index.
            let capacity = (2 * self.bytes.capacity()).max(length).min(MAX_NAME);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(part);
        part.len() < piece.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_stays_within_the_limit() {
        let mut name = Name::default();
        name.begin();
        while name.state != State::TooLong {
            assert!(!name.append(&[b'x'; 777]));
            assert!(name.bytes.capacity() <= MAX_NAME);
        }
        assert!(!name.append(&[b'x'; 777]) && name.append(b"x\0"));
        assert_eq!(name.get(), Some(Err(Omission::NameTooLong)));
        name.begin();
        assert!(name.append(b"short\0") && name.get() == Some(Ok(b"short")));
    }
}
