//! Why the relay refused a call.

use std::collections::TryReserveError;
use std::fmt;
use std::io;

use crate::sys::Errno;

/// Why a call was refused or failed.
#[derive(Debug)]
pub enum Error {
    /// The call makes no sense with these arguments; nothing happened.
    Argument(&'static str),
    /// The call came at the wrong moment, for instance after the end; nothing happened.
    State(&'static str),
    /// A bound would be exceeded: a frame too large, a queue full; nothing was queued.
    Limit(&'static str),
    /// A system call failed, or the connection had failed before.
    System(io::Error),
}

/// What the relay's functions return.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(text) | Self::State(text) | Self::Limit(text) => {
                formatter.write_str(text)
            }
            Self::System(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Why a link or a sink refuses a descriptor that was opened only for reading.
pub(super) const NOT_FOR_WRITING: &str = "the descriptor is not open for writing";

/// There was no memory for a buffer: that ends what it was for, not the process. (An allocator that has no room for a
/// few bytes still ends the process.)
pub(super) fn out_of_memory(_: TryReserveError) -> io::Error {
    Errno::NOMEM.into()
}
