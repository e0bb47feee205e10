//! Which stream of a link sends its next frame. Pure: it sees keys and byte counts, nothing else.
//!
//! Deficit round robin by bytes with a list of sparse streams before it, after FQ-CoDel (RFC 8290, section 4). Each
//! stream has a credit of [`QUANTUM`] bytes a round. A stream that becomes ready while it has credit left goes before
//! the backlogged ones, so that a message never waits behind a queue of data; one that has used up its credit takes its
//! place among the backlogged, so that nobody starves. Two departures from the RFC: bulk streams are never sparse, and
//! a sparse stream that was empty for a moment keeps its precedence for the rest of its credit.

use std::collections::VecDeque;

/// How many bytes a stream may send a round: what an ordinary pipe holds. With more, a stream whose pipe is filled
/// again while it is being read would send several times as much as one whose writer sleeps meanwhile
/// (docs/performance.md).
pub const QUANTUM: usize = 64 * 1024;

/// A stream's number in its schedule; given to another stream once it has been removed.
pub type Key = usize;

/// The streams of one link that have something to send, in the order in which they may.
#[derive(Debug, Default)]
pub struct Schedule {
    streams: Vec<Option<Stream>>,
    vacant: Vec<Key>,
    sparse: VecDeque<Key>,
    backlogged: VecDeque<Key>,
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    /// Never sparse.
    Bulk,
    Other,
}

#[derive(Debug)]
struct Stream {
    class: Class,
    ready: bool,
    credit: i64,
    in_sparse: bool,
    /// Stays set while the stream is in the sparse list as well: its next round begins at its place here.
    in_backlogged: bool,
}

impl Schedule {
    /// Adds a stream that has nothing to send yet. `bulk`: it carries data by the gigabyte and never takes precedence.
    pub fn insert(&mut self, bulk: bool) -> Key {
        let stream = Some(Stream {
            class: if bulk { Class::Bulk } else { Class::Other },
            ready: false,
            credit: 0,
            in_sparse: false,
            in_backlogged: false,
        });
        if let Some(key) = self.vacant.pop() {
            self.streams[key] = stream;
            key
        } else {
            self.streams.push(stream);
            self.streams.len() - 1
        }
    }

    /// Takes a stream out; its key may be reused. An unknown key does nothing.
    pub fn remove(&mut self, key: Key) {
        let Some(stream) = self.streams.get_mut(key).and_then(Option::take) else {
            return;
        };
        if stream.in_sparse {
            self.sparse.retain(|&other| other != key);
        }
        if stream.in_backlogged {
            self.backlogged.retain(|&other| other != key);
        }
        self.vacant.push(key);
    }

    /// The stream has something to send. Does nothing if that was known already.
    pub fn set_ready(&mut self, key: Key) {
        let Some(stream) = self.stream(key) else {
            return;
        };
        if stream.ready {
            return;
        }
        stream.ready = true;
        if stream.in_sparse {
            return;
        }
        if !stream.in_backlogged {
            stream.credit = credit(QUANTUM);
        }
        if stream.class == Class::Other && stream.credit > 0 {
            stream.in_sparse = true;
            self.sparse.push_back(key);
        } else if !stream.in_backlogged {
            stream.in_backlogged = true;
            self.backlogged.push_back(key);
        }
    }

    /// The stream has nothing more to send for the moment.
    pub fn set_idle(&mut self, key: Key) {
        if let Some(stream) = self.stream(key) {
            stream.ready = false;
        }
    }

    /// Whether the stream has something to send.
    #[must_use]
    pub fn is_ready(&self, key: Key) -> bool {
        self.streams
            .get(key)
            .and_then(Option::as_ref)
            .is_some_and(|stream| stream.ready)
    }

    /// Counts `bytes` that the stream sends.
    pub fn charge(&mut self, key: Key, bytes: usize) {
        if let Some(stream) = self.stream(key) {
            stream.credit = stream.credit.saturating_sub(credit(bytes));
        }
    }

    /// Whose turn it is, `None` when no stream is ready. The same stream again until it has been charged for its turn
    /// or has become idle.
    pub fn next_turn(&mut self) -> Option<Key> {
        while let Some(&key) = self.sparse.front() {
            if self.stays_sparse(key) {
                return Some(key);
            }
            self.sparse.pop_front();
        }
        while let Some(&key) = self.backlogged.front() {
            let Some(stream) = self.stream(key) else {
                self.backlogged.pop_front();
                continue;
            };
            if stream.credit <= 0 {
                stream.credit += credit(QUANTUM);
                self.backlogged.rotate_left(1);
            } else if stream.ready {
                return Some(key);
            } else {
                stream.in_backlogged = false;
                self.backlogged.pop_front();
            }
        }
        None
    }

    /// Whether the first sparse stream may send; otherwise it moves to the backlogged ones, so that a stream that
    /// becomes ready again and again cannot exceed its credit.
    fn stays_sparse(&mut self, key: Key) -> bool {
        let Some(stream) = self.stream(key) else {
            return false;
        };
        if stream.ready && stream.credit > 0 {
            return true;
        }
        stream.in_sparse = false;
        if !stream.in_backlogged {
            stream.in_backlogged = true;
            self.backlogged.push_back(key);
        }
        false
    }

    fn stream(&mut self, key: Key) -> Option<&mut Stream> {
        self.streams.get_mut(key).and_then(Option::as_mut)
    }
}

fn credit(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
