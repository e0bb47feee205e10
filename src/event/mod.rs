//! The event loop.
#![forbid(unsafe_code)]
