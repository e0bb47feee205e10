//! Tees, as C sees them.

use std::ffi::{CString, c_char, c_int};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex, OnceLock};

use libc::size_t;

use super::error::{
    AMRELAY_E_COMMAND, AMRELAY_E_DAMAGED, AMRELAY_E_OMITTED, Failure, code_of, code_of_error,
};
use super::guard::guard;
use super::handle::{Handle, Marks, check_out, enter, free, hold, publish};
use super::layout::{self, Layout};
use super::stats::amrelay_stats;
use super::tee_check;
use super::tee_options::amrelay_tee_options;
use crate::index::Outcome;
use crate::inspect::IndexEnd;
use crate::sys::Errno;
use crate::tee::{Control, Prepared, Report, Tee};

/// A tee: passes a stream on and makes CRC and index of it, in a thread of its own.
///
/// The output gets exactly the bytes of the input; a failure of the index ends the index, never the data. A slow
/// reader of the index holds up the data only when 1 MiB waits for it.
///
/// It belongs to no thread. Any thread may cancel it or get the descriptor of its end, at any time: while another one
/// waits for it, too, and in its own functions. Only one at a time may do anything else with it.
pub struct amrelay_tee {
    marks: Marks,
    /// None after it was waited for.
    tee: Mutex<Option<Tee>>,
    control: Arc<Control>,
    end: OnceLock<End>,
}

/// What is known once the tee has ended.
struct End {
    report: Report,
    /// What was wrong with the index.
    message: CString,
}

impl Handle for amrelay_tee {
    const NAME: &'static str = "tee";

    fn marks(&self) -> &Marks {
        &self.marks
    }
}

/// What came of a tee.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct amrelay_tee_result {
    /// `sizeof(amrelay_tee_result)`, set by the caller.
    pub size: size_t,
    /// Bytes of the stream that the tee has read: as many as `stats.bytes`, or more if the output failed.
    pub read_bytes: u64,
    /// Lines of the index so far; 0 if a command makes it.
    pub entries: u64,
    /// CRC-32C of the first `read_bytes` bytes of the stream, whether or not they were passed on; 0 if it was not
    /// asked for.
    pub crc32c: u32,
    /// 0, or -errno: the input could not be read to its end (-ENOMEM: no memory for a buffer).
    pub input_code: i32,
    /// 0, or -errno: the output took no more (-ECANCELED: `amrelay_tee_cancel`).
    pub output_code: i32,
    /// 0, `AMRELAY_E_DAMAGED`, `AMRELAY_E_OMITTED`, `AMRELAY_E_COMMAND`, or -errno: the index is not complete (-EPIPE: its
    /// reader has gone; -ENOMEM: no memory for what waits for its reader; -ECANCELED: the output failed, or
    /// `amrelay_tee_cancel`).
    pub index_code: i32,
    /// Wait status of the index command, as waitpid(2) gives it; 0 if there was none.
    pub index_status: i32,
    /// For `AMRELAY_INDEX_TAR`: 1 if the archive has its end mark. 0: it ends without one, after a whole member. GNU
    /// tar accepts such an archive, and so does `index_code`, but its writer was interrupted. -1: not known, because
    /// the archive is damaged or was not listed to its end.
    pub index_end_mark: i32,
    /// How many bytes the output took, which are the first of the stream, how they were moved, and where the time went.
    /// Its size field is set by the library.
    pub stats: amrelay_stats,
}

// SAFETY: repr(C), the size first, then integers and a struct of integers.
unsafe impl Layout for amrelay_tee_result {
    const NAME: &'static str = "result";
}

