//! The relay: local pipes to a connection, and back.
//!
//! A [`Link`] is the writing side of one connection, a [`Stream`] a local descriptor read into a link, a [`Sink`] a
//! local descriptor that bytes from the network are written to. Nothing here blocks, and what is held in memory is
//! bounded: a link that is full reads nothing from its sources, and a sink past its high-water mark asks for a pause.
//!
//! From below, each file standing on ones named before it: `frame`, `frame_size`, `schedule` (how streams share a
//! connection), `outgoing` (what is sent next) and `queue` (what waits in a sink) are pure. `source` and `stream` are
//! the reading side; a stream knows its carrier only through a trait. `deadline` is how long a closing link is waited
//! for, `connection` what is open and under way. `writer` writes the frame in flight, `closing` ends links and
//! streams, `pump` moves the bytes, and `link` is the host's handle. `sink` is the way back.
//!
//! Callbacks may call anything, whatever they belong to: start and free streams, send, close and free links. No state
//! is borrowed while one runs. While a callback of a link or a sink turns the event loop, do not count on progress of
//! that link or sink.
#![forbid(unsafe_code)]

mod callback;
mod closing;
mod connection;
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
    Callbacks, EndCallback, ErrorCallback, Notification, SealCallback, Taken, TapCallback,
    WriteCallback,
};
pub use connection::LinkKind;
pub use error::{Error, Result};
pub use link::{CLOSE_TIMEOUT, Link, LinkOptions};
pub use sink::{HIGH_WATER, LOW_WATER, Sink, SinkOptions};
pub use stream::{Stream, StreamOptions};
