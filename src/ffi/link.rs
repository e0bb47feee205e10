//! Links, as C sees them.

use std::ffi::{c_int, c_void};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use libc::size_t;

use super::callback::{check_code, host_error, notification, on_error};
use super::descriptor;
use super::error::Failure;
use super::event::amrelay_loop;
use super::handle::{Handle, Marks, check_out, consume, enter, free, publish};
use super::layout::{self, Layout};
use crate::relay::{Callbacks, Link, LinkKind, LinkOptions, SealCallback, Taken, WriteCallback};
use crate::sys::Errno;

/// Kind of a link: one stream, as it is; the end is marked by closing the connection (Amanda's `auth bsd`).
pub const AMRELAY_LINK_RAW: u32 = 0;
/// Kind of a link: many streams in frames of 4 bytes length, 4 bytes handle, both big-endian, and the bytes; length 0
/// ends a stream (bsdtcp, bsdudp, local, ssh, rsh).
pub const AMRELAY_LINK_FRAMED: u32 = 1;
/// Kind of a link: many streams in frames that the host's function writes (ssl, krb5).
pub const AMRELAY_LINK_CALLBACK: u32 = 2;

/// Answer of a link's write function: nothing was taken, call again when the descriptor is writable.
pub const AMRELAY_WANT_WRITE: i64 = -7101;
/// Answer of a link's write function: nothing was taken, call again when the descriptor is readable.
pub const AMRELAY_WANT_READ: i64 = -7102;

/// The writing side of one connection.
///
/// Everything that is written to the connection has to go through its link: nothing may come between the bytes of a
/// frame. A link never blocks, and while the connection is full it reads nothing from its streams.
///
/// A link does not look at its connection while it has nothing to write: it learns from the next write that the peer
/// has gone, and then calls `on_error`. A host that wants to know earlier reads the connection. On the writing end of
/// a pipe it makes an `AMRELAY_EVENT_READ` event, which fires when the reader has gone.
///
/// A link may stand still while one of its functions, or of its streams' functions, is running: one that turns the
/// loop may wait in vain for its own link.
pub struct amrelay_link {
    marks: Marks,
    link: Link,
}

impl Handle for amrelay_link {
    const NAME: &'static str = "link";

    fn marks(&self) -> &Marks {
        &self.marks
    }
}

impl amrelay_link {
    pub(super) fn link(&self) -> &Link {
        &self.link
    }
}

/// What a link needs to know.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct amrelay_link_options {
    /// `sizeof(amrelay_link_options)`.
    pub size: size_t,
    /// One of `AMRELAY_LINK_`.
    pub kind: u32,
    /// The connection, lent: a socket or the writing end of a pipe. A descriptor that is open only for reading is
    /// refused. It is made non-blocking and left so, and a TCP socket is kept from taking much more than it can send
    /// (`TCP_NOTSENT_LOWAT`). On a callback link it is only waited for.
    pub fd: c_int,
    /// Called once with -errno when the connection has failed, after the `on_end` of its streams; with -ETIMEDOUT when
    /// that of a closing link takes nothing more, see `close_timeout_ms`. NULL: nobody is told.
    pub on_error: Option<unsafe extern "C" fn(arg: *mut c_void, code: c_int)>,
    /// Called once after `amrelay_link_close`, maybe before that returns: nothing more will be written and no function
    /// of the link will be called any more. NULL: nobody is told.
    pub on_closed: Option<unsafe extern "C" fn(arg: *mut c_void)>,
    /// Callback links only, and refused on others: writes bytes of one frame, header included. Returns how many it
    /// took (1 to `len`), `AMRELAY_WANT_WRITE`, `AMRELAY_WANT_READ`, or -errno, which ends the link. After a refusal
    /// it is called again with the same bytes at the same address. It must not block, or everything in the loop stands
    /// still (so the descriptor must already be non-blocking), and it must not raise SIGPIPE.
    pub write:
        Option<unsafe extern "C" fn(arg: *mut c_void, buf: *const c_void, len: size_t) -> i64>,
    /// Callback links only, and refused on others: turns the payload of a frame into what is sent instead, at most 4
    /// MiB (more ends the link with -EMSGSIZE: what it adds has to fit beside `frame_size`), and stores where that is;
    /// called in the order of sending. Returns 0, or -errno, which ends the link. NULL: payloads are sent as they are.
    pub seal: Option<
        unsafe extern "C" fn(
            arg: *mut c_void,
            r#in: *const c_void,
            in_len: size_t,
            out: *mut *mut c_void,
            out_len: *mut size_t,
        ) -> c_int,
    >,
    /// Called with what `seal` stored, once it has been copied, even if that `seal` has freed the link. NULL: the host
    /// frees it later. Refused without `seal`.
    pub seal_free: Option<unsafe extern "C" fn(arg: *mut c_void, out: *mut c_void)>,
    /// Given to each of the functions.
    pub arg: *mut c_void,
    /// The largest payload of a bulk stream's frame, in bytes, at most 4 MiB (Amanda's receivers refuse more,
    /// `tcpm_recv_token` of common-src/security-util.c); 0: 256 KiB if spliced, 64 KiB if copied. Either gets smaller
    /// while the connection drains slowly.
    pub frame_size: size_t,
    /// What the pipes of bulk streams are enlarged to where the system allows it, in bytes; 0: 1 MiB. Bytes in a pipe
    /// of less than 256 KiB are copied, since splicing is then no faster. No pipe is made smaller.
    pub pipe_size: size_t,
    /// How long the link goes on after `amrelay_link_close` while its connection takes no byte, in milliseconds; 0: 60
    /// seconds. Then what is left is dropped, and `on_error` is called with -ETIMEDOUT before `on_closed`. A link that
    /// is not closed waits for its connection as long as that takes.
    pub close_timeout_ms: u64,
}

