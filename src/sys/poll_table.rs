//! Waiting for descriptors with poll(2), which needs no descriptor of its own: what a loop falls back upon while the
//! system has none left for a poller.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::poller::{Interest, Refusal, Report, borrow};

/// Descriptors with what is asked of each, and the number it is reported under.
#[derive(Debug, Default)]
pub(super) struct PollTable(BTreeMap<RawFd, (usize, Interest)>);

impl PollTable {
    pub(super) fn add(&mut self, fd: RawFd, key: usize, interest: Interest) {
        self.0.insert(fd, (key, interest));
    }

    pub(super) fn modify(
        &mut self,
        fd: RawFd,
        key: usize,
        interest: Interest,
    ) -> Result<(), Refusal> {
        let entry = self.0.get_mut(&fd).ok_or(Refusal::NotRegistered)?;
        *entry = (key, interest);
        Ok(())
    }

    pub(super) fn delete(&mut self, fd: RawFd) -> Result<(), Refusal> {
        self.0.remove(&fd).ok_or(Refusal::NotRegistered)?;
        Ok(())
    }

    /// Waits until something is ready or `deadline` is past. A signal does not end it.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> io::Result<Vec<Report>> {
        let mut entries = Vec::with_capacity(self.0.len());
        let mut keys = Vec::with_capacity(self.0.len());
        for (&fd, &(key, interest)) in &self.0 {
            if let Ok(fd) = borrow(fd) {
                entries.push(PollFd::from_borrowed_fd(fd, flags(interest)));
                keys.push(key);
            }
        }
        loop {
            let timeout = deadline.map(until).transpose()?;
            match poll(&mut entries, timeout.as_ref()) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let reports = keys.into_iter().zip(&entries);
        Ok(reports
            .filter(|(_, entry)| !entry.revents().is_empty())
            .map(|(key, entry)| report(key, entry.revents()))
            .collect())
    }
}

fn flags(interest: Interest) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, interest.read);
    flags.set(PollFlags::OUT, interest.write);
    flags
}

/// The time that is left.
fn until(deadline: Instant) -> io::Result<Timespec> {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// A hang-up and an error are both to be read and to be met in writing; a closed number is reported as such.
fn report(key: usize, flags: PollFlags) -> Report {
    let broken = flags.intersects(PollFlags::HUP | PollFlags::ERR);
    Report {
        key,
        ready: Interest {
            read: broken || flags.contains(PollFlags::IN),
            write: broken || flags.contains(PollFlags::OUT),
        },
        urgent: false,
    }
}
