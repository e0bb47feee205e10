//! The C ABI: its header, programs on it, the examples.

mod abi;
mod examples;
mod header;
mod relay_example;
#[path = "../support/mod.rs"]
mod support;
