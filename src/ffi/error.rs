//! Result codes, their texts, and what went wrong last.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int};
use std::fmt::{self, Write as _};
use std::io;

use crate::relay;
use crate::sys::Errno;
use crate::sys::errno::errno_of;

/// A pointer that must not be NULL was NULL.
pub const AMRELAY_E_NULL: c_int = -7001;
/// An argument or a field of an options struct has a value that is not allowed.
pub const AMRELAY_E_ARGUMENT: c_int = -7002;
/// The size field of a struct is not a size this library knows.
pub const AMRELAY_E_SIZE: c_int = -7003;
/// The call does not fit the state of the handle: it has ended, is in use further up the stack, or the event is
/// unknown.
pub const AMRELAY_E_STATE: c_int = -7004;
/// The bytes do not fit into a frame or a queue.
pub const AMRELAY_E_LIMIT: c_int = -7005;
/// The library met a defect of its own. The call did not do its work, and the handle is unusable from now on.
pub const AMRELAY_E_PANIC: c_int = -7006;
/// An earlier call with this handle returned `AMRELAY_E_PANIC`; it can only be freed.
pub const AMRELAY_E_POISONED: c_int = -7007;
/// The handle belongs to another thread.
pub const AMRELAY_E_THREAD: c_int = -7008;

/// The indexed tar stream is damaged or cut off; the lines are what could be read.
pub const AMRELAY_E_DAMAGED: c_int = -7009;
/// The command that makes an index has failed.
pub const AMRELAY_E_COMMAND: c_int = -7010;
/// The indexed tar stream is sound, but not all its members have a line. Names of more than 256 KiB are left out, and
/// lines that would give the index more than 4 bytes for each byte of the archive (one long name for many members).
/// `amrelay_index_message` and `amrelay_tee_index_message` say how many lines.
pub const AMRELAY_E_OMITTED: c_int = -7011;
/// The stream is in no known format: `AMRELAY_FORMAT_DETECT`.
pub const AMRELAY_E_NO_ARCHIVE: c_int = -7012;

/// Size of a text of this module, in bytes, including the final zero byte.
const TEXT_SIZE: usize = 256;

thread_local! {
    // Plain arrays: they need no allocation when memory is short, and no destructor when the thread ends.
    static LAST: RefCell<Text> = const { RefCell::new(Text::empty()) };
    static SYSTEM: RefCell<Text> = const { RefCell::new(Text::empty()) };
}

/// A C string of bounded length; what does not fit is left out.
#[repr(transparent)]
struct Text([u8; TEXT_SIZE]);

impl Text {
    const fn empty() -> Self {
        Self([0; TEXT_SIZE])
    }

    fn set(&mut self, text: fmt::Arguments) {
        let mut rest = Rest {
            text: self,
            used: 0,
        };
        // Only a full buffer ends the writing early, and a cut text is still valid.
        let _ = rest.write_fmt(text);
        let used = rest.used;
        self.0[used] = 0;
    }
}

/// The free part of a [`Text`].
struct Rest<'a> {
    text: &'a mut Text,
    used: usize,
}

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let fits = cut(piece, TEXT_SIZE - 1 - self.used);
        let end = self.used + fits;
        self.text.0[self.used..end].copy_from_slice(&piece.as_bytes()[..fits]);
        self.used = end;
        if fits == piece.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

/// The length of the longest part of `text` that has at most `limit` bytes and whole characters.
fn cut(text: &str, limit: usize) -> usize {
    let limit = limit.min(text.len());
    (0..=limit)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

/// Why a call failed: the code it returns and the text that [`amrelay_error`] gives.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: c_int,
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(code: c_int, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    pub(super) fn system(errno: Errno, text: impl Into<String>) -> Self {
        Self::new(code_of(errno), text)
    }

    pub(super) fn null(what: &str) -> Self {
        Self::new(AMRELAY_E_NULL, format!("{what} is NULL"))
    }

    pub(super) fn argument(text: impl Into<String>) -> Self {
        Self::new(AMRELAY_E_ARGUMENT, text)
    }

    pub(super) fn state(text: impl Into<String>) -> Self {
        Self::new(AMRELAY_E_STATE, text)
    }

    pub(super) fn limit(text: impl Into<String>) -> Self {
        Self::new(AMRELAY_E_LIMIT, text)
    }

    /// Keeps the text for [`amrelay_error`], logs it, and returns the code.
    pub(super) fn record(&self, function: &str) -> c_int {
        LAST.with_borrow_mut(|last| last.set(format_args!("{function}: {}", self.text)));
        log::debug!("{function}: {} ({})", self.text, self.code);
        self.code
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(code_of_error(&error), error.to_string())
    }
}

impl From<relay::Error> for Failure {
    fn from(error: relay::Error) -> Self {
        match error {
            relay::Error::Argument(text) => Self::argument(text),
            relay::Error::State(text) => Self::state(text),
            relay::Error::Limit(text) => Self::limit(text),
            relay::Error::System(error) => error.into(),
        }
    }
}

/// The code that C sees for an errno.
pub(super) fn code_of(errno: Errno) -> c_int {
    -errno.raw_os_error()
}

/// The code that C sees for an error.
pub(super) fn code_of_error(error: &io::Error) -> c_int {
    // No system call reports this: Rust's library refused an argument.
    if error.raw_os_error().is_none() && error.kind() == io::ErrorKind::InvalidInput {
        return AMRELAY_E_ARGUMENT;
    }
    code_of(errno_of(error))
}

/// The text of the library's own codes.
fn own_text(code: c_int) -> Option<&'static CStr> {
    Some(match code {
        0 => c"success",
        AMRELAY_E_NULL => c"a required pointer is NULL",
        AMRELAY_E_ARGUMENT => c"a value that is not allowed",
        AMRELAY_E_SIZE => c"the size field of a struct is not known to this library",
        AMRELAY_E_STATE => c"the handle is not in a state for this call",
        AMRELAY_E_LIMIT => c"too many bytes for a frame or a queue",
        AMRELAY_E_PANIC => c"a defect in libamrelay",
        AMRELAY_E_POISONED => c"the handle is unusable after a defect in libamrelay",
        AMRELAY_E_THREAD => c"the handle belongs to another thread",
        AMRELAY_E_DAMAGED => c"the archive is damaged",
        AMRELAY_E_COMMAND => c"the index command has failed",
        AMRELAY_E_OMITTED => c"not all members of the archive are in its index",
        AMRELAY_E_NO_ARCHIVE => c"the stream is no archive",
        _ => return None,
    })
}

