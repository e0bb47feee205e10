//! Waiting for a handful of descriptors in a thread of the library's own.
