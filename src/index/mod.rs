//! The file index of a tar stream.
#![forbid(unsafe_code)]
