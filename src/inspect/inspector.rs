//! CRC and index of one stream.

use std::os::fd::BorrowedFd;

use crc_fast::{CrcAlgorithm, Digest};

use super::backlog::Backlog;
use super::end::IndexEnd;
use super::indexer::Indexer;
use super::order::Index;

/// What looks at the bytes of a stream.
pub(crate) struct Inspector {
    crc: Option<Digest>,
    /// How many bytes it has seen, or has been told of.
    read: u64,
    indexer: Indexer,
}

impl Inspector {
    /// Starts the CRC and the index. An index that cannot be started has ended; the data goes on.
    pub(crate) fn start(crc: bool, index: Index) -> Self {
        Self {
            crc: crc.then(|| Digest::new(CrcAlgorithm::Crc32Iscsi)),
            read: 0,
            indexer: Indexer::start(index),
        }
    }

    /// Shows the next bytes to the CRC.
    pub(crate) fn sum(&mut self, bytes: &[u8]) {
        self.read += bytes.len() as u64;
        if let Some(digest) = &mut self.crc {
            digest.update(bytes);
        }
    }

    /// Shows some of the next bytes, which the CRC has seen, to the index, and returns how many. Ask
    /// [`is_full`](Self::is_full) before you show the rest.
    pub(crate) fn list(&mut self, bytes: &[u8]) -> usize {
        self.indexer.see(bytes)
    }

    /// How many of the next bytes neither the CRC nor the index needs.
    pub(crate) fn skippable(&self) -> u64 {
        if self.crc.is_some() {
            0
        } else {
            self.indexer.skippable()
        }
    }

    /// Notes that `count` bytes passed unseen.
    pub(crate) fn skip(&mut self, count: u64) {
        self.read += count;
        self.indexer.skip(count);
    }

    /// Whether so much waits for the reader of the index that the data has to wait, too.
    pub(crate) fn is_full(&self) -> bool {
        self.indexer.backlog().is_some_and(Backlog::is_full)
    }

    /// The descriptor that takes the index, or its command's input, if bytes wait for it.
    pub(crate) fn pending(&self) -> Option<BorrowedFd<'_>> {
        self.indexer.backlog().and_then(Backlog::pending)
    }

    /// Writes what is taken at once.
    pub(crate) fn drain(&mut self) {
        if let Some(backlog) = self.indexer.backlog_mut() {
            backlog.drain();
        }
    }

    /// How many bytes of the stream were read. The CRC is of these.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// The CRC-32C of what was seen; none if it is not wanted.
    pub(crate) fn crc(&self) -> Option<u32> {
        // The crate has one type for all widths; a 32-bit CRC leaves the upper half zero.
        let digest = self.crc.as_ref()?;
        u32::try_from(digest.finalize()).ok()
    }

    /// The stream has ended: delivers what waits for the index's reader, and waits for it and for the command to end.
    /// Abandons the index as soon as `interrupt` is readable. Returns how it ended, and its lines.
    pub(crate) fn finish(self, interrupt: Option<BorrowedFd<'_>>) -> (IndexEnd, u64) {
        self.indexer.finish(interrupt)
    }

    /// Ends the index at once, since the stream does not reach its end. Returns how far it got.
    pub(crate) fn abandon(self) -> (IndexEnd, u64) {
        self.indexer.abandon()
    }
}
