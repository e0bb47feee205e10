//! The options of a tee, as C sees them.

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::fd::RawFd;

use libc::size_t;

use super::callback::check_code;
use super::descriptor;
use super::layout::{self, Layout};
use crate::inspect::{Index, Started};
use crate::stats::Method;
use crate::sys::Descriptor;
use crate::tee::{Callback, Config, Output};

/// Flag of a tee: compute the CRC-32C (Castagnoli) of the stream.
pub const AMRELAY_TEE_CRC: u32 = 1;
/// Flag of a tee: `input_fd` is the tee's, which closes it as soon as it reads no more.
pub const AMRELAY_TEE_TAKE_INPUT: u32 = 2;
/// Flag of a tee: `output_fd` is the tee's, which closes it as soon as it writes no more.
pub const AMRELAY_TEE_TAKE_OUTPUT: u32 = 4;
/// Flag of a tee: `index_fd` is the tee's, which closes it as soon as the index has ended.
pub const AMRELAY_TEE_TAKE_INDEX: u32 = 8;
/// Flag of a tee: the host promises that every process that writes into the pipe `input_fd` uses only write(2) or
/// writev(2), for all of the stream. The bytes are then not copied if input and output are pipes large enough for that
/// to be faster.
///
/// What tee(2) and splice(2) pass on are references. The pages of a writer with write(2) belong to the pipe and do not
/// change. A writer with sendfile(2), splice(2) or vmsplice(2) (cat, busybox and pv among them) shows pages of a file,
/// or its own memory. When they change, the output's reader gets other bytes than CRC and index have seen, and the CRC
/// is wrong. Bytes that neither of them looks at can also be older or newer than their neighbours.
///
/// Without the flag all bytes go through a buffer of the tee's, so that what is sent is what was summed. The
/// environment variable `AMRELAY_TEE=copy` overrules the flag, except in a set-uid program.
pub const AMRELAY_TEE_ZERO_COPY: u32 = 16;

/// Index of a tee: none.
pub const AMRELAY_INDEX_NONE: u32 = 0;
/// Index of a tee: the stream is a tar archive, its names go to `index_fd`, one quoted line each.
pub const AMRELAY_INDEX_TAR: u32 = 1;
/// Index of a tee: `index_command` reads a copy of the stream and writes the index to `index_fd`.
pub const AMRELAY_INDEX_COMMAND: u32 = 2;

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
    /// Used if `output_fd` is -1, else NULL: takes all the bytes, waiting as long as it must, and returns 0, or
    /// -errno, which ends the tee. It is called in the tee's thread, where `amrelay_tee_wait` for this tee fails.
    pub write:
        Option<unsafe extern "C" fn(arg: *mut c_void, buf: *const c_void, len: size_t) -> c_int>,
    /// One of `AMRELAY_INDEX_NONE`, `AMRELAY_INDEX_TAR`, `AMRELAY_INDEX_COMMAND`.
    pub index: u32,
    /// Where the index goes, lent unless a flag says otherwise; -1, or 0, for `AMRELAY_INDEX_NONE`. An index cannot go
    /// to descriptor 0, since a forgotten field has that value; duplicate a file that has this number (dup(2)).
    pub index_fd: c_int,
    /// For `AMRELAY_INDEX_COMMAND`, else NULL: is given to `sh -c`, which inherits the environment and only the
    /// standard descriptors, and takes all signals.
    pub index_command: *const c_char,
    /// For `AMRELAY_INDEX_COMMAND`: standard error of the command, lent; -1: the caller's own. Not descriptor 0, as above.
    pub error_fd: c_int,
    /// For `AMRELAY_INDEX_COMMAND`: gets the command's process id as soon as it runs, in the tee's thread. For a host
    /// that waits for any of its children: if it takes this one's status before the tee does, `index_status` is 0 and
    /// `index_code` does not consider the status. NULL: not wanted.
    pub index_started: Option<unsafe extern "C" fn(arg: *mut c_void, process_id: i64)>,
    /// Given to `write` and `index_started`.
    pub arg: *mut c_void,
    /// What the data pipes are enlarged to where the system allows it, in bytes; 0: 1 MiB. They are never made
    /// smaller. If one then holds less than 256 KiB, the bytes are copied in any case, since the other way is no
    /// faster.
    pub pipe_size: size_t,
}

// SAFETY: repr(C), the size first, then integers, raw pointers and an optional function pointer.
unsafe impl Layout for amrelay_tee_options {
    const NAME: &'static str = "options";
}

impl amrelay_tee_options {
    /// Takes the descriptors that the flags name: the options say from now on what belongs to the tee.
    ///
    /// # Safety
    /// The options were checked, and nothing can keep the tee from starting any more. What their pointers lead to may
    /// be used in the tee's thread.
    pub(super) unsafe fn into_config(self, command: CString) -> Config {
        Config {
            input: self.descriptor(self.input_fd, AMRELAY_TEE_TAKE_INPUT),
            output: match self.writer() {
                Some(write) => Output::Callback(write),
                None => {
                    Output::Descriptor(self.descriptor(self.output_fd, AMRELAY_TEE_TAKE_OUTPUT))
                }
            },
            crc: self.has(AMRELAY_TEE_CRC),
            index: self.index(command),
            method: if self.has(AMRELAY_TEE_ZERO_COPY) {
                Method::Splice
            } else {
                Method::Copy
            },
            pipe_size: layout::wish(self.pipe_size),
        }
    }

    fn index(&self, command: CString) -> Index {
        match self.index {
            AMRELAY_INDEX_TAR => Index::Tar(self.descriptor(self.index_fd, AMRELAY_TEE_TAKE_INDEX)),
            AMRELAY_INDEX_COMMAND => Index::Command {
                command,
                output: self.descriptor(self.index_fd, AMRELAY_TEE_TAKE_INDEX),
                errors: (self.error_fd != -1).then(|| lend(self.error_fd)),
                started: self.started(),
            },
            _ => Index::None,
        }
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn descriptor(&self, fd: RawFd, take: u32) -> Descriptor {
        if self.has(take) {
            // SAFETY: it was seen to be open, and the flag gives it away.
            unsafe { descriptor::take(fd) }.into()
        } else {
            lend(fd)
        }
    }

    fn started(&self) -> Option<Started> {
        let started = self.index_started?;
        let arg = Argument(self.arg);
        Some(Box::new(move |process_id| {
            let arg = &arg;
            // SAFETY: the host gave function and argument for this.
            unsafe { started(arg.0, process_id.into()) };
        }))
    }

    fn writer(&self) -> Option<Callback> {
        let write = self.write?;
        let arg = Argument(self.arg);
        Some(Box::new(move |bytes| {
            let arg = &arg;
            // SAFETY: the host gave function and argument for this; the bytes live until the call returns.
            check_code(unsafe { write(arg.0, bytes.as_ptr().cast(), bytes.len()) })
        }))
    }
}

/// A descriptor that was seen to be open.
fn lend(fd: RawFd) -> Descriptor {
    // SAFETY: it was open, and the header tells the caller to keep it so.
    unsafe { Descriptor::lend(fd) }
}

/// The host's argument of a function that is called in the tee's thread.
struct Argument(*mut c_void);

// SAFETY: the host was told in which thread it is used.
unsafe impl Send for Argument {}
