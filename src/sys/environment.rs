//! The environment, as far as it may be listened to.

use std::ffi::OsString;

/// The variable's value. None in a program that has more rights than who started it (set-uid, file capabilities): there
/// the environment is a stranger's.
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
