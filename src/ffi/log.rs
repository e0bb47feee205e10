//! Log lines for the host.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, PoisonError, RwLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::error::Failure;
use super::guard::guard;

/// Level of a log line: a defect of the library.
pub const AMRELAY_LOG_ERROR: c_int = 1;
/// Level of a log line: a call that failed.
pub const AMRELAY_LOG_DEBUG: c_int = 2;

/// Takes a log line of the library: one line without its end, valid during the call only.
///
/// It is called in whichever thread has something to report, including the library's own, and must not call the
/// library except for `amrelay_version`, `amrelay_strerror` and `amrelay_error`. While it runs it is not called again
/// in the same thread: lines of other calls are lost.
pub type amrelay_log_fn =
    Option<unsafe extern "C" fn(arg: *mut c_void, level: c_int, message: *const c_char)>;

/// The host's function and its argument.
#[derive(Clone, Copy)]
struct Target {
    function: unsafe extern "C" fn(arg: *mut c_void, level: c_int, message: *const c_char),
    arg: *mut c_void,
}

// SAFETY: the host was told that the function is called with this argument from any thread.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

static TARGET: RwLock<Option<Target>> = RwLock::new(None);

thread_local! {
    /// Whether the host's function is running in this thread. What it calls may fail, and would log that.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Hands the lines of this crate to the host's function.
struct Bridge;

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &Record) {
        // Copied out: no lock is held while the host's function runs.
        let target = *TARGET.read().unwrap_or_else(PoisonError::into_inner);
        let Some(target) = target.filter(|_| self.enabled(record.metadata())) else {
            return;
        };
        let mut line = record.args().to_string().into_bytes();
        line.retain(|byte| *byte != 0);
        for byte in line.iter_mut().filter(|byte| **byte == b'\n') {
            *byte = b' ';
        }
        let Ok(message) = CString::new(line) else {
            return;
        };
        let level = match record.level() {
            Level::Error => AMRELAY_LOG_ERROR,
            _ => AMRELAY_LOG_DEBUG,
        };
        if TELLING.replace(true) {
            return;
        }
        // SAFETY: the host gave function and argument for this; the message lives until the call returns.
        unsafe { (target.function)(target.arg, level, message.as_ptr()) };
        TELLING.set(false);
    }

    fn flush(&self) {}
}

/// Sets the function that is given the library's log lines, for the whole process. Without one the library is silent.
///
/// Ownership: `arg` stays the caller's and must live until another function is set and every call under way is over.
///
/// NULL: `fn` NULL makes the library silent again; `arg` may be NULL.
///
/// Returns: 0; `AMRELAY_E_STATE` if a Rust program has set up a logger of its own, which gets the lines then.
///
/// Threads: any thread, but not from `fn`; other threads may still call the previous function for a short while.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_set_log(r#fn: amrelay_log_fn, arg: *mut c_void) -> c_int {
    guard("amrelay_set_log", || {
        install()?;
        let target = r#fn.map(|function| Target { function, arg });
        let level = if target.is_some() {
            LevelFilter::Debug
        } else {
            LevelFilter::Off
        };
        *TARGET.write().unwrap_or_else(PoisonError::into_inner) = target;
        log::set_max_level(level);
        Ok(0)
    })
}

/// Makes [`Bridge`] the process's logger; the `log` crate allows that once.
fn install() -> Result<(), Failure> {
    static ONCE: Once = Once::new();
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    ONCE.call_once(|| INSTALLED.store(log::set_logger(&Bridge).is_ok(), Ordering::Relaxed));
    if INSTALLED.load(Ordering::Relaxed) {
        Ok(())
    } else {
        Err(Failure::state("the process has another logger"))
    }
}
