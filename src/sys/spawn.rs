//! Starting a program that inherits its three standard descriptors and no other.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Makes `command` run without the descriptors that the host program left open across exec: a child that holds the
/// writing end of a data pipe would keep its reader from seeing the end.
pub(crate) fn inherit_only_standard(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes system calls only; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            close_others_on_exec();
            Ok(())
        });
    }
}

/// Marks every descriptor from 3 on. Marking instead of closing leaves alone the pipe through which the standard
/// library learns that exec failed.
fn close_others_on_exec() {
    if !mark_range() {
        mark_each();
    }
}

/// `close_range(2)` with `CLOSE_RANGE_CLOEXEC` (Linux 5.11 and later); false where it is missing.
#[cfg(target_os = "linux")]
fn mark_range() -> bool {
    const FROM: libc::c_uint = 3;
    // SAFETY: the call reads no memory of ours, and only changes flags of this process's descriptors.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FROM,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        ) == 0
    }
}

#[cfg(not(target_os = "linux"))]
fn mark_range() -> bool {
    false
}

fn mark_each() {
    /// A host with a higher limit hardly uses it, and a loop over a billion numbers would take minutes.
    const HIGHEST_TRIED: libc::c_long = 65_536;
    // SAFETY: sysconf and fcntl are async-signal-safe and read no memory of ours; a closed number gives EBADF.
    unsafe {
        let limit = libc::sysconf(libc::_SC_OPEN_MAX).clamp(3, HIGHEST_TRIED);
        for fd in 3..limit {
            #[expect(clippy::cast_possible_truncation, reason = "at most HIGHEST_TRIED")]
            libc::fcntl(fd as libc::c_int, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}
