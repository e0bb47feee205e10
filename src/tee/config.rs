//! What a tee is asked for.

use std::fmt;
use std::io;

use crate::inspect::Index;
use crate::stats::Method;
use crate::sys::{Descriptor, environment};

/// What a tee shall do. It owns its descriptors unless they are lent, and closes each as soon as that side has ended.
#[derive(Debug)]
pub struct Config {
    /// Where the stream comes from. The tee must be its only reader.
    pub input: Descriptor,
    /// Where the stream goes.
    pub output: Output,
    /// Whether to compute the CRC-32C.
    pub crc: bool,
    /// What index to make.
    pub index: Index,
    /// How to move the bytes. With [`Method::Copy`] what is sent is what CRC and index have seen, whatever the writer does.
    ///
    /// [`Method::Splice`] is for input and output that are pipes large enough for that to be faster; else the bytes
    /// are copied. The environment variable `AMRELAY_TEE=copy` turns it into `Copy`, except in set-uid programs. It is
    /// a promise: the program that writes into the input's pipe uses write(2) or writev(2) for all of the stream. Such
    /// bytes lie in pages that belong to the pipe. A writer with sendfile(2), splice(2) or vmsplice(2) shows pages of
    /// a file, or its own; references are passed on, and when the pages change, the output's reader gets other bytes
    /// than CRC and index have seen.
    pub method: Method,
    /// What the data pipes are enlarged to where the system allows it, in bytes. None: 1 MiB.
    pub pipe_size: Option<usize>,
}

/// Takes all the bytes, waiting as long as it must, or fails; called in the tee's thread.
pub type Callback = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// Where the stream goes.
pub enum Output {
    /// Into a pipe, a socket or a file, in blocking or in non-blocking mode.
    Descriptor(Descriptor),
    /// Through a function of the host's. Its first error ends the tee.
    Callback(Callback),
}

impl fmt::Debug for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptor(descriptor) => {
                out.debug_tuple("Descriptor").field(descriptor).finish()
            }
            Self::Callback(_) => out.write_str("Callback"),
        }
    }
}

impl Config {
    /// Applies the environment variable. Call it in the host's thread: the host may change the environment.
    pub(super) fn with_environment(mut self) -> Self {
        if environment::variable("AMRELAY_TEE").is_some_and(|method| method == "copy") {
            self.method = Method::Copy;
        }
        self
    }
}
