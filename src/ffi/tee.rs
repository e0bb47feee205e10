//! Tees, as C sees them.

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex, OnceLock};

use libc::size_t;

use super::descriptor;
use super::error::{AMRELAY_E_COMMAND, AMRELAY_E_DAMAGED, AMRELAY_E_OMITTED, Failure, code_of};
use super::guard::guard;
use super::handle::{Handle, Marks, check_out, enter, hold, publish, retire, this_thread};
use super::layout::{self, Layout};
use super::link::check_code;
use super::stats::{AMRELAY_METHOD_COPY, AMRELAY_METHOD_SPLICE, amrelay_stats};
use super::tee_check;
use crate::index::Outcome;
use crate::sys::Descriptor;
use crate::tee::{
    Callback, Config, Control, Index, IndexEnd, Method, Output, Report, Started, Tee, Way,
};

/// Flag of a tee: compute the CRC-32C (Castagnoli) of the stream.
pub const AMRELAY_TEE_CRC: u32 = 1;
/// Flag of a tee: `input_fd` is the tee's, which closes it as soon as it reads no more.
pub const AMRELAY_TEE_TAKE_INPUT: u32 = 2;
/// Flag of a tee: `output_fd` is the tee's, which closes it as soon as it writes no more.
pub const AMRELAY_TEE_TAKE_OUTPUT: u32 = 4;
/// Flag of a tee: `index_fd` is the tee's, which closes it as soon as the index has ended.
pub const AMRELAY_TEE_TAKE_INDEX: u32 = 8;
/// Flag of a tee: the host promises that whatever writes into the pipe `input_fd`, all the stream long and whichever
/// process it is, writes with write(2) or writev(2) alone; then the bytes are not copied where input and output are
/// pipes large enough for that to be faster.
///
/// What tee(2) and splice(2) pass on are references. The pages of a writer with write(2) belong to the pipe and do not
/// change. A writer with sendfile(2), splice(2) or vmsplice(2) (among them cat, busybox, pv) shows pages of a file, or its
/// own memory: when they change, the output's reader gets other bytes than CRC and index have seen, and a wrong CRC is
/// told. The same goes for bytes that neither of them looks at: they could be older or newer than their neighbours.
///
/// Without the flag all bytes go through a buffer of the tee's, so that what is sent is what was summed; the environment
/// variable `AMRELAY_TEE=copy` overrules the flag, but not in a set-uid program.
pub const AMRELAY_TEE_ZERO_COPY: u32 = 16;

/// Index of a tee: none.
pub const AMRELAY_INDEX_NONE: u32 = 0;
/// Index of a tee: the stream is a tar archive, its names go to `index_fd`, one quoted line each.
pub const AMRELAY_INDEX_TAR: u32 = 1;
/// Index of a tee: `index_command` reads a copy of the stream and writes the index to `index_fd`.
pub const AMRELAY_INDEX_COMMAND: u32 = 2;

/// A tee: passes a stream on and makes CRC and index of it, in a thread of its own.
///
/// The output gets exactly the bytes of the input; what goes wrong with the index ends the index, never the data. A
/// slow reader of the index holds the data up only when 1 MiB waits for it.
pub struct amrelay_tee {
    marks: Marks,
    tee: Mutex<Tee>,
    control: Arc<Control>,
    /// The number of the tee's own thread, from its start on.
    thread: Arc<OnceLock<u64>>,
    message: OnceLock<CString>,
}

impl Handle for amrelay_tee {
    const NAME: &'static str = "tee";

    fn marks(&self) -> &Marks {
        &self.marks
    }
}