/// Starts a tee in a thread of its own.
///
/// Ownership: `*out` is the caller's, to be freed with `amrelay_tee_free`; after a failure it is unchanged. `options`
/// and the command are copied. Lent descriptors stay the caller's, who keeps them open until `amrelay_tee_wait` or
/// `amrelay_tee_free` returns; those that a flag names are the tee's, after a failure they are still the caller's.
/// `arg` must live as long as the tee's thread.
///
/// NULL: `options` and `out` NULL are refused, `write` NULL only if `output_fd` is -1, `index_command` NULL only for
/// `AMRELAY_INDEX_COMMAND`.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if options contradict each other, as
/// `amrelay_error` says: a flag or the index is unknown; a descriptor that is needed is negative, or 0 for the index;
/// there are two outputs; there is an `index_fd` or a command, but not that index; a descriptor that the tee is to take
/// is missing or named twice; two ends are the same pipe or file, so that the tee would read what it writes, or index
/// and data would be mixed; -EBADF if a descriptor is not open, or not for its use; -EAGAIN if there can be no further
/// thread; -EMFILE, -ENFILE if there can be no further descriptor.
///
/// Threads: any thread. Do not change the environment at the same time; with an index command, not before
/// `index_started` either. The tee's thread takes no signals except those that its own faults would raise, and has a
/// stack of 2 MiB, on which the host's functions run, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_start(
    options: *const amrelay_tee_options,
    out: *mut *mut amrelay_tee,
) -> c_int {
    guard("amrelay_tee_start", || {
        // SAFETY: the caller passes NULL or a struct as large as its size says.
        let options = unsafe { layout::read(options) }?;
        // SAFETY: a command in it is terminated.
        let command = unsafe { tee_check::check(&options) }?;
        check_out(out)?;
        // The last step that can fail: until here all descriptors are the caller's.
        let prepared = Prepared::new()?;
        // SAFETY: they were checked, and the host was told what is used in the tee's thread.
        let tee = prepared.start(unsafe { options.into_config(command) });
        let handle = amrelay_tee {
            marks: Marks::any_thread(),
            control: Arc::clone(tee.control()),
            tee: Mutex::new(Some(tee)),
            end: OnceLock::new(),
        };
        // SAFETY: not NULL, so the caller's variable.
        unsafe { publish(handle, out) };
        Ok(0)
    })
}

/// Waits until a tee has ended, and gets its result. Called again it gives the same result.
///
/// Ownership: `result` stays the caller's. It is also written if the tee failed.
///
/// NULL: `tee` and `result` NULL are refused.
///
/// Returns: 0 if all data went from the input to the output, whatever became of the index; -errno: what ended the data
/// (`result` is written, and says which side it was); `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if `result->size` is not
/// known; `AMRELAY_E_STATE` in the tee's own thread, and while another thread waits.
///
/// Threads: any but the tee's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_wait(
    tee: *mut amrelay_tee,
    result: *mut amrelay_tee_result,
) -> c_int {
    // SAFETY: the caller passes NULL or a tee that is not freed, and NULL or a struct as large as its size says.
    unsafe {
        enter("amrelay_tee_wait", tee, |handle| {
            layout::check(result)?;
            let end = handle.wait()?;
            result.write(amrelay_tee_result::new(&end.report));
            check_data(&end.report)
        })
    }
}

/// Ends a tee soon, whatever it waits for. If it has not passed all data on by then, it fails as if its output had
/// taken no more: `output_code` and `index_code` are -ECANCELED. If only the index was under way, only `index_code`
/// is. It must still be freed, and can be waited for. Nothing happens to a tee that has ended.
///
/// A call of the host's `write` or `index_started` that is under way is not interrupted: the tee ends after it has
/// returned. An index command is killed; programs that it has started find their input closed.
///
/// Ownership: nothing changes hands. What the tee owns is closed when it has ended.
///
/// NULL: `tee` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_cancel(tee: *mut amrelay_tee) -> c_int {
    // SAFETY: the caller passes NULL or a tee that is not freed.
    unsafe {
        enter("amrelay_tee_cancel", tee, |handle| {
            handle.control.cancel();
            Ok(0)
        })
    }
}

/// Gives a descriptor that becomes readable when the tee has ended, for a poll(2) or an `AMRELAY_EVENT_READ` event:
/// `amrelay_tee_wait` then returns at once.
///
/// Ownership: the descriptor is the tee's and lives until that is freed. It may be polled and nothing else: not read
/// from, not written to, not closed.
///
/// NULL: `tee` NULL is refused.
///
/// Returns: the descriptor, the same each time; `AMRELAY_E_NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_ended_fd(tee: *const amrelay_tee) -> c_int {
    // SAFETY: the caller passes NULL or a tee that is not freed.
    unsafe {
        enter("amrelay_tee_ended_fd", tee, |handle| {
            Ok(handle.control.ended().as_raw_fd())
        })
    }
}

