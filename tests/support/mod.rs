//! What tests share. Each room has its own part, and every test program contains all of them.
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod allocation;
pub(crate) mod alone;
pub(crate) mod c;
pub(crate) mod decoder;
pub(crate) mod event;
pub(crate) mod index;
pub(crate) mod limit;
pub(crate) mod memory;
pub(crate) mod program;
pub(crate) mod relay;
pub(crate) mod sandbox;
pub(crate) mod tee;
