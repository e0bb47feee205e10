//! Writing to connections without blocking.
