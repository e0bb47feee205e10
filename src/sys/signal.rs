//! Keeping SIGPIPE away from the host program.
//!
//! A write to a pipe, and a splice to anything, whose reader has gone raises SIGPIPE in the calling thread, and no
//! flag prevents it. The host may have left the signal at its default, which ends the process.

use std::mem::MaybeUninit;
use std::ptr;

/// Keeps SIGPIPE blocked in this thread; dropping it takes away a SIGPIPE that arrived meanwhile and restores the
/// thread's mask.
///
/// Does nothing where the signal is ignored. A host that had it blocked before may let it through later, and must find
/// none then that is the library's. Hold it around the system call alone: a process forked meanwhile would inherit the
/// mask.
#[derive(Debug)]
pub(crate) struct SigpipeGuard {
    /// The signal is not ignored, and none was pending before.
    consume: bool,
    /// The signal was not blocked before.
    unblock: bool,
}

impl SigpipeGuard {
    /// Blocks SIGPIPE in this thread.
    pub(crate) fn new() -> Self {
        let harmful = !sigpipe_is_ignored();
        let unblock = harmful && set_sigpipe_mask(libc::SIG_BLOCK);
        Self {
            // What was not blocked cannot have been pending.
            consume: unblock || (harmful && !sigpipe_is_pending()),
            unblock,
        }
    }
}

impl Drop for SigpipeGuard {
    fn drop(&mut self) {
        if self.consume {
            consume_sigpipe();
        }
        if self.unblock {
            set_sigpipe_mask(libc::SIG_UNBLOCK);
        }
    }
}

fn sigpipe_is_ignored() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only asks; on success the kernel has filled in `action`, which is read only then.
    unsafe {
        libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Applies `how` (`SIG_BLOCK`, `SIG_UNBLOCK`) to SIGPIPE; true if that made it blocked where it was not.
fn set_sigpipe_mask(how: libc::c_int) -> bool {
    let set = sigpipe_set();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets outlive the call; `before` is read only after the call has succeeded and filled it in.
    unsafe {
        libc::pthread_sigmask(how, &raw const set, before.as_mut_ptr()) == 0
            && how == libc::SIG_BLOCK
            && libc::sigismember(before.as_ptr(), libc::SIGPIPE) == 0
    }
}

/// Whether a SIGPIPE waits for this thread, or for the process.
fn sigpipe_is_pending() -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set outlives the call, and is read only after the call has succeeded and filled it in.
    unsafe {
        libc::sigpending(pending.as_mut_ptr()) == 0
            && libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1
    }
}

fn sigpipe_set() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set, and SIGPIPE is a valid signal number, so neither call can fail.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}

/// Takes a pending SIGPIPE off this thread, without waiting for one.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
))]
fn consume_sigpipe() {
    let set = sigpipe_set();
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the set and the time outlive the call, and a null information pointer is allowed (sigtimedwait(2)).
    let ask = || unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const now) };
    // EINTR means that another signal's handler ran; the question is then asked again.
    while ask() == -1 && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted {
    }
}

/// Takes a pending SIGPIPE off this thread, without waiting for one. Not all of these systems have sigtimedwait(2); a
/// pending SIGPIPE makes sigwait(2) return at once.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
)))]
fn consume_sigpipe() {
    let set = sigpipe_set();
    let mut signal = 0;
    if sigpipe_is_pending() {
        // SAFETY: the set and the number outlive the call.
        unsafe { libc::sigwait(&raw const set, &raw mut signal) };
    }
}
