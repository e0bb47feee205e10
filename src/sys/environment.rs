//! Environment variables, read only where they can be trusted.

use std::ffi::OsString;

/// The variable's value. None in a program with more rights than the user who started it (set-uid, file
/// capabilities): that user controls the environment.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|_| !has_more_rights())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn has_more_rights() -> bool {
    // SAFETY: the call reads what the kernel has left for the process, and takes any number.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn has_more_rights() -> bool {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { libc::issetugid() != 0 }
}
