//! What calls are given: descriptors and buffers, and wrong ones.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use arbitrary::Arbitrary;

use crate::archive::member;
use crate::program::{Amount, pick};
use crate::wire::{self, Wire, get, put, set_nonblocking};

/// A number for a descriptor.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Fd {
    /// The end of a connection to read from, or to write to.
    Reading(u8),
    Writing(u8),
    File,
    Full,
    /// None that is open.
    Closed,
    None,
    Negative,
}

/// The value of a struct's size field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum Size {
    Right,
    AlsoRight,
    Zero,
    Less,
    More,
    /// NULL in the place of the struct.
    Null,
}

impl Size {
    fn of<T>(self) -> usize {
        match self {
            Self::Right | Self::AlsoRight | Self::Null => size_of::<T>(),
            Self::Zero => 0,
            Self::Less => size_of::<T>() - 8,
            Self::More => size_of::<T>() + 8,
        }
    }

    fn is_right(self) -> bool {
        matches!(self, Self::Right | Self::AlsoRight)
    }
}

/// A struct, and room for one that a later version might know.
#[repr(C)]
struct Padded<T> {
    value: T,
    more: [usize; 2],
}

/// Calls with a struct of options, whose size field comes first.
pub(super) fn with_options<T, R>(size: Size, mut value: T, call: impl FnOnce(*const T) -> R) -> R {
    // SAFETY: all structs of the C ABI begin with their size.
    unsafe { (&raw mut value).cast::<usize>().write(size.of::<T>()) };
    let padded = Padded {
        value,
        more: [0; 2],
    };
    call(if size == Size::Null {
        ptr::null()
    } else {
        (&raw const padded).cast()
    })
}

/// Calls with a struct that is to be written to, if the call gets as far as that; else it must be as before.
pub(super) fn with_result<T>(size: Size, call: impl FnOnce(*mut T) -> c_int) {
    let mut bytes = vec![0xaaaa_aaaa_aaaa_aaaa_usize; size_of::<Padded<T>>() / 8];
    bytes[0] = size.of::<T>();
    let before = bytes.clone();
    let code = call(if size == Size::Null {
        ptr::null_mut()
    } else {
        bytes.as_mut_ptr().cast()
    });
    assert!(size.is_right() || code != 0, "a wrong size was taken");
    assert!(
        code == 0 || bytes == before || size.is_right(),
        "a failed call wrote something"
    );
    assert_eq!(bytes.last(), before.last(), "written past the end");
}

/// Bytes, and a pointer to them.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Buffer {
    Zeros(Amount),
    Member(u8),
    Null(bool),
    /// More than memory can hold.
    TooLong,
}

pub(super) struct Made {
    pub(super) start: *const c_void,
    pub(super) length: usize,
    _bytes: Vec<u8>,
}

impl Buffer {
    pub(super) fn make(self) -> Made {
        let bytes = match self {
            Self::Zeros(Amount(count)) => vec![0; count],
            Self::Member(length) => member(b'0', &vec![b'm'; usize::from(length % 100)], b"body"),
            Self::Null(_) => Vec::new(),
            Self::TooLong => vec![0; 1],
        };
        Made {
            start: match self {
                Self::Null(_) => ptr::null(),
                _ => bytes.as_ptr().cast(),
            },
            length: match self {
                Self::Null(long) => usize::from(long),
                Self::TooLong => usize::MAX,
                _ => bytes.len(),
            },
            _bytes: bytes,
        }
    }
}

/// The descriptors that are lent, to anybody.
pub(super) struct Bank {
    reading: Vec<OwnedFd>,
    writing: Vec<OwnedFd>,
    file: OwnedFd,
    full: OwnedFd,
}

impl Bank {
    pub(super) fn new() -> Self {
        let wires = [Wire::Pipe, Wire::Page, Wire::Socket, Wire::Pipe];
        let (writing, reading) = wires.into_iter().map(Wire::open).unzip();
        let bank = Self {
            reading,
            writing,
            file: wire::file(&[0; 2048]),
            full: wire::device("full"),
        };
        for fd in bank.reading.iter().chain(&bank.writing) {
            set_nonblocking(fd, true);
        }
        bank
    }

    pub(super) fn number(&self, fd: Fd) -> c_int {
        match fd {
            Fd::Reading(choice) => pick(&self.reading, choice).unwrap().as_raw_fd(),
            Fd::Writing(choice) => pick(&self.writing, choice).unwrap().as_raw_fd(),
            Fd::File => self.file.as_raw_fd(),
            Fd::Full => self.full.as_raw_fd(),
            Fd::Closed => 900,
            Fd::None => -1,
            Fd::Negative => c_int::MIN,
        }
    }

    /// A duplicate to give away, where there is something to duplicate.
    pub(super) fn duplicate(&self, fd: Fd) -> c_int {
        // SAFETY: a number; it need not be open.
        let copy = unsafe { libc::fcntl(self.number(fd), libc::F_DUPFD_CLOEXEC, 3) };
        if copy < 0 { self.number(fd) } else { copy }
    }

    pub(super) fn fill(&self, choice: u8) {
        put(pick(&self.writing, choice).unwrap().as_fd(), &[b'x'; 700]);
    }

    pub(super) fn drain(&self, choice: u8) {
        get(
            pick(&self.reading, choice).unwrap().as_fd(),
            1 << 16,
            &mut Vec::new(),
        );
    }

    /// What was lent is still open.
    pub(super) fn check(&self) {
        for fd in self.reading.iter().chain(&self.writing) {
            rustix::io::fcntl_getfd(fd).unwrap();
        }
        rustix::io::fcntl_getfd(&self.file).unwrap();
        rustix::io::fcntl_getfd(&self.full).unwrap();
    }
}
