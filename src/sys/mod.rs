//! Every system call the library makes, each behind a small safe function.
//!
//! This room and `ffi` are the only ones with `unsafe`. A call that a platform lacks has a stand-in with the same
//! signature here, so that the rooms above never ask which platform they run on.

pub(crate) mod child;
pub(crate) mod descriptor;
pub(crate) mod environment;
pub(crate) mod inlet;
mod nowait;
pub(crate) mod outlet;
pub(crate) mod pipe;
mod poll_table;
pub(crate) mod poller;
pub(crate) mod signal;
pub(crate) mod signal_mask;
pub(crate) mod socket;
pub(crate) mod spawn;
pub(crate) mod splice;
pub(crate) mod wait;

pub use descriptor::Descriptor;
