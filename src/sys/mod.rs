//! Every system call the library makes, each behind a small safe function.
//!
//! This room and `ffi` are the only ones with `unsafe`. A call that a platform lacks has a stand-in with the same
//! signature here, so that the rooms above never ask which platform they run on.
//!
//! | file | subject |
//! |---|---|
//! | `descriptor.rs` | who closes a descriptor, what it leads to, its modes |
//! | `read.rs`, `write.rs` | reading and writing, mostly without waiting |
//! | `pipe.rs` | pipes: their size, tee(2), splice(2) |
//! | `socket.rs` | connections |
//! | `poll.rs` | waiting for descriptors |
//! | `signal.rs` | SIGPIPE, and which signals threads and programs take |
//! | `spawn.rs` | starting programs, and waiting for their end |
//! | `environment.rs` | the environment |
//! | `errno.rs` | the numbers of errors |

pub(crate) mod descriptor;
pub(crate) mod environment;
pub(crate) mod errno;
pub(crate) mod pipe;
pub(crate) mod poll;
pub(crate) mod read;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod spawn;
pub(crate) mod write;

pub use descriptor::Descriptor;
pub use errno::Errno;
