//! Connections: what they are made of, and writing to them without blocking and without a SIGPIPE.

use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsRawFd;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::SendFlags;

use super::descriptor::beyond_standard;
use super::signal::SigpipeGuard;

/// What a connection is made of. Amanda's `local`, `ssh` and `rsh` talk through a pair of pipes, the others through
/// a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// A socket: send(2) with its flags works.
    Socket,
    /// A pipe, a terminal, a file: only write(2) works, and only the open file's own mode keeps it from blocking.
    Other,
}

impl Nature {
    /// Asks the kernel.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Self {
        match rustix::net::sockopt::socket_type(fd) {
            Ok(_) => Self::Socket,
            Err(_) => Self::Other,
        }
    }
}

/// Two sockets that are connected to each other, close-on-exec and none of the standard descriptors.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = UnixStream::pair()?;
    Ok((beyond_standard(one.into())?, beyond_standard(other.into())?))
}

/// Lets the peer read the end, whoever else has the socket open. A peer that has gone needs no telling.
pub(crate) fn shut_down_writing(fd: BorrowedFd<'_>) {
    let _ = rustix::net::shutdown(fd, rustix::net::Shutdown::Write);
}

/// Writes as many of `bytes` as are taken at once and returns how many.
///
/// `more` says that further bytes follow at once, which lets a socket fill its packets. What is no socket must be
/// in non-blocking mode. Fails with `WouldBlock` when nothing is taken and with `BrokenPipe` or `ConnectionReset`
/// when the reader has gone, without a SIGPIPE.
pub(crate) fn send(
    fd: BorrowedFd<'_>,
    nature: Nature,
    bytes: &[u8],
    more: bool,
) -> io::Result<usize> {
    match nature {
        Nature::Socket => {
            let flags = if more { MORE } else { SendFlags::empty() };
            send_with(fd, bytes, flags)
        }
        Nature::Other => {
            let _guard = SigpipeGuard::new();
            Ok(rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?)
        }
    }
}

/// Further bytes follow at once (send(2), `MSG_MORE`).
#[cfg(any(target_os = "linux", target_os = "android"))]
const MORE: SendFlags = SendFlags::MORE;

/// This system cannot be told that further bytes follow.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const MORE: SendFlags = SendFlags::empty();

/// No SIGPIPE is raised (send(2)).
#[cfg(not(target_vendor = "apple"))]
const QUIET: SendFlags = SendFlags::NOSIGNAL;

/// These systems have no such flag.
#[cfg(target_vendor = "apple")]
const QUIET: SendFlags = SendFlags::empty();

/// Writes to a socket as many of `bytes` as are taken at once, without a SIGPIPE.
pub(super) fn send_with(fd: BorrowedFd<'_>, bytes: &[u8], flags: SendFlags) -> io::Result<usize> {
    let _guard = QUIET.is_empty().then(SigpipeGuard::new);
    let flags = flags | SendFlags::DONTWAIT | QUIET;
    Ok(rustix::io::retry_on_intr(|| {
        rustix::net::send(fd, bytes, flags)
    })?)
}

/// Keeps a TCP socket from taking more than `bytes` that it has not sent (tcp(7), `TCP_NOTSENT_LOWAT`), however large
/// its buffer has grown for what is on its way. What is no TCP socket is left as it is.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn limit_unsent(fd: BorrowedFd<'_>, bytes: u32) {
    #[allow(clippy::cast_possible_truncation, reason = "four bytes")]
    let length = size_of::<u32>() as libc::socklen_t;
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT);
    // SAFETY: the option's value outlives the call, and its size is given. A refusal does no harm.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const bytes).cast(),
            length,
        );
    }
}

/// This system has no such option.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn limit_unsent(_fd: BorrowedFd<'_>, _bytes: u32) {}
