//! What the fuzz targets share.
//!
//! `index_parser` works on archives (`archive`). The others interpret a program (`program`): a sequence of actions, made
//! of the fuzzer's bytes, on descriptors of every kind (`wire`), whose bytes tell where they belong (`pattern`). Two of
//! them need a model of more than a file: `relay` has links and streams, `abi` a host of the C ABI.

pub mod abi;
pub mod archive;
#[path = "../../tests/support/decoder.rs"]
mod decoder;
pub mod pattern;
pub mod program;
pub mod relay;
pub mod wire;
