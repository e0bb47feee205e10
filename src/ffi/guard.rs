//! The panic boundary: no panic of this library unwinds into C, and none prints.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_int;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::OnceLock;
use std::thread;

use super::error::{AMRELAY_E_PANIC, Failure};

#[cfg(not(panic = "unwind"))]
compile_error!("the C ABI reports panics as AMRELAY_E_PANIC: build with panic = \"unwind\"");

/// The prefix of the names of the library's own threads.
const THREAD_PREFIX: &str = "amrelay";

thread_local! {
    /// How many guarded calls are on this thread's stack: a callback may call the library again.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs the body of an export. A failure, and a panic too, becomes a code, and its text is kept for the thread.
pub(super) fn guard(function: &str, body: impl FnOnce() -> Result<c_int, Failure>) -> c_int {
    match catch(body) {
        Ok(Ok(result)) => result,
        Ok(Err(failure)) => failure.record(function),
        Err(panic) => panic.record(function),
    }
}

/// Runs `body`; a panic in it comes back as the failure to report.
pub(super) fn catch<R>(body: impl FnOnce() -> R) -> Result<R, Failure> {
    silence_panics();
    DEPTH.set(DEPTH.get() + 1);
    // Whatever the body leaves half done belongs to a handle, and `handle::enter` makes that handle unusable.
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|payload| Failure::new(AMRELAY_E_PANIC, text_of(&*payload)))
}

/// The process's panic hook before the one of [`silence_panics`].
static PREVIOUS: OnceLock<Hook> = OnceLock::new();

type Hook = Box<dyn Fn(&PanicHookInfo) + Send + Sync>;

/// Puts a hook before the process's panic hook that keeps panics of this library off the standard error output: in
/// sendbackup that is a stream the server reads. Panics of other Rust code in the process go on to the hook before.
fn silence_panics() {
    PREVIOUS.get_or_init(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(tell_panic));
        previous
    });
}

fn tell_panic(info: &PanicHookInfo) {
    let current = thread::current();
    let own = DEPTH.get() > 0
        || current
            .name()
            .is_some_and(|name| name.starts_with(THREAD_PREFIX));
    if own {
        log::error!("{info}");
    } else if let Some(previous) = PREVIOUS.get() {
        previous(info);
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panic without a text").to_owned()
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::process::Command;

    use super::*;
    use crate::ffi::error::amrelay_error;

    #[test]
    fn a_panic_becomes_a_code_and_a_text() {
        let zero = std::hint::black_box(0);
        let code = guard("f", || Ok(1 / zero));
        assert_eq!(code, AMRELAY_E_PANIC);
        // SAFETY: a terminated text that lives as long as this thread.
        let text = unsafe { CStr::from_ptr(amrelay_error()) };
        assert_eq!(text, c"f: attempt to divide by zero");
        assert_eq!(guard("f", || Ok(3)), 3, "the next call is not affected");
        assert_eq!(DEPTH.get(), 0);
    }

    /// Runs the test above in a process whose standard error can be looked at.
    #[test]
    fn a_panic_prints_nothing() {
        let test = "ffi::guard::tests::a_panic_becomes_a_code_and_a_text";
        let output = Command::new(std::env::current_exe().expect("the path of this test"))
            .args(["--exact", test, "--nocapture"])
            .output()
            .expect("the test can be run");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("1 passed"), "{told}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }

    #[test]
    fn a_formatted_panic_keeps_its_text() {
        let failure = catch(|| panic!("at {}", 7)).expect_err("a panic");
        assert_eq!(
            (failure.code, failure.text.as_str()),
            (AMRELAY_E_PANIC, "at 7")
        );
    }
}