/// What a tee needs to know.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct amrelay_tee_options {
    /// `sizeof(amrelay_tee_options)`.
    pub size: size_t,
    /// `AMRELAY_TEE_` flags, 0 for none.
    pub flags: u32,
    /// Where the stream comes from, lent unless a flag says otherwise. The tee must be its only reader.
    pub input_fd: c_int,
    /// Where the stream goes, lent unless a flag says otherwise; -1: to `write`.
    pub output_fd: c_int,
    /// In the place of `output_fd`, NULL if that is set: takes all the bytes, waiting as long as it must, and returns 0,
    /// or -errno, which ends the tee. It is called in the tee's thread, where `amrelay_tee_wait` for this tee fails.
    pub write:
        Option<unsafe extern "C" fn(arg: *mut c_void, buf: *const c_void, len: size_t) -> c_int>,
    /// One of `AMRELAY_INDEX_NONE`, `AMRELAY_INDEX_TAR`, `AMRELAY_INDEX_COMMAND`.
    pub index: u32,
    /// Where the index goes, lent unless a flag says otherwise; -1, or 0, for `AMRELAY_INDEX_NONE`. An index does not go to
    /// descriptor 0, which is what a forgotten field says: a file that has got this number can be duplicated (dup(2)).
    pub index_fd: c_int,
    /// For `AMRELAY_INDEX_COMMAND`, else NULL: is given to `sh -c`, which inherits the environment and no descriptor but its
    /// standard ones, and takes all signals.
    pub index_command: *const c_char,
    /// For `AMRELAY_INDEX_COMMAND`: standard error of the command, lent; -1: the caller's own. Not descriptor 0, as above.
    pub error_fd: c_int,
    /// For `AMRELAY_INDEX_COMMAND`: is told the command's process id as soon as it runs, in the tee's thread. For a
    /// host that waits for any of its children: if it takes this one's status before the tee does, `index_status` is 0
    /// and `index_code` leaves the status out of account. NULL: not wanted.
    pub index_started: Option<unsafe extern "C" fn(arg: *mut c_void, process_id: i64)>,
    /// Given to `write` and `index_started`.
    pub arg: *mut c_void,
    /// What the data pipes are enlarged to where the system allows it, in bytes; 0: 1 MiB. They are never made smaller.
    /// If one holds less than 256 KiB then, the bytes are copied in any case, since the other way is no faster.
    pub pipe_size: size_t,
}

// SAFETY: repr(C), the size first, then integers, raw pointers and an optional function pointer.
unsafe impl Layout for amrelay_tee_options {
    const NAME: &'static str = "options";
}

/// What came of a tee.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct amrelay_tee_result {
    /// `sizeof(amrelay_tee_result)`, set by the caller.
    pub size: size_t,
    /// Bytes that the output took: the first of the stream.
    pub bytes: u64,
    /// Bytes of the stream that the tee has read: as many as `bytes`, or more if the output failed.
    pub read_bytes: u64,
    /// Lines of the index, as far as it came; 0 if a command makes it.
    pub entries: u64,
    /// CRC-32C of the first `read_bytes` bytes of the stream, whatever became of them; 0 if it was not asked for.
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
    /// For `AMRELAY_INDEX_TAR`: 1 if the archive came to its end mark. 0: it ends without, after a whole member. GNU tar
    /// takes such an archive for sound, and so does `index_code`, but its writer was interrupted. -1: not known, as the
    /// archive is damaged or was not listed to its end.
    pub index_end_mark: i32,
    /// One of `AMRELAY_METHOD_`: how the bytes were moved.
    pub method: u32,
    /// The bytes again, and where the time went. Its size field is set by the library.
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
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if options contradict each other, as `amrelay_error`
/// says: a flag or the index is unknown; a descriptor that is needed is negative, or 0 for the index; there are two
/// outputs; there is an `index_fd` or a command, but not that index; a descriptor that the tee is to take is missing or
/// named twice; two ends are the same pipe or file, so that the tee would read what it writes, or index and data would
/// be mixed; -EBADF if a descriptor is not open, or not for its use; -EAGAIN if there can be no further thread; -EMFILE,
/// -ENFILE if there can be no further descriptor; `AMRELAY_E_PANIC`.
///
/// Threads: any thread. Do not change the environment at the same time; with an index command, not before
/// `index_started` either. The tee's thread takes no signals but those that its own faults would raise, and has a stack of
/// 2 MiB, on which the host's functions run, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_start(
    options: *const amrelay_tee_options,
    out: *mut *mut amrelay_tee,
) -> c_int {
    guard("amrelay_tee_start", || {
        // SAFETY: the caller passes NULL or a struct as large as its size says, with a terminated command in it.
        let plan = unsafe { Plan::read(options) }?;
        check_out(out)?;
        let thread = Arc::new(OnceLock::new());
        let own = Arc::clone(&thread);
        let tee = Tee::start_with(plan.method(), move || {
            own.get_or_init(this_thread);
            plan.carry_out()
        })?;
        let handle = amrelay_tee {
            marks: Marks::any_thread(),
            control: Arc::clone(tee.control()),
            tee: Mutex::new(tee),
            thread,
            message: OnceLock::new(),
        };
        // SAFETY: not NULL, so the caller's variable.
        unsafe { publish(handle, out) };
        Ok(0)
    })
}

