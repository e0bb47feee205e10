//! Waiting for a child process and for a descriptor at the same time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use super::wait::{PollFd, PollFlags, wait_at_most};

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
    use super::descriptor::beyond_standard;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    let notice = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok()?;
    beyond_standard(notice).ok()
}

/// This system has no such descriptor.
#[cfg(not(target_os = "linux"))]
fn exit_notice(_child: &Child) -> Option<OwnedFd> {
    None
}
