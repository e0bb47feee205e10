//! Reading and writing pipes without waiting, whatever mode their open files are in: the flag `RWF_NOWAIT` of
//! preadv2(2) and pwritev2(2), which pipes know since Linux 6.5.

use std::io;
use std::os::fd::BorrowedFd;

#[cfg(target_os = "linux")]
use rustix::io::{Errno, ReadWriteFlags};

/// The file's own position, which for a pipe means none.
#[cfg(target_os = "linux")]
const CURRENT_POSITION: u64 = u64::MAX;

/// Reads what there is; 0 is the end, `WouldBlock` says nothing, `Unsupported` that this cannot be asked here.
#[cfg(target_os = "linux")]
pub(super) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let result = rustix::io::retry_on_intr(|| {
        let mut piece = [io::IoSliceMut::new(&mut *buffer)];
        rustix::io::preadv2(fd, &mut piece, CURRENT_POSITION, ReadWriteFlags::NOWAIT)
    });
    result.map_err(explained)
}

/// Writes what is taken at once; `WouldBlock` says nothing is, `Unsupported` that this cannot be asked here.
#[cfg(target_os = "linux")]
pub(super) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let piece = [io::IoSlice::new(bytes)];
    let result = rustix::io::retry_on_intr(|| {
        rustix::io::pwritev2(fd, &piece, CURRENT_POSITION, ReadWriteFlags::NOWAIT)
    });
    result.map_err(explained)
}

/// EOPNOTSUPP: this kind of file does not know the flag. ENOSYS, EINVAL: the kernel knows the call or flag not at all.
/// EPERM: a sandbox forbids the call.
#[cfg(target_os = "linux")]
fn explained(error: Errno) -> io::Error {
    match error {
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM => {
            io::ErrorKind::Unsupported.into()
        }
        other => other.into(),
    }
}

/// This system has no such flag.
#[cfg(not(target_os = "linux"))]
pub(super) fn read(_fd: BorrowedFd<'_>, _buffer: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// This system has no such flag.
#[cfg(not(target_os = "linux"))]
pub(super) fn write(_fd: BorrowedFd<'_>, _bytes: &[u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
