//! What came of a tee.

use std::io;

use crate::inspect::IndexEnd;
use crate::stats::Stats;

/// What came of a tee.
#[derive(Debug)]
pub struct Report {
    /// Bytes of the stream that were read. As many as the output took (`stats.bytes`), or more if it failed.
    pub read: u64,
    /// CRC-32C of the bytes that were read, whether or not the output took them all. None if it was not asked for.
    pub crc: Option<u32>,
    /// Lines of the index so far; 0 if a command makes it.
    pub entries: u64,
    /// `Err`: the input could not be read further, or there was no memory for a buffer. What had come was passed on.
    pub input: io::Result<()>,
    /// `Err`: the output took no more, and the rest of the stream was not read. `ECANCELED`: the tee was
    /// [cancelled](super::Control::cancel) before all was passed on.
    pub output: io::Result<()>,
    /// How the index ended.
    pub index: IndexEnd,
    /// How many bytes the output took, which method moved them at the end, and where the time went.
    pub stats: Stats,
}
