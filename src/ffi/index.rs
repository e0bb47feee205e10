//! The index parser alone: a tar stream in, lines out.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::{Mutex, OnceLock};

use libc::size_t;

use super::error::{AMRELAY_E_DAMAGED, AMRELAY_E_NO_ARCHIVE, AMRELAY_E_OMITTED, Failure};
use super::guard::guard;
use super::handle::{Handle, Marks, check_out, enter, free, hold, publish};
use super::layout::{self, Layout};
use crate::index::{Outcome, TarIndex};

/// Format of an indexed stream: tar. Like GNU tar, the index looks for headers even after bytes that are not headers.
pub const AMRELAY_FORMAT_TAR: u32 = 0;
/// Format of an indexed stream: to be detected. The stream is tar if its first 512 bytes are a tar header with the
/// right checksum, or all zeros (an archive without members). If it is in no known format, all of it is skippable,
/// there are no lines, and the code is `AMRELAY_E_NO_ARCHIVE`.
pub const AMRELAY_FORMAT_DETECT: u32 = 1;

/// The index of one tar stream: what `LC_ALL=C tar -tf - | sed -e 's/^\.//'` prints for it.
///
/// It belongs to no thread: any thread may use it, but only one at a time.
pub struct amrelay_index {
    marks: Marks,
    parser: Mutex<TarIndex>,
    detecting: bool,
    end: OnceLock<End>,
}

/// What is known once the stream has ended.
struct End {
    outcome: Outcome,
    message: CString,
}

impl Handle for amrelay_index {
    const NAME: &'static str = "index";

    fn marks(&self) -> &Marks {
        &self.marks
    }
}

/// What an index needs to know.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct amrelay_index_options {
    /// `sizeof(amrelay_index_options)`.
    pub size: size_t,
    /// One of `AMRELAY_FORMAT_`.
    pub format: u32,
}

// SAFETY: repr(C), the size first, then an integer.
unsafe impl Layout for amrelay_index_options {
    const NAME: &'static str = "options";
}

/// Takes the next piece of the index, valid during the call only. Lines end with a newline; a piece need not.
pub type amrelay_index_line_fn =
    Option<unsafe extern "C" fn(arg: *mut c_void, buf: *const c_void, len: size_t)>;

/// How an index ended.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct amrelay_index_result {
    /// `sizeof(amrelay_index_result)`, set by the caller.
    pub size: size_t,
    /// Lines given.
    pub entries: u64,
    /// Bytes of the stream before the first fault, or before the header of the first member whose line is left out; 0 if
    /// there was none.
    pub offset: u64,
    /// 0: nothing was wrong with the archive; `AMRELAY_E_DAMAGED`, `AMRELAY_E_OMITTED`, or `AMRELAY_E_NO_ARCHIVE`.
    pub code: i32,
    /// 1 if the archive's end mark was seen; 0 if the stream ended before it.
    pub end_mark: u32,
}

// SAFETY: repr(C), the size first, then integers.
unsafe impl Layout for amrelay_index_result {
    const NAME: &'static str = "result";
}

/// Makes an index, for a stream from its beginning. It needs less than 2 MiB whatever the stream contains.
///
/// Ownership: `*out` is the caller's, to be freed with `amrelay_index_free`; after a failure it is unchanged. `options`
/// is copied.
///
/// NULL: `options` and `out` NULL are refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if the format is not one of `AMRELAY_FORMAT_`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_index_new(
    options: *const amrelay_index_options,
    out: *mut *mut amrelay_index,
) -> c_int {
    guard("amrelay_index_new", || {
        // SAFETY: the caller passes NULL or a struct as large as its size says.
        let options = unsafe { layout::read(options) }?;
        check_out(out)?;
        // SAFETY: not NULL, so the caller's variable.
        unsafe { publish(amrelay_index::new(options.format)?, out) };
        Ok(0)
    })
}

/// Reads the next `len` bytes of the stream and gives the lines they complete to `fn`, before it returns.
///
/// However the stream is split, the lines are the same. A damaged archive is not a failure here:
/// `amrelay_index_finish` reports it.
///
/// `fn` may free the index; other calls for this index from `fn` fail.
///
/// Ownership: `buf` stays the caller's and is not used after the call. `arg` is handed to `fn` unchanged.
///
/// NULL: `index` and `fn` NULL are refused, `buf` NULL only if `len` is not 0; `arg` may be NULL.
///
/// Returns: 0; `AMRELAY_E_NULL` for a pointer that must not be NULL; `AMRELAY_E_ARGUMENT` if `len` exceeds
/// `PTRDIFF_MAX`; `AMRELAY_E_STATE` after `amrelay_index_finish`, and for a call from `fn` or from a second thread while
/// a call is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_index_push(
    index: *mut amrelay_index,
    buf: *const c_void,
    len: size_t,
    r#fn: amrelay_index_line_fn,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller passes NULL or an index that is not freed.
    unsafe {
        enter("amrelay_index_push", index, |index| {
            // SAFETY: the caller passes NULL or `len` bytes that stay unchanged during the call.
            let input = layout::bytes(buf, len)?;
            let line = r#fn.ok_or_else(|| Failure::null("fn"))?;
            index.parsing(|parser| {
                // SAFETY: the host gave function and argument for this; the piece lives until the call returns.
                parser.push(input, &mut |piece| {
                    line(arg, piece.as_ptr().cast(), piece.len());
                });
                Ok(0)
            })
        })
    }
}

