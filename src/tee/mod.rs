//! The tee.
#![forbid(unsafe_code)]
