//! The file index of a tar stream: the names in it, one quoted line each.
//!
//! Amanda's server keeps, for every backup, a list of the files in it, so that a person can browse
//! and choose what to restore. Its client makes that list by piping a copy of the backup through
//! `tar -tf - 2>/dev/null | sed -e 's/^\.//'` (client-src/sendbackup-gnutar.c), which costs three
//! processes and a copy of every byte. [`TarIndex`] gives the same lines, byte for byte as GNU tar
//! 1.35 prints them in the C locale, from the headers alone.
//!
//! The room is pure: bytes are pushed into it, lines come out through a closure, and it does no I/O and no system
//! calls. It holds no body and no member, so its memory is bounded whatever the input claims (below 2 MiB; names up to
//! [`MAX_NAME`]), and so are the lines ([`LINE_BYTES`]). It never panics on any input. `docs/tar-index.md` says which
//! lines there are, and where they differ from tar's.
//!
//! | file | subject |
//! |---|---|
//! | `tar.rs` | the stream: which block comes next, what follows a member |
//! | `header.rs` | one header block |
//! | `number.rs` | the notations of numbers |
//! | `pax.rs` | the records of extended headers |
//! | `settings.rs` | what those records set |
//! | `sparse.rs` | where the map of a sparse member ends |
//! | `name.rs` | names of bounded length |
//! | `quote.rs` | the lines |
//! | `outcome.rs` | how a stream ended |
#![forbid(unsafe_code)]

mod header;
mod name;
mod number;
mod outcome;
mod pax;
mod quote;
mod settings;
mod sparse;
mod tar;

pub use outcome::{Fault, MAX_NAME, Omission, Outcome};
pub use quote::LINE_BYTES;
pub use settings::MAX_MAP_ENTRIES;
pub use tar::TarIndex;