/// Waits until a tee has ended, and tells what came of it. Called again it gives the same answer.
///
/// Ownership: `result` stays the caller's. It is also written if the tee failed.
///
/// NULL: `tee` and `result` NULL are refused.
///
/// Returns: 0 if all data went from the input to the output, whatever became of the index; -errno: what ended the data
/// (`result` is written, and tells which side it was); `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if `result->size` is not
/// known; `AMRELAY_E_STATE` in the tee's own thread, and while another thread waits; `AMRELAY_E_PANIC`,
/// `AMRELAY_E_POISONED`.
///
/// Threads: any thread but the tee's own, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_wait(
    tee: *mut amrelay_tee,
    result: *mut amrelay_tee_result,
) -> c_int {
    // SAFETY: the caller passes NULL or a tee that is not freed, and NULL or a struct as large as its size says.
    unsafe {
        enter("amrelay_tee_wait", tee, |handle| {
            layout::check(result)?;
            if handle.is_own_thread() {
                return Err(Failure::state("the tee cannot wait for itself"));
            }
            let Ok(mut tee) = handle.tee.try_lock() else {
                return Err(Failure::state("another thread waits for the tee"));
            };
            let report = tee.wait();
            handle.message.get_or_init(|| message(&report.index));
            result.write(amrelay_tee_result::new(report));
            check_data(report)
        })
    }
}

/// Ends a tee soon, whatever it waits for. If it has not passed all data on by then, it fails as if its output had taken no
/// more: `output_code` is -ECANCELED, and so is `index_code`. If only the index was under way, only that is. It is still to
/// be waited for, if wanted, and to be freed. Nothing happens to a tee that has ended.
///
/// A call of the host's `write` or `index_started` that is under way is not interrupted: the tee ends after it has returned.
/// An index command is killed; what it has started itself finds its input closed.
///
/// Ownership: nothing changes hands. What the tee owns is closed when it has ended.
///
/// NULL: `tee` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
///
/// Threads: any thread, any time, also while another one waits for the tee, and in the tee's own functions.
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
/// `amrelay_tee_wait` does not wait any more then.
///
/// Ownership: the descriptor is the tee's and lives until that is freed. It may be polled and nothing else: not read
/// from, not written to, not closed.
///
/// NULL: `tee` NULL is refused.
///
/// Returns: the descriptor, the same each time; `AMRELAY_E_NULL`; `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
///
/// Threads: any thread, any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_ended_fd(tee: *const amrelay_tee) -> c_int {
    // SAFETY: the caller passes NULL or a tee that is not freed.
    unsafe {
        enter("amrelay_tee_ended_fd", tee, |handle| {
            Ok(handle.control.ended().as_raw_fd())
        })
    }
}

/// Tells in words what was wrong with the index.
///
/// Ownership: the text is the tee's and lives until that is freed.
///
/// NULL: `tee` NULL gives "".
///
/// Returns: one line without its end; "" before `amrelay_tee_wait`, if nothing was wrong, and after a panic.
///
/// Threads: any thread, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_index_message(tee: *const amrelay_tee) -> *const c_char {
    let mut text = c"".as_ptr();
    guard("amrelay_tee_index_message", || {
        // SAFETY: the caller passes NULL or a tee that is not freed.
        let handle = unsafe { hold(tee) }?;
        if let Some(message) = handle.message.get() {
            text = message.as_ptr();
        }
        Ok(0)
    });
    text
}

/// Frees a tee. It waits until the tee has ended, except in the tee's own thread: then the tee goes on to its end.
/// `amrelay_tee_cancel` makes that soon.
///
/// Ownership: `tee` and its message are gone. Lent descriptors stay the caller's.
///
/// NULL: does nothing.
///
/// Returns: nothing.
///
/// Threads: any thread, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_tee_free(tee: *mut amrelay_tee) {
    // SAFETY: the caller passes NULL or a tee that is not freed, and does not use it again.
    unsafe {
        retire("amrelay_tee_free", tee, |handle| {
            if handle.is_own_thread() {
                return;
            }
            if let Ok(mut tee) = handle.tee.try_lock() {
                tee.wait();
            }
        });
    }
}

impl amrelay_tee {
    fn is_own_thread(&self) -> bool {
        self.thread.get() == Some(&this_thread())
    }
}

/// Options that were checked, on their way to the tee's thread. Until they arrive there nothing is taken: if no thread
/// can be started, all descriptors are still the caller's.
struct Plan {
    options: amrelay_tee_options,
    command: CString,
}

// SAFETY: what the pointers lead to is the host's, who was told that it is used in the tee's thread.
unsafe impl Send for Plan {}

