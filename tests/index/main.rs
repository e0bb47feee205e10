//! The index, beside GNU tar.

mod bounds;
mod extended;
mod foreign;
mod formats;
mod instructions;
mod memory;
mod pieces;
#[path = "../support/mod.rs"]
mod support;
mod tar;
mod versions;
