//! Which signals the library's threads and the programs it starts take.

use std::mem::MaybeUninit;
use std::ptr;

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
        set(&self.before);
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
    set(&none);
}

fn set(mask: &libc::sigset_t) {
    // SAFETY: the set outlives the call, which cannot fail with SIG_SETMASK.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}
