//! How an index ended.

use std::fmt;
use std::io;
use std::process::ExitStatus;

use crate::index::Outcome;

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
    /// Ended early: the data did not reach its end, or the host does not want to wait for the index any longer.
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
