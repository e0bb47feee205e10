//! Looking at the bytes of a stream as they pass: the CRC-32C, and the file index.
//!
//! An `Inspector` is shown the bytes of a stream, wherever they come from and go to. The code that passes them on
//! decides when to show them, and does the waiting: the inspector says for which descriptor, and whether the data has
//! to wait, too. A failure of the index ends the index, never the data.
//!
//! | file | subject |
//! |---|---|
//! | `inspector.rs` | CRC and index of one stream |
//! | `order.rs` | what index is wanted |
//! | `end.rs` | how it ended |
//! | `indexer.rs` | what makes it: a tar reader, or a command |
//! | `command.rs` | index commands |
//! | `backlog.rs` | the bounded buffer before the reader of the index |
#![forbid(unsafe_code)]

mod backlog;
mod command;
mod end;
mod indexer;
mod inspector;
mod order;

pub use backlog::INDEX_BUFFER;
pub use end::IndexEnd;
pub use order::{Index, Started};

pub(crate) use inspector::Inspector;