/// Returns how many of the next bytes need not be shown: the rest of a file's content, or `UINT64_MAX` once the
/// listing has ended. The caller may drop this many unread and report them with `amrelay_index_skip`.
///
/// Ownership: nothing changes hands.
///
/// NULL: `index` NULL gives 0.
///
/// Returns: the number of bytes; 0 for NULL, after a defect, and while a call for this index is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_index_skippable(index: *const amrelay_index) -> u64 {
    let mut count = 0;
    // SAFETY: the caller passes NULL or an index that is not freed.
    unsafe {
        enter("amrelay_index_skippable", index, |index| {
            count = index.parsing(|parser| Ok(parser.skippable()))?;
            Ok(0)
        });
    }
    count
}

/// Reports that the next `n` bytes of the stream passed without being shown.
///
/// Ownership: nothing changes hands.
///
/// NULL: `index` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_ARGUMENT` if `n` is more than `amrelay_index_skippable` tells;
/// `AMRELAY_E_STATE` as for `amrelay_index_push`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_index_skip(index: *mut amrelay_index, n: u64) -> c_int {
    // SAFETY: the caller passes NULL or an index that is not freed.
    unsafe {
        enter("amrelay_index_skip", index, |index| {
            index.parsing(|parser| {
                let most = parser.skippable();
                if n > most {
                    return Err(Failure::argument(format!(
                        "{n} bytes are not skippable, but {most}"
                    )));
                }
                parser.skip(n);
                Ok(0)
            })
        })
    }
}

/// Reports that the stream has ended, and gets how. Called again it gives the same result.
///
/// Ownership: `result` stays the caller's and is written only on success.
///
/// NULL: `index` and `result` NULL are refused.
///
/// Returns: 0, for a damaged archive or none too: see `result->code`; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if
/// `result->size` is not known; `AMRELAY_E_STATE` for a call from the line function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_index_finish(
    index: *mut amrelay_index,
    result: *mut amrelay_index_result,
) -> c_int {
    // SAFETY: the caller passes NULL or an index that is not freed, and NULL or a struct as large as its size says.
    unsafe {
        enter("amrelay_index_finish", index, |index| {
            layout::check(result)?;
            result.write(index.finish()?);
            Ok(0)
        })
    }
}

/// Says in words what was wrong with the archive, or how many lines are left out and why.
///
/// Ownership: the text is the index's and lives until that is freed.
///
/// NULL: `index` NULL gives "".
///
/// Returns: one line without its end; "" before `amrelay_index_finish`, if the index is complete, and after a defect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_index_message(index: *const amrelay_index) -> *const c_char {
    let mut message = c"".as_ptr();
    guard("amrelay_index_message", || {
        // SAFETY: the caller passes NULL or an index that is not freed.
        let index = unsafe { hold(index) }?;
        if let Some(end) = index.end.get() {
            message = end.message.as_ptr();
        }
        Ok(0)
    });
    message
}

/// Frees an index. Its line function may do this, too.
///
/// Ownership: `index` and its message are gone.
///
/// NULL: does nothing.
///
/// Returns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_index_free(index: *mut amrelay_index) {
    // SAFETY: the caller passes NULL or an index that is not freed, and does not use it again.
    unsafe { free("amrelay_index_free", index, drop) };
}

impl amrelay_index {
    fn new(format: u32) -> Result<Self, Failure> {
        let parser = match format {
            AMRELAY_FORMAT_TAR => TarIndex::new(),
            AMRELAY_FORMAT_DETECT => TarIndex::detecting(),
            _ => return Err(Failure::argument(format!("{format} is no format"))),
        };
        Ok(Self {
            marks: Marks::any_thread(),
            parser: Mutex::new(parser),
            detecting: format == AMRELAY_FORMAT_DETECT,
            end: OnceLock::new(),
        })
    }

    /// Runs `work` with the parser, as long as the stream goes on. The parser stays locked while the line function
    /// runs: a second call is refused and does not wait.
    fn parsing<R>(
        &self,
        work: impl FnOnce(&mut TarIndex) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let Ok(mut parser) = self.parser.try_lock() else {
            return Err(Failure::state("a call for this index is under way"));
        };
        if self.end.get().is_some() {
            return Err(Failure::state("the index is finished"));
        }
        work(&mut parser)
    }

    fn finish(&self) -> Result<amrelay_index_result, Failure> {
        let Ok(parser) = self.parser.try_lock() else {
            return Err(Failure::state("a call for this index is under way"));
        };
        let end = self.end.get_or_init(|| End::new(parser.finish()));
        let (code, offset, end_mark) = match end.outcome {
            Outcome::Complete { end_mark } => (0, 0, end_mark),
            Outcome::Omitted {
                offset, end_mark, ..
            } => (AMRELAY_E_OMITTED, offset, end_mark),
            Outcome::Damaged { what, offset, .. } if self.detecting && what.is_no_archive() => {
                (AMRELAY_E_NO_ARCHIVE, offset, false)
            }
            Outcome::Damaged { offset, .. } => (AMRELAY_E_DAMAGED, offset, false),
        };
        Ok(amrelay_index_result {
            size: size_of::<amrelay_index_result>(),
            entries: parser.entries(),
            offset,
            code,
            end_mark: end_mark.into(),
        })
    }
}

impl End {
    fn new(outcome: Outcome) -> Self {
        let message = match outcome {
            Outcome::Complete { .. } => CString::default(),
            wanting => CString::new(wanting.to_string()).unwrap_or_default(),
        };
        Self { outcome, message }
    }
}
