//! The relay: local pipes to a connection, and back.
//!
//! A [`Link`] is the writing side of one connection, a [`Stream`] a local descriptor read into a link, a [`Sink`] a
//! local descriptor that bytes from the network are written to. Nothing here blocks, and what is held in memory is
//! bounded: a link that is full stops reading its sources, and a sink past its high-water mark asks for a pause.
//!
//! `frame`, `frame_size`, `schedule` (how streams share a connection), `outgoing` (what is sent next) and `queue` (what
//! waits in a sink) are pure; `link` holds a connection's state, `pump` and `writer` move its bytes, `closing` ends it,
//! in good time by `deadline`; `source` and `stream` are the reading side.
//!
//! Callbacks may call anything, whatever they belong to: start and free streams, send, close and free links. No state
//! is borrowed while one runs. A link or a sink whose callback turns the event loop makes no progress to count on until
//! the callback returns.
#![forbid(unsafe_code)]

mod callback;
mod closing;
mod deadline;
mod error;
pub mod frame;
mod frame_size;
mod link;
mod outgoing;
mod pump;
mod queue;
pub mod schedule;
mod sink;
mod source;
mod stream;
mod writer;

pub use callback::{
    Callbacks, CodeCallback, Notification, SealCallback, Taken, TapCallback, WriteCallback,
};
pub use error::{Error, Result};
pub use link::{CLOSE_TIMEOUT, Link, LinkKind, LinkOptions};
pub use sink::{HIGH_WATER, LOW_WATER, Sink, SinkOptions};
pub use stream::{Method, Stream, StreamOptions};
