//! A name that arrives in pieces, of bounded length.

use super::outcome::Fault;

/// The longest name, in bytes, that an index can hold: 256 KiB. Linux refuses paths of more than
/// 4 KiB in one call; only names put together by hand or by `openat` come near this.
pub const MAX_NAME: usize = 256 * 1024;

/// A name, or none yet. Its memory is kept for the next one.
#[derive(Default)]
pub(super) struct Name {
    bytes: Vec<u8>,
    present: bool,
}

impl Name {
    pub(super) fn get(&self) -> Option<&[u8]> {
        self.present.then_some(&*self.bytes)
    }

    pub(super) fn is_present(&self) -> bool {
        self.present
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.present = false;
    }

    /// Begins an empty name.
    pub(super) fn begin(&mut self) {
        self.bytes.clear();
        self.present = true;
    }

    /// Adds the next piece, up to its first NUL. Tells whether there was one: then the name is
    /// whole.
    pub(super) fn append(&mut self, piece: &[u8]) -> Result<bool, Fault> {
        let part = super::header::until_nul(piece);
        let length = self.bytes.len() + part.len();
        if length > MAX_NAME {
            return Err(Fault::NameTooLong);
        }
        if length > self.bytes.capacity() {
            // Doubling, but never past the limit: seven names at most live in one index.
            let capacity = (2 * self.bytes.capacity()).max(length).min(MAX_NAME);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len() < piece.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_stays_within_the_limit() {
        let mut name = Name::default();
        name.begin();
        while name.append(&[b'x'; 777]).is_ok() {}
        assert!(name.bytes.len() > MAX_NAME - 777);
        assert!(name.bytes.capacity() <= MAX_NAME);
    }
}
