//! Sinks, as C sees them.

use std::ffi::{c_int, c_void};

use libc::size_t;

use super::callback::{notification, on_end};
use super::descriptor;
use super::error::Failure;
use super::event::amrelay_loop;
use super::handle::{Handle, Marks, check_out, enter, free, publish};
use super::layout::{self, Layout};
use super::stats::amrelay_stats;
use crate::relay::{Sink, SinkOptions};

/// Flag of a sink: the descriptor is the sink's, which closes it when it ends or is freed.
pub const AMRELAY_SINK_TAKE: u32 = 1;

/// Bytes from the network on their way to a local descriptor, which may be slow to take them.
///
/// A sink may stand still while one of its functions is running: one that turns the loop may wait in vain for its own
/// sink.
pub struct amrelay_sink {
    marks: Marks,
    sink: Sink,
}

impl Handle for amrelay_sink {
    const NAME: &'static str = "sink";

    fn marks(&self) -> &Marks {
        &self.marks
    }
}

/// What a sink needs to know.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct amrelay_sink_options {
    /// `sizeof(amrelay_sink_options)`.
    pub size: size_t,
    /// Where the bytes go, lent unless a flag says otherwise. A descriptor that is open only for reading is refused.
    /// It is made non-blocking and left so.
    pub fd: c_int,
    /// `AMRELAY_SINK_` flags, 0 for none.
    pub flags: u32,
    /// More queued bytes than this ask for a pause; 0: 256 KiB.
    pub high_water: size_t,
    /// When no more bytes than this are queued the pause is over; 0: 64 KiB, or `high_water` if that is less.
    pub low_water: size_t,
    /// Called when a pause that `amrelay_sink_push` asked for is over, after `amrelay_sink_finish` too. A sink that
    /// ends while it is paused, by a failure or because the rest is written at once, calls only `on_end`. NULL: nobody
    /// is told.
    pub on_resume: Option<unsafe extern "C" fn(arg: *mut c_void)>,
    /// Called once, when nothing more is written: with 0 after `amrelay_sink_finish` when all is written, with -errno
    /// when writing has failed (-EPIPE: the reader has gone) or memory was short (-ENOMEM). The caller may close a lent
    /// `fd` then. NULL: nobody is told.
    pub on_end: Option<unsafe extern "C" fn(arg: *mut c_void, code: c_int)>,
    /// Given to each of the functions.
    pub arg: *mut c_void,
}

// SAFETY: repr(C), the size first, then integers, optional function pointers and a raw pointer.
unsafe impl Layout for amrelay_sink_options {
    const NAME: &'static str = "options";
}

/// Makes a sink.
///
/// Ownership: `*out` is the caller's, to be freed with `amrelay_sink_free`; after a failure it is unchanged. `options`
/// is copied. `options->fd` stays the caller's, who keeps it open until `on_end` or `amrelay_sink_free`; with
/// `AMRELAY_SINK_TAKE` it is the sink's, after a failure it is still the caller's. `arg` must live as long as the sink.
///
/// NULL: `loop`, `options` and `out` NULL are refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if `fd` is negative or not for writing, a flag
/// unknown, or `low_water` above `high_water`; -EBADF if `fd` is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_sink_new(
    r#loop: *mut amrelay_loop,
    options: *const amrelay_sink_options,
    out: *mut *mut amrelay_sink,
) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed, NULL or a struct as large as its size says, and NULL
    // or a variable for the sink.
    unsafe {
        enter("amrelay_sink_new", r#loop, |handle| {
            let options = layout::read(options)?;
            check_out(out)?;
            let sink = Sink::new(handle.events(), options.translate()?)?;
            if options.flags & AMRELAY_SINK_TAKE != 0 {
                sink.adopt(descriptor::take(options.fd));
            }
            publish(
                amrelay_sink {
                    marks: Marks::this_thread(),
                    sink,
                },
                out,
            );
            Ok(0)
        })
    }
}

/// Writes bytes as far as that is possible at once and queues a copy of the rest.
///
/// Ownership: `buf` stays the caller's.
///
/// NULL: `sink` NULL is refused, `buf` NULL only if `len` is not 0.
///
/// Returns: 0; 1 if more than `high_water` is queued: push nothing more before `on_resume`; `AMRELAY_E_NULL`;
/// `AMRELAY_E_ARGUMENT` if `len` exceeds `PTRDIFF_MAX`; `AMRELAY_E_LIMIT` if more than `high_water` and 4 MiB together
/// would be queued (nothing is then); `AMRELAY_E_STATE` after `amrelay_sink_finish`; -errno if writing has failed, now
/// or before (-EPIPE: the reader has gone; -ENOMEM: no memory for the rest; `on_end` follows from the loop).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_sink_push(
    sink: *mut amrelay_sink,
    buf: *const c_void,
    len: size_t,
) -> c_int {
    // SAFETY: the caller passes NULL or a sink that is not freed, and NULL or `len` bytes.
    unsafe {
        enter("amrelay_sink_push", sink, |sink| {
            let paused = sink.sink.push(layout::bytes(buf, len)?)?;
            Ok(c_int::from(paused))
        })
    }
}

/// Reports that nothing more will be pushed: what is queued is written while the loop turns, then `on_end` is called.
///
/// Ownership: nothing changes hands; the sink must still be freed. A taken descriptor is closed as soon as all is
/// written, before this returns if nothing is queued.
///
/// NULL: `sink` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if called before; -errno if writing has failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_sink_finish(sink: *mut amrelay_sink) -> c_int {
    // SAFETY: the caller passes NULL or a sink that is not freed.
    unsafe {
        enter("amrelay_sink_finish", sink, |sink| {
            sink.sink.finish()?;
            Ok(0)
        })
    }
}

/// Gets how much a sink has written, and what it waited for. May be called after the end, too.
///
/// Ownership: `stats` stays the caller's and is written only on success.
///
/// NULL: `sink` and `stats` NULL are refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if `stats->size` is not known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_sink_stats(
    sink: *const amrelay_sink,
    stats: *mut amrelay_stats,
) -> c_int {
    // SAFETY: the caller passes NULL or a sink that is not freed, and NULL or a struct as large as its size says.
    unsafe {
        enter("amrelay_sink_stats", sink, |sink| {
            layout::check(stats)?;
            stats.write(amrelay_stats::new(&sink.sink.stats()));
            Ok(0)
        })
    }
}

/// Frees a sink, and ends it at once if it has not ended: what is queued is lost, its functions are not called any
/// more.
///
/// Ownership: `sink` is gone. A lent descriptor stays the caller's, a taken one is closed.
///
/// NULL: does nothing.
///
/// Returns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_sink_free(sink: *mut amrelay_sink) {
    // SAFETY: the caller passes NULL or a sink that is not freed, and does not use it again.
    unsafe { free("amrelay_sink_free", sink, drop) };
}

impl amrelay_sink_options {
    fn translate(&self) -> Result<SinkOptions, Failure> {
        layout::check_flags(self.flags, AMRELAY_SINK_TAKE)?;
        Ok(SinkOptions {
            descriptor: descriptor::lend(self.fd, "fd")?,
            high_water: layout::wish(self.high_water),
            low_water: layout::wish(self.low_water),
            on_resume: notification(self.on_resume, self.arg),
            on_end: on_end(self.on_end, self.arg),
        })
    }
}
