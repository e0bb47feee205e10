//! The C ABI: one file per part of `include/amrelay.h`.
//!
//! Only argument checks, the panic boundary and calls inward. Every export has the same shape: `guard` takes a
//! closure, `handle` turns the C pointer into a reference that outlives whatever a callback frees, `layout` reads and
//! writes the flat structs, `error` keeps the text of what went wrong. If something is locked or borrowed while a
//! callback of the host runs, a second call gets an error and does not wait.
//!
//! The names and comments here are the header's: cbindgen copies them.
#![allow(
    non_camel_case_types,
    reason = "the types carry the names that C programs use"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the fixed parts of each comment (what, Ownership, NULL, Returns, and Threads where they are special) are the contract, written for C"
)]

mod callback;
mod descriptor;
pub mod error;
pub mod event;
mod guard;
mod handle;
pub mod index;
mod layout;
pub mod link;
pub mod log;
pub mod sink;
pub mod stats;
pub mod stream;
pub mod tee;
mod tee_check;
pub mod tee_options;
pub mod version;
