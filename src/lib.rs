//! The data path of an Amanda backup client.

pub mod index;
