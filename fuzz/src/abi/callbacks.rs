//! The functions that the library calls.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use amrelay::ffi::error::AMRELAY_E_NULL;
use amrelay::ffi::event::amrelay_loop_quit;
use amrelay::ffi::link::AMRELAY_WANT_WRITE;
use amrelay::ffi::log::{AMRELAY_LOG_DEBUG, AMRELAY_LOG_ERROR};

use super::Host;

/// What the functions of one handle are given.
pub(super) struct Context {
    host: *const Host,
    /// Whether the handle's functions may be called.
    open: Cell<bool>,
    ended: Cell<bool>,
    calls: Cell<usize>,
}

impl Context {
    pub(super) fn new(host: &Host) -> Self {
        Self {
            host,
            open: Cell::new(true),
            ended: Cell::new(false),
            calls: Cell::new(0),
        }
    }

    /// From now on none of the functions may be called.
    pub(super) fn close(context: *const Self) {
        // SAFETY: contexts live as long as their host.
        unsafe { &*context }.open.set(false);
    }

    /// A call that may only come while the handle is there.
    fn enter<'a>(argument: *mut c_void) -> &'a Self {
        // SAFETY: every function is given a context, which lives as long as the host.
        let context = unsafe { &*argument.cast::<Self>() };
        assert!(context.open.get(), "called after the end");
        context.calls.set(context.calls.get() + 1);
        context
    }

    fn react(&self) {
        // SAFETY: the host lives longer than anything that it has made.
        unsafe { &*self.host }.react();
    }
}

pub(super) extern "C" fn fired(argument: *mut c_void) {
    Context::enter(argument).react();
}

pub(super) extern "C" fn ended(argument: *mut c_void, code: c_int) {
    let context = Context::enter(argument);
    assert!(code <= 0);
    assert!(!context.ended.replace(true), "ended twice");
    context.react();
}

pub(super) extern "C" fn failed(argument: *mut c_void, code: c_int) {
    assert!(code < 0);
    Context::enter(argument).react();
}

/// The last call for a link.
pub(super) extern "C" fn closed(argument: *mut c_void) {
    let context = Context::enter(argument);
    context.open.set(false);
    context.react();
}

pub(super) extern "C" fn resumed(argument: *mut c_void) {
    Context::enter(argument).react();
}

pub(super) extern "C" fn tapped(argument: *mut c_void, bytes: *const c_void, length: usize) {
    assert!(!bytes.is_null() && length > 0);
    Context::enter(argument).react();
}

/// Takes half of it, or refuses.
pub(super) extern "C" fn write(argument: *mut c_void, bytes: *const c_void, length: usize) -> i64 {
    assert!(!bytes.is_null() && length > 0);
    let context = Context::enter(argument);
    context.react();
    match context.calls.get() % 4 {
        0 => AMRELAY_WANT_WRITE,
        3 if length % 16 == 15 => -i64::from(libc::EPIPE),
        _ => i64::try_from(length.div_ceil(2)).unwrap(),
    }
}

/// Sends the payload as it is.
pub(super) extern "C" fn seal(
    argument: *mut c_void,
    bytes: *const c_void,
    length: usize,
    out: *mut *mut c_void,
    out_length: *mut usize,
) -> c_int {
    Context::enter(argument);
    // SAFETY: the library's variables, and its bytes, which outlive their use here.
    unsafe {
        out.write(bytes.cast_mut());
        out_length.write(length);
    }
    0
}

pub(super) extern "C" fn seal_free(_argument: *mut c_void, sealed: *mut c_void) {
    assert!(!sealed.is_null());
}

/// Called in a tee's thread.
pub(super) extern "C" fn tee_write(
    _argument: *mut c_void,
    bytes: *const c_void,
    length: usize,
) -> c_int {
    assert!(!bytes.is_null());
    if length % 64 == 63 { -libc::ENOSPC } else { 0 }
}

/// A line of an index, whose argument is the host.
pub(super) extern "C" fn line(argument: *mut c_void, bytes: *const c_void, length: usize) {
    assert!(!bytes.is_null() && length > 0);
    // SAFETY: the host outlives the call.
    unsafe { &*argument.cast::<Host>() }.react();
}

/// A log line, in any thread. What fails in here must not lead back here.
pub(super) extern "C" fn logged(_argument: *mut c_void, level: c_int, message: *const c_char) {
    assert!((AMRELAY_LOG_ERROR..=AMRELAY_LOG_DEBUG).contains(&level));
    // SAFETY: a terminated text.
    assert!(!unsafe { CStr::from_ptr(message) }.is_empty());
    // SAFETY: NULL is refused.
    assert_eq!(unsafe { amrelay_loop_quit(null_mut()) }, AMRELAY_E_NULL);
}
