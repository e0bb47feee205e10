//! How the host is called back, and how it writes to a connection of its own.

use std::io;
use std::rc::Rc;

use crate::sys::Errno;

/// Something has happened.
pub type Notification = Rc<dyn Fn()>;
/// Something has ended: well, or for this reason.
pub type EndCallback = Rc<dyn Fn(Result<(), Errno>)>;
/// Something has failed for this reason.
pub type ErrorCallback = Rc<dyn Fn(Errno)>;
/// Bytes have been written; they are valid during the call.
pub type TapCallback = Rc<dyn Fn(&[u8])>;
/// Takes some of the bytes, see [`Callbacks::write`].
pub type WriteCallback = Rc<dyn Fn(&[u8]) -> io::Result<Taken>>;
/// Appends a payload's sealed form, see [`Callbacks::seal`].
pub type SealCallback = Rc<dyn Fn(&[u8], &mut Vec<u8>) -> io::Result<()>>;

/// How much of a frame a [`Callbacks::write`] took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// This many bytes from the start of what it was given: at least one.
    Bytes(usize),
    /// Nothing: call again once the descriptor is writable.
    WantWrite,
    /// Nothing: call again once the descriptor is readable.
    WantRead,
}

/// How the host writes to a connection that it encrypts itself.
#[derive(Clone)]
pub struct Callbacks {
    /// Gets the rest of one frame, header included, never parts of two. A call after a refusal has the same bytes at
    /// the same address, which OpenSSL requires. An error ends the link.
    pub write: WriteCallback,
    /// Turns each payload into what is framed instead, in the order of sending: 1 to [`super::frame::MAX_FRAME`]
    /// bytes. Payloads of no bytes are not sealed. An error ends the link.
    pub seal: Option<SealCallback>,
}
