//! The flat structs that C and the library share: each begins with its size in bytes, so that it can grow.
//!
//! A release that adds a field keeps accepting the sizes of the releases before it. So far there is one size each.

use libc::size_t;

use super::error::{AMRELAY_E_SIZE, Failure};

/// A struct that C fills in or has filled in.
///
/// # Safety
/// The type is `repr(C)`, its first field is its size as a `size_t`, and the others are integers, raw pointers and
/// optional function pointers: what a C program can put there is a valid value.
pub(super) unsafe trait Layout: Copy {
    /// How messages call it.
    const NAME: &'static str;
}

/// Checks that `pointer` leads to a struct of a size this library knows.
///
/// # Safety
/// `pointer` is NULL or leads to a struct of at least a `size_t`, as large as that says.
pub(super) unsafe fn check<T: Layout>(pointer: *const T) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(Failure::null(T::NAME));
    }
    // SAFETY: not NULL, and the first field is the size.
    let size = unsafe { pointer.cast::<size_t>().read() };
    if size == size_of::<T>() {
        return Ok(());
    }
    let text = format!("{}.size is {size}, not {}", T::NAME, size_of::<T>());
    Err(Failure::new(AMRELAY_E_SIZE, text))
}

/// Copies a struct that C filled in.
///
/// # Safety
/// As for [`check`].
pub(super) unsafe fn read<T: Layout>(pointer: *const T) -> Result<T, Failure> {
    // SAFETY: the caller's promise is the same.
    unsafe { check(pointer) }?;
    // SAFETY: `check` saw that the whole struct is there, and any content is valid for a `Layout`.
    Ok(unsafe { pointer.read() })
}

/// A number; 0 means the library's default.
pub(super) fn wish<T: Default + PartialEq>(number: T) -> Option<T> {
    (number != T::default()).then_some(number)
}

/// Refuses flags that this library does not know.
pub(super) fn check_flags(flags: u32, known: u32) -> Result<(), Failure> {
    if flags & !known == 0 {
        return Ok(());
    }
    Err(Failure::argument(format!(
        "unknown flags {:#x}",
        flags & !known
    )))
}

/// The bytes that C points to.
///
/// # Safety
/// `buf` is NULL or can be read for `len` bytes, and stays unchanged as long as the result is used.
pub(super) unsafe fn bytes<'a>(buf: *const libc::c_void, len: size_t) -> Result<&'a [u8], Failure> {
    match (buf.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Failure::null("buf")),
        (false, _) if isize::try_from(len).is_err() => {
            Err(Failure::argument("len is more than memory can hold"))
        }
        // SAFETY: not NULL, readable for `len` bytes as the caller promised, and shorter than `isize::MAX`.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(buf.cast(), len) }),
    }
}
