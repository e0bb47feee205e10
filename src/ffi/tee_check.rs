//! Checks the options of a tee: each field has an allowed value, and together they name ends that do not conflict.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, RawFd};

use super::descriptor;
use super::error::Failure;
use super::layout::check_flags;
use super::tee_options::{
    AMRELAY_INDEX_COMMAND, AMRELAY_INDEX_NONE, AMRELAY_INDEX_TAR, AMRELAY_TEE_CRC,
    AMRELAY_TEE_TAKE_INDEX, AMRELAY_TEE_TAKE_INPUT, AMRELAY_TEE_TAKE_OUTPUT, AMRELAY_TEE_ZERO_COPY,
    amrelay_tee_options,
};
use crate::sys::descriptor::{FileType, same_file};

/// Every flag of a tee.
const FLAGS: u32 = AMRELAY_TEE_CRC
    | AMRELAY_TEE_ZERO_COPY
    | AMRELAY_TEE_TAKE_INPUT
    | AMRELAY_TEE_TAKE_OUTPUT
    | AMRELAY_TEE_TAKE_INDEX;

/// Checks everything except the size, and copies the command.
///
/// # Safety
/// `index_command` is NULL or terminated.
pub(super) unsafe fn check(options: &amrelay_tee_options) -> Result<CString, Failure> {
    check_flags(options.flags, FLAGS)?;
    descriptor::check_for_reading(options.input_fd, "input_fd")?;
    check_output(options)?;
    // SAFETY: the caller's promise is the same.
    let command = unsafe { check_index(options) }?;
    check_taken(options)?;
    check_apart(options)?;
    Ok(command)
}

/// The output is a descriptor or a function.
fn check_output(options: &amrelay_tee_options) -> Result<(), Failure> {
    match (options.output_fd, options.write) {
        (-1, None) => Err(Failure::null("options.write")),
        (-1, Some(_)) => Ok(()),
        (fd, None) => descriptor::check_for_writing(fd, "output_fd"),
        (fd, Some(_)) => Err(Failure::argument(format!(
            "output_fd is {fd} and write is set: one of them is to be -1 or NULL"
        ))),
    }
}

/// Checks what the options say about the index, and copies the command.
///
/// # Safety
/// `index_command` is NULL or terminated.
unsafe fn check_index(options: &amrelay_tee_options) -> Result<CString, Failure> {
    match options.index {
        AMRELAY_INDEX_NONE if options.index_fd > 0 => {
            return Err(Failure::argument("an index_fd, but index is none"));
        }
        AMRELAY_INDEX_NONE => (),
        AMRELAY_INDEX_TAR | AMRELAY_INDEX_COMMAND => check_index_end(options.index_fd, "index_fd")?,
        other => return Err(Failure::argument(format!("{other} is not a kind of index"))),
    }
    match (options.index, options.index_command.is_null()) {
        (AMRELAY_INDEX_COMMAND, true) => Err(Failure::null("options.index_command")),
        (AMRELAY_INDEX_COMMAND, false) => {
            if options.error_fd != -1 {
                check_index_end(options.error_fd, "error_fd")?;
            }
            // SAFETY: not NULL, and terminated as the caller promised.
            Ok(unsafe { CStr::from_ptr(options.index_command) }.to_owned())
        }
        (_, false) => Err(Failure::argument("an index_command, but index is not that")),
        (_, true) => Ok(CString::default()),
    }
}

/// Where something of the index goes. 0 counts as a forgotten field: nobody writes to standard input.
fn check_index_end(fd: RawFd, what: &str) -> Result<(), Failure> {
    if fd == 0 {
        return Err(Failure::argument(format!("{what} is 0: was it left out?")));
    }
    descriptor::check_for_writing(fd, what)
}

/// The sides of a tee that have a descriptor of their own, if these options name one.
struct Sides {
    input: Side,
    output: Side,
    index: Side,
    errors: Side,
}

#[derive(Clone, Copy)]
struct Side {
    name: &'static str,
    fd: Option<RawFd>,
    /// The flag that gives it to the tee, if there is one.
    take: u32,
}

impl Sides {
    fn of(options: &amrelay_tee_options) -> Self {
        let index = options.index != AMRELAY_INDEX_NONE;
        let errors = options.index == AMRELAY_INDEX_COMMAND;
        let side = |name, fd: RawFd, used: bool, take| Side {
            name,
            fd: (used && fd != -1).then_some(fd),
            take: options.flags & take,
        };
        Self {
            input: side("input_fd", options.input_fd, true, AMRELAY_TEE_TAKE_INPUT),
            output: side(
                "output_fd",
                options.output_fd,
                true,
                AMRELAY_TEE_TAKE_OUTPUT,
            ),
            index: side("index_fd", options.index_fd, index, AMRELAY_TEE_TAKE_INDEX),
            errors: side("error_fd", options.error_fd, errors, 0),
        }
    }
}

/// A descriptor that is taken must be there. It is closed as soon as its side has ended, so no other side may use it.
fn check_taken(options: &amrelay_tee_options) -> Result<(), Failure> {
    let sides = Sides::of(options);
    let all = [sides.input, sides.output, sides.index, sides.errors];
    for (at, side) in all.iter().enumerate().filter(|(_, side)| side.take != 0) {
        let Some(fd) = side.fd else {
            let text = format!("a flag says that {} is taken, but there is none", side.name);
            return Err(Failure::argument(text));
        };
        let clash =
            (all.iter().enumerate()).find(|(other, one)| *other != at && one.fd == Some(fd));
        if let Some((_, other)) = clash {
            return Err(Failure::argument(format!(
                "{} and {} are both {fd}, which is to be taken",
                side.name, other.name
            )));
        }
    }
    Ok(())
}

/// Refuses ends that would feed the tee with its own output, which never ends, or mix the index with the data. Devices
/// are allowed: what is written to them cannot be read back or mixed.
fn check_apart(options: &amrelay_tee_options) -> Result<(), Failure> {
    let Sides {
        input,
        output,
        index,
        errors,
    } = Sides::of(options);
    // The two directions of a socket have nothing to do with each other.
    let comes_back = |kind| !matches!(kind, FileType::CharacterDevice | FileType::Socket);
    let is_mixed = |kind| kind != FileType::CharacterDevice;
    for written in [output, index, errors] {
        check_not_same(input, written, comes_back)?;
    }
    check_not_same(output, index, is_mixed)?;
    check_not_same(output, errors, is_mixed)
}

fn check_not_same(
    one: Side,
    other: Side,
    matters: impl Fn(FileType) -> bool,
) -> Result<(), Failure> {
    let (Some(fd), Some(other_fd)) = (one.fd, other.fd) else {
        return Ok(());
    };
    let (lent, other_lent) = (
        descriptor::lend(fd, one.name)?,
        descriptor::lend(other_fd, other.name)?,
    );
    match same_file(lent.as_fd(), other_lent.as_fd())? {
        Some(kind) if matters(kind) => {
            let both = match kind {
                FileType::Fifo => "ends of the same pipe",
                FileType::Socket => "the same socket",
                _ => "the same file",
            };
            Err(Failure::argument(format!(
                "{} {fd} and {} {other_fd} are {both}",
                one.name, other.name
            )))
        }
        _ => Ok(()),
    }
}
