//! The data path of an Amanda backup client.

pub mod event;
pub mod ffi;
pub mod index;
pub mod relay;
pub mod stats;
pub mod sys;
pub mod tee;
