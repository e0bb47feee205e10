//! The event loop.

mod closed;
mod descriptor;
mod limit;
mod numbers;
mod reentry;
#[path = "../support/mod.rs"]
mod support;
mod turns;
mod upstream;
mod wait;