/// Gives the text for a result code of any function of the library.
///
/// Ownership: the text is the library's. The text of an `AMRELAY_E_` code lives as long as the library is loaded, any
/// other until the calling thread calls this function again.
///
/// NULL: takes no pointer and never returns NULL.
///
/// Returns: for an `AMRELAY_E_` code and for 0 a text of the library's, for any other negative code the system's text
/// for that errno, for a positive number "not an error code".
///
/// Threads: any thread, any time, callbacks included.
#[unsafe(no_mangle)]
pub extern "C" fn amrelay_strerror(code: c_int) -> *const c_char {
    if let Some(text) = own_text(code) {
        return text.as_ptr();
    }
    if code > 0 {
        return c"not an error code".as_ptr();
    }
    SYSTEM.with_borrow_mut(|text| {
        let number = code.checked_neg().unwrap_or(c_int::MAX);
        // SAFETY: the buffer is writable for TEXT_SIZE bytes for the whole call.
        let result = unsafe { libc::strerror_r(number, text.0.as_mut_ptr().cast(), TEXT_SIZE) };
        if result != 0 {
            text.set(format_args!("unknown error {code}"));
        }
        text.0.as_ptr().cast()
    })
}

/// Gives the text of the last failure in the calling thread, with the name of the function that failed.
///
/// A later success does not clear it: ask only after a failure.
///
/// Ownership: the text is the library's and lives until the next failure in the same thread.
///
/// NULL: takes no pointer and never returns NULL.
///
/// Returns: the text, "" if no call has failed in this thread. A text longer than 255 bytes is cut.
///
/// Threads: any thread, any time, callbacks included.
#[unsafe(no_mangle)]
pub extern "C" fn amrelay_error() -> *const c_char {
    LAST.with_borrow(|last| last.0.as_ptr().cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last() -> &'static CStr {
        // SAFETY: a terminated text that lives as long as this thread.
        unsafe { CStr::from_ptr(amrelay_error()) }
    }

    #[test]
    fn text_too_long_is_cut_between_characters() {
        let text = "ä".repeat(TEXT_SIZE);
        Failure::argument(text).record("f");
        let kept = last().to_str().expect("whole characters");
        assert!(kept.starts_with("f: ää"));
        assert!((TEXT_SIZE - 3..TEXT_SIZE).contains(&kept.len()));
    }

    #[test]
    fn each_thread_has_its_own_last_failure() {
        Failure::null("here").record("f");
        std::thread::spawn(|| assert_eq!(last(), c""))
            .join()
            .expect("no failure there");
        assert_eq!(last(), c"f: here is NULL");
    }

    #[test]
    fn errors_without_a_number_of_the_system_get_one() {
        for (kind, code) in [
            (io::ErrorKind::Unsupported, -libc::EOPNOTSUPP),
            (io::ErrorKind::OutOfMemory, -libc::ENOMEM),
            (io::ErrorKind::BrokenPipe, -libc::EPIPE),
            (io::ErrorKind::InvalidInput, AMRELAY_E_ARGUMENT),
            (io::ErrorKind::UnexpectedEof, -libc::EIO),
        ] {
            assert_eq!(code_of_error(&kind.into()), code);
        }
        assert_eq!(
            code_of_error(&io::Error::from_raw_os_error(libc::ENOSPC)),
            -libc::ENOSPC
        );
    }
}
