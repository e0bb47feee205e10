//! Descriptors that C hands over.

use std::ffi::c_int;
use std::os::fd::{AsFd as _, FromRawFd, OwnedFd};

use super::error::Failure;
use crate::sys::descriptor::{is_for_reading, is_for_writing, is_open};
use crate::sys::{Descriptor, Errno};

/// A descriptor that stays the caller's.
pub(super) fn lend(fd: c_int, what: &str) -> Result<Descriptor, Failure> {
    check(fd, what)?;
    // SAFETY: it is open, and the header tells the caller to keep it so.
    Ok(unsafe { Descriptor::lend(fd) })
}

/// A descriptor that belongs to the library from now on.
///
/// # Safety
/// `fd` was checked with [`check`], and the caller has given it away.
pub(super) unsafe fn take(fd: c_int) -> OwnedFd {
    // SAFETY: open, and nobody else closes it, as the caller promised.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Checks that `fd` is an open descriptor that can be read from.
pub(super) fn check_for_reading(fd: c_int, what: &str) -> Result<(), Failure> {
    if is_for_reading(lend(fd, what)?.as_fd())? {
        return Ok(());
    }
    let text = format!("{what} {fd} is not open for reading");
    Err(Failure::system(Errno::BADF, text))
}

/// Checks that `fd` is an open descriptor that can be written to.
pub(super) fn check_for_writing(fd: c_int, what: &str) -> Result<(), Failure> {
    if is_for_writing(lend(fd, what)?.as_fd())? {
        return Ok(());
    }
    let text = format!("{what} {fd} is not open for writing");
    Err(Failure::system(Errno::BADF, text))
}

/// Checks that `fd` is an open descriptor.
pub(super) fn check(fd: c_int, what: &str) -> Result<(), Failure> {
    if fd < 0 {
        return Err(Failure::argument(format!(
            "{what} is {fd}, not a descriptor"
        )));
    }
    if !is_open(fd) {
        return Err(Failure::system(
            Errno::BADF,
            format!("{what} {fd} is not open"),
        ));
    }
    Ok(())
}
