//! The second use of the bytes: CRC and index.

use crc_fast::{CrcAlgorithm, Digest};

use crate::stats::Meter;

use super::backlog::Backlog;
use super::control::Interrupt;
use super::index::IndexSide;
use super::{Index, IndexEnd};

/// What watches the stream pass.
pub(super) struct Watch {
    crc: Option<Digest>,
    /// How many bytes it has seen, or has been told of.
    read: u64,
    index: IndexSide,
}

impl Watch {
    /// Starts the CRC and the index.
    pub(super) fn start(crc: bool, index: Index) -> Self {
        Self {
            crc: crc.then(|| Digest::new(CrcAlgorithm::Crc32Iscsi)),
            read: 0,
            index: IndexSide::start(index),
        }
    }

    /// Shows the next bytes to the CRC.
    pub(super) fn see_crc(&mut self, bytes: &[u8]) {
        self.read += bytes.len() as u64;
        if let Some(digest) = &mut self.crc {
            digest.update(bytes);
        }
    }

    /// Shows some of the next bytes to the index, and returns how many; the backlog is to be looked at before the rest.
    pub(super) fn see_index(&mut self, bytes: &[u8]) -> usize {
        self.index.see(bytes)
    }

    /// How many of the next bytes neither the CRC nor the index needs.
    pub(super) fn skippable(&self) -> u64 {
        if self.crc.is_some() {
            0
        } else {
            self.index.skippable()
        }
    }

    /// Tells that `count` bytes passed unseen.
    pub(super) fn skip(&mut self, count: u64) {
        self.read += count;
        self.index.skip(count);
    }

    /// What waits for the reader of the index.
    pub(super) fn backlog(&self) -> Option<&Backlog> {
        self.index.backlog()
    }

    /// As [`backlog`](Self::backlog).
    pub(super) fn backlog_mut(&mut self) -> Option<&mut Backlog> {
        self.index.backlog_mut()
    }

    /// How many bytes of the stream were read: the CRC is theirs.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// The CRC-32C of what was seen.
    pub(super) fn crc(&self) -> Option<u32> {
        // The crate has one type for all widths; a 32-bit CRC leaves the upper half zero.
        let digest = self.crc.as_ref()?;
        u32::try_from(digest.finalize()).ok()
    }

    /// The stream has ended: delivers the index. Returns how it ended, and its lines.
    pub(super) fn finish(self, meter: &mut Meter, interrupt: &Interrupt) -> (IndexEnd, u64) {
        self.index.finish(meter, interrupt)
    }

    /// The output has failed: the index is given up. Returns how far it got.
    pub(super) fn abandon(self) -> (IndexEnd, u64) {
        self.index.abandon()
    }
}
