//! The bounded buffer before the reader of the index.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::sys::write::Writer;

/// How many bytes may wait for the reader of the index before the data has to wait, too. The last bytes shown may
/// exceed it: by a line of [`MAX_NAME`](crate::index::MAX_NAME) bytes, each written as up to four (`\ooo`), or 32 KiB
/// for a command.
pub const INDEX_BUFFER: usize = 1 << 20;

/// Fewer waiting bytes are not written until they must be: this saves system calls with short lines.
const WORTH_WRITING: usize = 32 << 10;

/// Bytes on their way to a reader that may be slow, or gone.
#[derive(Debug)]
pub(super) struct Backlog {
    /// None once the reader has gone, memory was short or writing has failed.
    writer: Option<Writer>,
    waiting: VecDeque<u8>,
    failure: Option<io::Error>,
}

impl Backlog {
    pub(super) fn new(writer: Writer) -> Self {
        Self {
            writer: Some(writer),
            waiting: VecDeque::new(),
            failure: None,
        }
    }

    /// Queues bytes; drops them if the reader has gone. If there is no memory for them, the index ends.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        if self.writer.is_none() {
            return;
        }
        match self.waiting.try_reserve(bytes.len()) {
            Ok(()) => self.waiting.extend(bytes),
            Err(error) => self.fail(error.into()),
        }
    }

    /// Writes what is taken at once, and queues the rest: for bytes in pieces large enough for a system call each.
    pub(super) fn offer(&mut self, bytes: &[u8]) {
        if !self.waiting.is_empty() {
            self.queue(bytes);
            self.drain_if_worth();
        } else if let Some(writer) = &mut self.writer {
            let result = writer.write(bytes);
            let taken = self.note(result).unwrap_or(0);
            self.queue(&bytes[taken..]);
        }
    }

    /// Writes what is taken at once, if there is enough to be worth a system call.
    pub(super) fn drain_if_worth(&mut self) {
        if self.waiting.len() >= WORTH_WRITING {
            self.drain();
        }
    }

    /// Writes what is taken at once.
    pub(super) fn drain(&mut self) {
        while let (Some(writer), false) = (&mut self.writer, self.waiting.is_empty()) {
            let result = writer.write(self.waiting.as_slices().0);
            match self.note(result) {
                Some(count) => drop(self.waiting.drain(..count)),
                None => break,
            }
        }
    }

    /// How many bytes a write took; none if it must be tried again later, or never again.
    fn note(&mut self, result: io::Result<usize>) -> Option<usize> {
        match result {
            Ok(count) => Some(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// Drops what waits, and closes the descriptor, if it is owned.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.failure = Some(error);
        self.writer = None;
        self.waiting = VecDeque::new();
    }

    /// Whether the data has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= INDEX_BUFFER
    }

    /// Whether the reader still takes bytes, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.writer.is_some()
    }

    /// The descriptor to wait for, if bytes wait.
    pub(super) fn pending(&self) -> Option<BorrowedFd<'_>> {
        self.writer
            .as_ref()
            .filter(|_| !self.waiting.is_empty())
            .map(AsFd::as_fd)
    }

    /// Closes the descriptor, if it is owned, and returns why bytes could not be written, if so.
    pub(super) fn close(self) -> Option<io::Error> {
        self.failure
    }
}