// SAFETY: repr(C), the size first, then integers, optional function pointers and a raw pointer.
unsafe impl Layout for amrelay_link_options {
    const NAME: &'static str = "options";
}

/// Makes a link on a connection.
///
/// Ownership: `*out` is the caller's, to be ended with `amrelay_link_close` or `amrelay_link_free`; after a failure it
/// is unchanged. `options` is copied. `options->fd` stays the caller's, who keeps it open until then (on a callback
/// link: until `on_closed`). `arg` must live until `on_closed` has been called, or until `amrelay_link_free` or
/// `amrelay_loop_free` returns: `on_error` and `on_closed` may be called after `amrelay_link_close` has returned. A
/// caller that closes the link and has `arg` to free sets `on_closed`.
///
/// NULL: `loop`, `options` and `out` NULL are refused, `options->write` NULL only on a callback link.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if the kind is not one of `AMRELAY_LINK_`,
/// `fd` is negative or not for writing, or a function is given that this kind does not use; `AMRELAY_E_LIMIT` if
/// `frame_size` is too large; -EBADF if `fd` is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_link_new(
    r#loop: *mut amrelay_loop,
    options: *const amrelay_link_options,
    out: *mut *mut amrelay_link,
) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed, NULL or a struct as large as its size says, and NULL
    // or a variable for the link.
    unsafe {
        enter("amrelay_link_new", r#loop, |handle| {
            let options = layout::read(options)?;
            check_out(out)?;
            let link = Link::new(handle.events(), options.translate()?)?;
            publish(
                amrelay_link {
                    marks: Marks::this_thread(),
                    link,
                },
                out,
            );
            Ok(0)
        })
    }
}

/// Queues one whole control frame. It goes out before any further frame of a stream, and never inside another frame.
///
/// With `len` 0 it ends the stream of that handle.
///
/// Ownership: the bytes are copied; `buf` stays the caller's.
///
/// NULL: `link` NULL is refused, `buf` NULL only if `len` is not 0.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_ARGUMENT` if `len` exceeds `PTRDIFF_MAX`; `AMRELAY_E_LIMIT` if `len` is more
/// than 4 MiB (a receiver would refuse it), or the queue is full: more than 1 MiB would wait behind its first frame,
/// where each counts 72 bytes more than its payload; `AMRELAY_E_STATE` on a raw link, and while a stream of the link has
/// that handle, whose bytes would be mixed; -errno if the connection has failed; -ENOMEM if there is no memory for the
/// frame (it is not queued, the link stays as it is). A full queue means a peer that does not read: this frame is not
/// queued, the link stays as it is, and the caller may close or free it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_link_send(
    link: *mut amrelay_link,
    handle: u32,
    buf: *const c_void,
    len: size_t,
) -> c_int {
    // SAFETY: the caller passes NULL or a link that is not freed, and NULL or `len` bytes.
    unsafe {
        enter("amrelay_link_send", link, |link| {
            link.link.send(handle, layout::bytes(buf, len)?)?;
            Ok(0)
        })
    }
}

/// Ends a link in good order. Its streams end with -ECANCELED before this returns; control frames and the frame in
/// flight are still written while the loop turns. Then `on_closed` is called, and `on_error` before it if that failed:
/// with -ETIMEDOUT if the connection took no byte for `close_timeout_ms`. After `amrelay_loop_free`, even in an
/// `on_end` of these streams, it ends the link as `amrelay_link_free` does: none of the functions is called any more,
/// not even `on_closed`. If the process has no descriptor left for the duplicate, only what the connection takes at
/// once is written, and the rest fails with -EMFILE.
///
/// Ownership: `link` is gone after success, still there after a failure. Its streams stay the caller's to free.
/// `options->fd` may be closed at once, since a duplicate is written to; on a callback link only after `on_closed`.
///
/// NULL: `link` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`. After `AMRELAY_E_PANIC` the link is gone, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_link_close(link: *mut amrelay_link) -> c_int {
    // SAFETY: the caller passes NULL or a link that is not freed, and does not use it again.
    unsafe {
        consume("amrelay_link_close", link, |link| {
            // No call that is still on the stack borrows the link: none of them runs callbacks while it does.
            if let Some(link) = Arc::into_inner(link) {
                link.link.close();
            }
            Ok(0)
        })
    }
}

