//! Streams, as C sees them.

use std::ffi::{c_int, c_void};
use std::rc::Rc;

use libc::size_t;

use super::callback::on_end;
use super::descriptor;
use super::error::Failure;
use super::handle::{Handle, Marks, check_out, enter, free, publish};
use super::layout::{self, Layout};
use super::link::amrelay_link;
use super::stats::amrelay_stats;
use crate::relay::{Stream, StreamOptions, TapCallback};

/// Flag of a stream: it carries much data. Its frames are large, and small streams go first. Unless the stream has a
/// `tap`, or the link is a callback link, its pipe is enlarged, and its bytes are spliced where the system allows it.
///
/// Splicing passes references to pages on, into a socket's queue too: a frame's bytes are what those pages hold when
/// the network takes them, or takes them again because a packet was lost. The pages of a writer that uses only
/// write(2) do not change. A writer that lends pages of a file or its own memory (sendfile, splice, vmsplice) may
/// change them before they are sent: an earlier CRC is then not that of the bytes sent. For such a writer leave the
/// flag out or set a `tap`; a tee between it and the stream copies (see `AMRELAY_TEE_ZERO_COPY`). The stream's length
/// and its frames are right in any case.
pub const AMRELAY_STREAM_BULK: u32 = 1;

/// A local descriptor that is read into a link.
pub struct amrelay_stream {
    marks: Marks,
    stream: Stream,
}

impl Handle for amrelay_stream {
    const NAME: &'static str = "stream";

    fn marks(&self) -> &Marks {
        &self.marks
    }
}

/// What a stream needs to know.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct amrelay_stream_options {
    /// `sizeof(amrelay_stream_options)`.
    pub size: size_t,
    /// Where the bytes come from, lent: mostly the reading end of a pipe. A descriptor that is open only for writing
    /// is refused, and so is the other end of the pipe that the link writes to. It is made non-blocking and left so.
    pub fd: c_int,
    /// The number of the stream in its frames; ignored on a raw link. No other stream of the link may have it. It
    /// is free again once `on_end` is called, or the stream has been freed.
    pub handle: u32,
    /// `AMRELAY_STREAM_` flags, 0 for none.
    pub flags: u32,
    /// Is shown the stream's bytes, in order, after the connection has taken the frame they were in. Such a stream is
    /// not spliced. NULL: none.
    pub tap: Option<unsafe extern "C" fn(arg: *mut c_void, buf: *const c_void, len: size_t)>,
    /// Called once, when nothing more is read: with 0 after the connection has taken all bytes and, except on a raw
    /// link, the frame that ends the stream; with -errno when the connection has failed, `fd` could not be read, or
    /// memory was short (-ENOMEM); with -ECANCELED when the link was closed. The caller may close `fd` then. NULL:
    /// nobody is told.
    pub on_end: Option<unsafe extern "C" fn(arg: *mut c_void, code: c_int)>,
    /// Given to each of the functions.
    pub arg: *mut c_void,
}

// SAFETY: repr(C), the size first, then integers, optional function pointers and a raw pointer.
unsafe impl Layout for amrelay_stream_options {
    const NAME: &'static str = "options";
}

/// Starts to read a descriptor into a link.
///
/// Ownership: `*out` is the caller's, to be freed with `amrelay_stream_free`; after a failure it is unchanged.
/// `options` is copied. `options->fd` stays the caller's, who keeps it open until `on_end` or `amrelay_stream_free`;
/// `arg` must live as long.
///
/// NULL: `link`, `options` and `out` NULL are refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if `fd` is negative, is not for reading or is
/// the other end of the link's pipe, or a flag is unknown; -EBADF if `fd` is not open; `AMRELAY_E_STATE` if a raw link
/// has its stream already, or another stream of the link has the handle; -errno if the connection has failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_stream_start(
    link: *mut amrelay_link,
    options: *const amrelay_stream_options,
    out: *mut *mut amrelay_stream,
) -> c_int {
    // SAFETY: the caller passes NULL or a link that is not freed, NULL or a struct as large as its size says, and NULL
    // or a variable for the stream.
    unsafe {
        enter("amrelay_stream_start", link, |link| {
            let options = layout::read(options)?;
            check_out(out)?;
            let stream = link.link().start(options.translate()?)?;
            publish(
                amrelay_stream {
                    marks: Marks::this_thread(),
                    stream,
                },
                out,
            );
            Ok(0)
        })
    }
}

/// Gets how much of a stream the connection has taken in whole frames, and what the stream waited for. May be called
/// after the end, too. A frame that was under way at the end is not counted.
///
/// Ownership: `stats` stays the caller's and is written only on success.
///
/// NULL: `stream` and `stats` NULL are refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if `stats->size` is not known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_stream_stats(
    stream: *const amrelay_stream,
    stats: *mut amrelay_stats,
) -> c_int {
    // SAFETY: the caller passes NULL or a stream that is not freed, and NULL or a struct as large as its size says.
    unsafe {
        enter("amrelay_stream_stats", stream, |handle| {
            layout::check(stats)?;
            stats.write(amrelay_stats::new(&handle.stream.stats()));
            Ok(0)
        })
    }
}

/// Frees a stream, and ends it at once if it has not ended: nothing more is read, and its functions are not called any
/// more. A frame that was begun is still completed. The receiver does not learn of the end.
///
/// Ownership: `stream` is gone; its descriptor stays the caller's.
///
/// NULL: does nothing.
///
/// Returns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_stream_free(stream: *mut amrelay_stream) {
    // SAFETY: the caller passes NULL or a stream that is not freed, and does not use it again.
    unsafe { free("amrelay_stream_free", stream, drop) };
}

impl amrelay_stream_options {
    fn translate(&self) -> Result<StreamOptions, Failure> {
        layout::check_flags(self.flags, AMRELAY_STREAM_BULK)?;
        Ok(StreamOptions {
            descriptor: descriptor::lend(self.fd, "fd")?,
            handle: self.handle,
            bulk: self.flags & AMRELAY_STREAM_BULK != 0,
            tap: self.tap(),
            on_end: on_end(self.on_end, self.arg),
        })
    }

    fn tap(&self) -> Option<TapCallback> {
        let (tap, arg) = (self.tap?, self.arg);
        Some(Rc::new(move |bytes: &[u8]| {
            // SAFETY: the host gave function and argument for this; the bytes live until the call returns.
            unsafe { tap(arg, bytes.as_ptr().cast(), bytes.len()) };
        }))
    }
}
