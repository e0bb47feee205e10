//! What came of a tee.

use std::fmt;
use std::io;
use std::process::ExitStatus;

use crate::index::Outcome;
use crate::stats::Stats;

/// What came of a tee.
#[derive(Debug)]
pub struct Report {
    /// Bytes that the output took.
    pub bytes: u64,
    /// Bytes of the stream that were read. As many as [`bytes`](Self::bytes), or more if the output failed.
    pub read: u64,
    /// CRC-32C of the bytes that were read, whether or not the output took them all. None if it was not asked for.
    pub crc: Option<u32>,
    /// Lines of the index, as far as it came; 0 if a command makes it.
    pub entries: u64,
    /// `Err`: the input could not be read further, or there was no memory for a buffer. What had come was passed on.
    pub input: io::Result<()>,
    /// `Err`: the output took no more, and the rest of the stream was not read. `ECANCELED`: the tee was
    /// [cancelled](super::Control::cancel) before all was passed on.
    pub output: io::Result<()>,
    /// How the index ended.
    pub index: IndexEnd,
    /// How the bytes were moved in the end.
    pub way: Way,
    /// The same bytes, and where the time went.
    pub stats: Stats,
}

/// How the bytes were moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By tee(2) and splice(2).
    ZeroCopy,
    /// By read and write.
    Copy,
}

/// How the index ended. `Display` gives one line for a person.
#[derive(Debug)]
pub enum IndexEnd {
    /// None was asked for.
    NotWanted,
    /// The tar reader's verdict; all lines were delivered.
    Tar(Outcome),
    /// How the index command ended. It may have left before the stream's end.
    Command(ExitStatus),
    /// The index could not be delivered (`EPIPE`: its reader has gone), there was no memory for what waited for its
    /// reader, or its command could not be started.
    Failed(io::Error),
    /// The output failed, and with it the index became useless; or the tee was cancelled.
    Abandoned,
}

impl IndexEnd {
    /// Whether the index is whole, or was not wanted.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        match self {
            Self::NotWanted => true,
            Self::Tar(outcome) => matches!(outcome, Outcome::Complete { .. }),
            Self::Command(status) => status.success(),
            Self::Failed(_) | Self::Abandoned => false,
        }
    }
}

impl fmt::Display for IndexEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWanted => out.write_str("no index was wanted"),
            Self::Tar(outcome) => outcome.fmt(out),
            Self::Command(status) => write!(out, "index command: {status}"),
            Self::Failed(error) => write!(out, "the index could not be written: {error}"),
            Self::Abandoned => out.write_str("the index was given up before it was complete"),
        }
    }
}
