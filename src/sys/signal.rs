//! Signals: keeping SIGPIPE away from the host program, and which signals the library's threads and the programs it
//! starts take.
//!
//! A write to a pipe, and a splice to anything, whose reader has gone raises SIGPIPE in the calling thread, and no
//! flag prevents it. The host may have left the signal at its default, which ends the process.

use std::mem::MaybeUninit;
use std::ptr;

/// Keeps SIGPIPE blocked in this thread; dropping it takes away a SIGPIPE that arrived meanwhile and restores the
/// thread's mask.
///
/// Does nothing where the signal is ignored. A host that had blocked it may unblock it later, and must not
/// get one of the library's then. Hold it around the system call alone: a process forked meanwhile would
/// inherit the mask.
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

/// What a fault in a thread itself raises. Blocked, it would end the process all the same (`sigprocmask(2)`), but past the
/// host's handler.
const FAULTS: [libc::c_int; 5] = [
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSEGV,
    libc::SIGTRAP,
];

/// Keeps all signals but faults blocked in this thread; dropping it restores the mask.
///
/// A thread that is started meanwhile inherits the mask and keeps it. The host's handlers then run in the host's threads
/// alone, as it has arranged, and a broken pipe raises no SIGPIPE that anybody would see.
pub(crate) struct AllBlocked {
    before: libc::sigset_t,
}

impl AllBlocked {
    pub(crate) fn new() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises the set before it is used; pthread_sigmask fills in `before`, and cannot fail
        // with SIG_BLOCK.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for signal in FAULTS {
                libc::sigdelset(all.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
            Self {
                before: before.assume_init(),
            }
        }
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        set_mask(&self.before);
    }
}

/// Lets this process, just forked to become another program, take all signals again. Async-signal-safe.
pub(crate) fn unblock_all() {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set, and cannot fail.
    let none = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        none.assume_init()
    };
    set_mask(&none);
}

fn set_mask(mask: &libc::sigset_t) {
    // SAFETY: the set outlives the call, which cannot fail with SIG_SETMASK.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}
