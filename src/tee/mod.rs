//! The tee: passes a stream on while it computes the CRC-32C and the file index of it.
//!
//! It stands between the backup program (tar, dump) and the way to the server. In Amanda it replaces `start_index` of
//! client-src/sendbackup.c, which forks a process that copies every byte once more into `tar -tf - | sed`.
//!
//! These always hold, the first ones before the later ones: 1. The output gets exactly the bytes of the input. A
//! failure of the index ends the index, never the data. 2. The input is read to its end, whatever the index makes of
//! it: also after the end mark of a tar stream. 3. A broken output ends the tee at once; the input is closed so that
//! the writer notices. 4. A slow reader of the index holds the data up only when
//! [`INDEX_BUFFER`](crate::inspect::INDEX_BUFFER) bytes wait for it. 5. The open file of a lent descriptor stays as it
//! is, except that a pipe may be enlarged.
//!
//! | file | subject |
//! |---|---|
//! | `config.rs` | what a tee is asked for |
//! | `thread.rs` | the thread it runs in |
//! | `report.rs` | what came of it |
//! | `run.rs` | one run: the choice of the way, and the end |
//! | `control.rs` | how the host ends it, and learns of its end |
//! | `flow.rs` | what both ways share: the ends, waiting, sending |
//! | `pace.rs` | how soon to look again at an empty input |
//! | `zero_copy.rs` | tee(2) and splice(2): the data does not pass through user space |
//! | `copy.rs` | the portable way: read and write |
#![forbid(unsafe_code)]

mod config;
mod control;
mod copy;
mod flow;
mod pace;
mod report;
mod run;
mod thread;
mod zero_copy;

pub use config::{Callback, Config, Output};
pub use control::Control;
pub use report::Report;
pub use thread::{Prepared, Tee};
