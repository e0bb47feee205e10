//! What index is wanted.

use std::ffi::CString;
use std::fmt;

use crate::sys::Descriptor;

/// Is told the process id of an index command as soon as it runs; called in the thread that starts it.
pub type Started = Box<dyn FnOnce(u32) + Send>;

/// What index to make of the stream.
pub enum Index {
    /// None.
    None,
    /// The stream is a tar archive: its names, as [`TarIndex`](crate::index::TarIndex) lists them, to this descriptor.
    Tar(Descriptor),
    /// An external program reads a copy of the stream and writes the index itself.
    Command {
        /// For `sh -c`.
        command: CString,
        /// The command's standard output.
        output: Descriptor,
        /// The command's standard error; the host's if there is none.
        errors: Option<Descriptor>,
        /// For a host that waits for its children itself, and might come before this one.
        started: Option<Started>,
    },
}

impl fmt::Debug for Index {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.write_str("None"),
            Self::Tar(output) => out.debug_tuple("Tar").field(output).finish(),
            Self::Command {
                command, output, ..
            } => out
                .debug_struct("Command")
                .field("command", command)
                .field("output", output)
                .finish_non_exhaustive(),
        }
    }
}
