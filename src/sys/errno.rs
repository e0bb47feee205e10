//! The system's numbers of errors. They are positive here and in the rooms above; the C ABI alone negates them.

use std::io;

pub use rustix::io::Errno;

/// The system's number of an error, or the nearest one for errors that Rust's library made up.
pub(crate) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or_else(|| match error.kind() {
        io::ErrorKind::Unsupported => Errno::OPNOTSUPP,
        io::ErrorKind::OutOfMemory => Errno::NOMEM,
        io::ErrorKind::BrokenPipe => Errno::PIPE,
        _ => Errno::IO,
    })
}
