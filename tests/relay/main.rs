//! Links, streams and sinks over real pipes and sockets.

mod callback;
mod deadline;
mod failures;
mod frames;
mod idle;
mod limit;
mod memory_limit;
mod order;
mod packets_memory;
mod reentry;
mod schedule;
mod sink;
mod sizes;
mod stalls;
mod stalls_memory;
mod stalls_sinks;
mod streams;
#[path = "../support/mod.rs"]
mod support;