/// Says in words what was wrong with the index.
///
/// Ownership: the text is the tee's and lives until that is freed.
///
/// NULL: `tee` NULL gives "".
///
/// Returns: one line without its end; "" before `amrelay_tee_wait`, if nothing was wrong, and after a defect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_index_message(tee: *const amrelay_tee) -> *const c_char {
    let mut text = c"".as_ptr();
    guard("amrelay_tee_index_message", || {
        // SAFETY: the caller passes NULL or a tee that is not freed.
        let handle = unsafe { hold(tee) }?;
        if let Some(end) = handle.end.get() {
            text = end.message.as_ptr();
        }
        Ok(0)
    });
    text
}

/// Frees a tee. It waits until the tee has ended, except in the tee's own thread: then the tee goes on to its end.
/// Call `amrelay_tee_cancel` before if that would take too long.
///
/// Ownership: `tee` and its message are gone. Lent descriptors stay the caller's.
///
/// NULL: does nothing.
///
/// Returns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_free(tee: *mut amrelay_tee) {
    // SAFETY: the caller passes NULL or a tee that is not freed, and does not use it again.
    unsafe {
        free("amrelay_tee_free", tee, |handle| {
            // In the tee's own thread there is nothing to wait for.
            let _ = handle.wait();
        });
    }
}

impl amrelay_tee {
    fn wait(&self) -> Result<&End, Failure> {
        if self.control.is_own_thread() {
            return Err(Failure::state("the tee cannot wait for itself"));
        }
        let Ok(mut tee) = self.tee.try_lock() else {
            return Err(Failure::state("another thread waits for the tee"));
        };
        if let Some(tee) = tee.take() {
            self.end.get_or_init(|| End::new(tee.wait()));
        }
        self.end
            .get()
            .ok_or_else(|| Failure::state("waiting for the tee has failed"))
    }
}

impl End {
    fn new(report: Report) -> Self {
        let message = if report.index.is_ok() {
            CString::default()
        } else {
            CString::new(report.index.to_string()).unwrap_or_default()
        };
        Self { report, message }
    }
}

impl amrelay_tee_result {
    fn new(report: &Report) -> Self {
        let (index_code, index_status) = index_end(&report.index);
        Self {
            size: size_of::<Self>(),
            read_bytes: report.read,
            entries: report.entries,
            crc32c: report.crc.unwrap_or(0),
            input_code: report.input.as_ref().err().map_or(0, code_of_error),
            output_code: report.output.as_ref().err().map_or(0, code_of_error),
            index_code,
            index_status,
            index_end_mark: end_mark(&report.index),
            stats: amrelay_stats::new(&report.stats),
        }
    }
}

/// The code of an index's end, and the wait status of its command.
fn index_end(end: &IndexEnd) -> (i32, i32) {
    match end {
        IndexEnd::Tar(Outcome::Damaged { .. }) => (AMRELAY_E_DAMAGED, 0),
        IndexEnd::Tar(Outcome::Omitted { .. }) => (AMRELAY_E_OMITTED, 0),
        IndexEnd::NotWanted | IndexEnd::Tar(Outcome::Complete { .. }) => (0, 0),
        IndexEnd::Command(status) if status.success() => (0, 0),
        IndexEnd::Command(status) => (AMRELAY_E_COMMAND, status.into_raw()),
        IndexEnd::Failed(error) => (code_of_error(error), 0),
        IndexEnd::Abandoned => (code_of(Errno::CANCELED), 0),
    }
}

fn end_mark(end: &IndexEnd) -> i32 {
    match end {
        IndexEnd::Tar(Outcome::Complete { end_mark } | Outcome::Omitted { end_mark, .. }) => {
            (*end_mark).into()
        }
        _ => -1,
    }
}

/// What `amrelay_tee_wait` returns.
fn check_data(report: &Report) -> Result<c_int, Failure> {
    for (side, end) in [("input", &report.input), ("output", &report.output)] {
        if let Err(error) = end {
            return Err(Failure::new(
                code_of_error(error),
                format!("{side}: {error}"),
            ));
        }
    }
    Ok(0)
}
