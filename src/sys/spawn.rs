//! Programs: starting one that inherits its three standard descriptors and nothing else, and waiting for its end and for
//! a descriptor at the same time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use super::poll::{PollFd, PollFlags, wait_at_most};
use super::signal::unblock_all;

/// Makes `command` run without the descriptors that the host program left open across exec: a child that holds the
/// writing end of a data pipe would keep its reader from seeing the end. And without the signal mask of the thread that
/// starts it: SIGPIPE is what ends a program whose reader has gone.
pub(crate) fn inherit_only_standard(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes system calls only; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            keep_standard_input();
            close_others_on_exec();
            unblock_all();
            Ok(())
        });
    }
}

/// Where the host has closed its own, the pipe that the standard library makes has this very number, and no duplicate
/// has lost the flag that closes it on exec.
fn keep_standard_input() {
    // SAFETY: fcntl is async-signal-safe and reads no memory of ours.
    unsafe { libc::fcntl(libc::STDIN_FILENO, libc::F_SETFD, 0) };
}

/// Marks every descriptor from 3 on. Marking instead of closing leaves alone the pipe through which the standard
/// library learns that exec failed.
fn close_others_on_exec() {
    if !mark_range() {
        mark_each();
    }
}

/// `close_range(2)` with `CLOSE_RANGE_CLOEXEC` (Linux 5.11 and later); false where it is missing.
#[cfg(target_os = "linux")]
fn mark_range() -> bool {
    const FROM: libc::c_uint = 3;
    // SAFETY: the call reads no memory of ours, and only changes flags of this process's descriptors.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FROM,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        ) == 0
    }
}

#[cfg(not(target_os = "linux"))]
fn mark_range() -> bool {
    false
}

fn mark_each() {
    /// A host with a higher limit hardly uses it, and a loop over a billion numbers would take minutes.
    const HIGHEST_TRIED: libc::c_long = 65_536;
    // SAFETY: sysconf and fcntl are async-signal-safe and read no memory of ours; a closed number gives EBADF.
    unsafe {
        let limit = match libc::sysconf(libc::_SC_OPEN_MAX) {
            limit @ 0..HIGHEST_TRIED => limit,
            // More, or no limit (-1).
            _ => HIGHEST_TRIED,
        };
        for fd in 3..limit {
            #[expect(clippy::cast_possible_truncation, reason = "at most HIGHEST_TRIED")]
            libc::fcntl(fd as libc::c_int, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

/// How often to ask for the child's end where no descriptor tells of it.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until the child has ended, or `interrupt` is readable: none then.
pub(crate) fn wait_unless(
    child: &mut Child,
    interrupt: BorrowedFd<'_>,
) -> io::Result<Option<ExitStatus>> {
    let notice = exit_notice(child);
    let limit = notice.is_none().then_some(INTERVAL);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let mut entries = Vec::with_capacity(2);
        entries.push(PollFd::from_borrowed_fd(interrupt, PollFlags::IN));
        entries.extend(
            (notice.as_ref()).map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)),
        );
        wait_at_most(&mut entries, limit)?;
        if !entries[0].revents().is_empty() {
            return Ok(None);
        }
    }
}

/// A descriptor that becomes readable when the child has ended (Linux 5.3 and later), if there can be one.
#[cfg(target_os = "linux")]
fn exit_notice(child: &Child) -> Option<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::descriptor::beyond_standard;

    let notice = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok()?;
    beyond_standard(notice).ok()
}

/// This system has no such descriptor.
#[cfg(not(target_os = "linux"))]
fn exit_notice(_child: &Child) -> Option<OwnedFd> {
    None
}
