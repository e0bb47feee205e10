//! Which library this is.

use std::ffi::c_char;

/// First number of the version this header belongs to.
pub const AMRELAY_VERSION_MAJOR: u32 = 0;
/// Second number of the version this header belongs to.
pub const AMRELAY_VERSION_MINOR: u32 = 1;
/// Third number of the version this header belongs to.
pub const AMRELAY_VERSION_PATCH: u32 = 0;

/// Returns the version of the library that is running, which may be newer than the header a program was built with.
///
/// Ownership: the text is the library's and lives as long as the library is loaded.
///
/// NULL: takes no pointer and never returns NULL.
///
/// Returns: three numbers with dots between them, such as "0.1.0".
///
/// Threads: any thread, any time, callbacks included.
#[unsafe(no_mangle)]
pub extern "C" fn amrelay_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
