//! The tee over real pipes and processes.

mod cancel;
mod data;
mod failures;
mod index;
mod memory;
mod memory_limit;
mod process;
mod shared_pages;
#[path = "../support/mod.rs"]
mod support;