impl Plan {
    /// # Safety
    /// `options` is NULL or leads to a struct as large as its size says; a command in it is terminated.
    unsafe fn read(options: *const amrelay_tee_options) -> Result<Self, Failure> {
        // SAFETY: the caller's promise is the same.
        let options = unsafe { layout::read(options) }?;
        let known = AMRELAY_TEE_CRC | AMRELAY_TEE_ZERO_COPY | AMRELAY_TEE_TAKE_INPUT;
        layout::check_flags(
            options.flags,
            known | AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX,
        )?;
        // SAFETY: as for the struct.
        let command = unsafe { tee_check::check(&options) }?;
        Ok(Self { options, command })
    }

    fn method(&self) -> Method {
        if self.has(AMRELAY_TEE_ZERO_COPY) {
            Method::ZeroCopy
        } else {
            Method::Copy
        }
    }

    fn has(&self, flag: u32) -> bool {
        self.options.flags & flag != 0
    }

    /// Takes what is to be taken.
    fn carry_out(self) -> Config {
        let options = self.options;
        let method = self.method();
        Config {
            input: self.descriptor(options.input_fd, AMRELAY_TEE_TAKE_INPUT),
            output: match self.writer() {
                Some(write) => Output::Callback(write),
                None => {
                    Output::Descriptor(self.descriptor(options.output_fd, AMRELAY_TEE_TAKE_OUTPUT))
                }
            },
            crc: self.has(AMRELAY_TEE_CRC),
            index: self.index(),
            method,
            pipe_size: layout::wish(options.pipe_size),
        }
    }

    fn index(self) -> Index {
        let fd = self.options.index_fd;
        match self.options.index {
            AMRELAY_INDEX_TAR => Index::Tar(self.descriptor(fd, AMRELAY_TEE_TAKE_INDEX)),
            AMRELAY_INDEX_COMMAND => Index::Command {
                output: self.descriptor(fd, AMRELAY_TEE_TAKE_INDEX),
                errors: (self.options.error_fd != -1).then(|| lend(self.options.error_fd)),
                started: self.started(),
                command: self.command,
            },
            _ => Index::None,
        }
    }

    fn descriptor(&self, fd: RawFd, take: u32) -> Descriptor {
        if self.has(take) {
            // SAFETY: `read` saw that it is open, and the flag gives it away.
            unsafe { descriptor::take(fd) }.into()
        } else {
            lend(fd)
        }
    }

    fn started(&self) -> Option<Started> {
        let started = self.options.index_started?;
        let arg = Argument(self.options.arg);
        Some(Box::new(move |process_id| {
            let arg = &arg;
            // SAFETY: the host gave function and argument for this.
            unsafe { started(arg.0, process_id.into()) };
        }))
    }

    fn writer(&self) -> Option<Callback> {
        let write = self.options.write?;
        let arg = Argument(self.options.arg);
        Some(Box::new(move |bytes| {
            let arg = &arg;
            // SAFETY: the host gave function and argument for this; the bytes live until the call returns.
            check_code(unsafe { write(arg.0, bytes.as_ptr().cast(), bytes.len()) })
        }))
    }
}

/// A descriptor that `Plan::read` saw to be open.
fn lend(fd: RawFd) -> Descriptor {
    // SAFETY: it was open, and the header tells the caller to keep it so.
    unsafe { Descriptor::lend(fd) }
}

/// The host's argument of a function that is called in the tee's thread.
struct Argument(*mut c_void);

// SAFETY: the host was told in which thread it is used.
unsafe impl Send for Argument {}

impl amrelay_tee_result {
    fn new(report: &Report) -> Self {
        let method = match report.way {
            Way::Copy => AMRELAY_METHOD_COPY,
            Way::ZeroCopy => AMRELAY_METHOD_SPLICE,
        };
        let (index_code, index_status) = index_end(&report.index);
        Self {
            size: size_of::<Self>(),
            bytes: report.bytes,
            read_bytes: report.read,
            entries: report.entries,
            crc32c: report.crc.unwrap_or(0),
            input_code: report.input.as_ref().err().map_or(0, code_of),
            output_code: report.output.as_ref().err().map_or(0, code_of),
            index_code,
            index_status,
            index_end_mark: end_mark(&report.index),
            method,
            stats: amrelay_stats::new(&report.stats, method),
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
        IndexEnd::Failed(error) => (code_of(error), 0),
        IndexEnd::Abandoned => (-libc::ECANCELED, 0),
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

fn message(end: &IndexEnd) -> CString {
    if end.is_ok() {
        return CString::default();
    }
    CString::new(end.to_string()).unwrap_or_default()
}

/// What `amrelay_tee_wait` returns.
fn check_data(report: &Report) -> Result<c_int, Failure> {
    for (side, end) in [("input", &report.input), ("output", &report.output)] {
        if let Err(error) = end {
            return Err(Failure::new(code_of(error), format!("{side}: {error}")));
        }
    }
    Ok(0)
}