/// Ends a link at once and drops what is queued: the last frame may be cut off. Its callbacks and those of its streams
/// are not called any more.
///
/// Ownership: `link` is gone; its streams stay the caller's to free, its descriptor stays the caller's.
///
/// NULL: does nothing.
///
/// Returns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_link_free(link: *mut amrelay_link) {
    // SAFETY: the caller passes NULL or a link that is not freed, and does not use it again.
    unsafe { free("amrelay_link_free", link, drop) };
}

impl amrelay_link_options {
    fn translate(&self) -> Result<LinkOptions, Failure> {
        let kind = match self.kind {
            AMRELAY_LINK_RAW => LinkKind::Raw,
            AMRELAY_LINK_FRAMED => LinkKind::Framed,
            AMRELAY_LINK_CALLBACK => LinkKind::Callback(Callbacks {
                write: self.writer()?,
                seal: self.sealer(),
            }),
            other => return Err(Failure::argument(format!("{other} is not a kind of link"))),
        };
        self.check_functions()?;
        Ok(LinkOptions {
            descriptor: descriptor::lend(self.fd, "fd")?,
            kind,
            frame_size: layout::wish(self.frame_size),
            pipe_size: layout::wish(self.pipe_size),
            close_timeout: layout::wish(self.close_timeout_ms).map(Duration::from_millis),
            on_error: on_error(self.on_error, self.arg),
            on_closed: notification(self.on_closed, self.arg),
        })
    }

    /// With a function that is never called, the host would believe that it writes, or encrypts, itself.
    fn check_functions(&self) -> Result<(), Failure> {
        let own = self.write.is_some() || self.seal.is_some() || self.seal_free.is_some();
        if own && self.kind != AMRELAY_LINK_CALLBACK {
            return Err(Failure::argument(
                "write, seal and seal_free are for callback links",
            ));
        }
        if self.seal_free.is_some() && self.seal.is_none() {
            return Err(Failure::argument("seal_free without seal"));
        }
        Ok(())
    }

    fn writer(&self) -> Result<WriteCallback, Failure> {
        let write = self.write.ok_or_else(|| Failure::null("options.write"))?;
        let arg = self.arg;
        Ok(Rc::new(move |bytes: &[u8]| {
            // SAFETY: the host gave function and argument for this; the bytes live until the call returns.
            let answer = unsafe { write(arg, bytes.as_ptr().cast(), bytes.len()) };
            taken(answer, bytes.len())
        }))
    }

    fn sealer(&self) -> Option<SealCallback> {
        let seal = self.seal?;
        let (seal_free, arg) = (self.seal_free, self.arg);
        Some(Rc::new(move |payload: &[u8], sealed: &mut Vec<u8>| {
            let mut out = std::ptr::null_mut();
            let mut out_len = 0;
            // SAFETY: the host gave function and argument for this; all that is pointed to lives until the call
            // returns.
            let code = unsafe {
                seal(
                    arg,
                    payload.as_ptr().cast(),
                    payload.len(),
                    &raw mut out,
                    &raw mut out_len,
                )
            };
            check_code(code)?;
            // SAFETY: the host's function stored where its `out_len` bytes are.
            let copied = unsafe { layout::bytes(out, out_len) }
                .map_err(|_| Errno::IO)
                .and_then(|bytes| {
                    sealed.try_reserve(bytes.len()).map_err(|_| Errno::NOMEM)?;
                    sealed.extend_from_slice(bytes);
                    Ok(())
                });
            if let Some(seal_free) = seal_free {
                // SAFETY: what `seal` stored, once.
                unsafe { seal_free(arg, out) };
            }
            copied.map_err(io::Error::from)
        }))
    }
}

/// The result of a link's write function. One that is not allowed ends the link like an I/O error.
fn taken(answer: i64, len: usize) -> io::Result<Taken> {
    match answer {
        AMRELAY_WANT_WRITE => Ok(Taken::WantWrite),
        AMRELAY_WANT_READ => Ok(Taken::WantRead),
        1.. => match usize::try_from(answer) {
            Ok(count) if count <= len => Ok(Taken::Bytes(count)),
            _ => Err(Errno::IO.into()),
        },
        _ => Err(host_error(answer)),
    }
}
