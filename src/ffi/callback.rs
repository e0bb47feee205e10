//! The host's functions, as the rooms call them back.

use std::ffi::{c_int, c_void};
use std::io;
use std::rc::Rc;

use super::error::code_of;
use crate::relay::{EndCallback, ErrorCallback, Notification};
use crate::sys::Errno;

/// A function that gets no code.
pub(super) type NotifyFn = Option<unsafe extern "C" fn(arg: *mut c_void)>;
/// A function that gets a code: 0, or -errno.
pub(super) type CodeFn = Option<unsafe extern "C" fn(arg: *mut c_void, code: c_int)>;

/// The callback for a function that learns that something has happened.
pub(super) fn notification(function: NotifyFn, arg: *mut c_void) -> Option<Notification> {
    let function = function?;
    // SAFETY: the host gave function and argument for this.
    Some(Rc::new(move || unsafe { function(arg) }))
}

/// The callback for a function that learns how something has ended.
pub(super) fn on_end(function: CodeFn, arg: *mut c_void) -> Option<EndCallback> {
    let function = function?;
    Some(Rc::new(move |end| {
        let code = end.err().map_or(0, code_of);
        // SAFETY: the host gave function and argument for this.
        unsafe { function(arg, code) };
    }))
}

/// The callback for a function that learns why something has failed.
pub(super) fn on_error(function: CodeFn, arg: *mut c_void) -> Option<ErrorCallback> {
    let function = function?;
    Some(Rc::new(move |errno| {
        // SAFETY: the host gave function and argument for this.
        unsafe { function(arg, code_of(errno)) };
    }))
}

/// The result of a host's function: 0, or -errno.
pub(super) fn check_code(code: c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(host_error(code.into()))
    }
}

/// Linux's largest errno; other systems' are far smaller.
const MAX_ERRNO: i64 = 4095;

/// The error for a host's -errno; any other number becomes EIO.
pub(super) fn host_error(code: i64) -> io::Error {
    let number = code
        .checked_neg()
        .filter(|number| (1..=MAX_ERRNO).contains(number));
    let errno = number.and_then(|number| i32::try_from(number).ok());
    errno.map_or(Errno::IO, Errno::from_raw_os_error).into()
}
