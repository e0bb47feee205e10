//! Registration of descriptors with the system's poller.
//!
//! The one caller of [`polling::Poller`], and so the one place that knows how its backends (epoll, poll, kqueue, event
//! ports) differ: a refusal comes out as a [`Refusal`] whichever of them gave it, and a descriptor is registered
//! level-triggered where the backend can do that. Where there is no descriptor left for such a poller, a table for
//! poll(2) stands in.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Instant;

use polling::{Event, Events, PollMode};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::poll_table::PollTable;

/// Which kinds of readiness are asked for, or were reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Interest {
    /// Bytes to read, end of file, hang-up, or an error to be read.
    pub(crate) read: bool,
    /// Room to write, hang-up, or an error to be read.
    pub(crate) write: bool,
}

impl Interest {
    /// True if neither kind is asked for.
    pub(crate) fn is_empty(self) -> bool {
        !self.read && !self.write
    }
}

/// What the poller said about one registration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    /// The number the descriptor was registered under.
    pub(crate) key: usize,
    /// Both false: the descriptor is not open any more (`POLLNVAL` of poll(2)).
    pub(crate) ready: Interest,
    /// The report is due, perhaps to nothing else, to urgent data on a socket: see [`Poller::discard_urgent`].
    pub(crate) urgent: bool,
}

/// Why the poller did not do as asked.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The number names no open file (EBADF).
    NotOpen,
    /// The file cannot be waited for because it never blocks: a regular file, `/dev/null` (EPERM, epoll alone).
    AlwaysReady,
    /// Neither the number nor the file it names now is registered (ENOENT).
    NotRegistered,
    /// The file is registered already under this number (EEXIST).
    Registered,
    /// Anything else: out of memory, over a limit of the system.
    Failed(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        // polling's poll(2) backend keeps its own table and answers with a bare error kind, without an errno.
        match (
            error.raw_os_error().map(Errno::from_raw_os_error),
            error.kind(),
        ) {
            (Some(Errno::BADF), _) => Self::NotOpen,
            (Some(Errno::PERM), _) => Self::AlwaysReady,
            (_, io::ErrorKind::NotFound) => Self::NotRegistered,
            (_, io::ErrorKind::AlreadyExists) => Self::Registered,
            _ => Self::Failed(error),
        }
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotOpen => Errno::BADF.into(),
            Refusal::AlwaysReady => Errno::PERM.into(),
            Refusal::NotRegistered => Errno::NOENT.into(),
            Refusal::Registered => Errno::EXIST.into(),
            Refusal::Failed(error) => error,
        }
    }
}

/// Watches descriptors: with the system's poller, close-on-exec, or with poll(2) alone.
#[derive(Debug)]
pub(crate) struct Poller {
    /// None: there was no descriptor left for one.
    system: Option<System>,
    table: PollTable,
}

impl Poller {
    /// Makes a poller without registrations.
    ///
    /// # Errors
    /// Those of `epoll_create1(2)`, eventfd(2) and pipe(2), mostly EMFILE.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            system: Some(System::new()?),
            table: PollTable::default(),
        })
    }

    /// Makes one without registrations that needs no descriptor, and whose waits cost the more the more it watches.
    pub(crate) fn without_descriptor() -> Self {
        Self {
            system: None,
            table: PollTable::default(),
        }
    }

    /// True of one made [`Poller::without_descriptor`].
    pub(crate) fn is_makeshift(&self) -> bool {
        self.system.is_none()
    }

    /// Registers `fd` under `key`.
    pub(crate) fn add(&mut self, fd: RawFd, key: usize, interest: Interest) -> Result<(), Refusal> {
        // poll(2) would take a number that is not open and complain in each wait.
        if !is_open(fd) {
            return Err(Refusal::NotOpen);
        }
        if let Some(system) = &self.system {
            return system.add(fd, key, interest);
        }
        self.table.add(fd, key, interest);
        Ok(())
    }

    /// Changes what `fd` is registered for, and its key. Where the backend is not level-triggered this also makes a
    /// registration that has reported report again.
    pub(crate) fn modify(
        &mut self,
        fd: RawFd,
        key: usize,
        interest: Interest,
    ) -> Result<(), Refusal> {
        match &self.system {
            Some(system) => system.modify(fd, key, interest),
            None => self.table.modify(fd, key, interest),
        }
    }

    /// Takes `fd` out.
    pub(crate) fn delete(&mut self, fd: RawFd) -> Result<(), Refusal> {
        match &self.system {
            Some(system) => system.delete(fd),
            None => self.table.delete(fd),
        }
    }

    /// Takes a socket's urgent byte, if there is one, and says whether there was.
    ///
    /// polling asks for urgent data whenever it asks for readability and does not tell the two apart. A peer could so
    /// make a reader block that has nothing to read, or make the loop spin, since reading the stream never reaches an
    /// urgent byte that came alone. The byte is not part of the stream (`SO_OOBINLINE` unset), so nothing is lost.
    pub(crate) fn discard_urgent(fd: RawFd) -> bool {
        let flags = RecvFlags::OOB | RecvFlags::DONTWAIT;
        borrow(fd).is_ok_and(|fd| recv(fd, &mut [0; 1], flags).is_ok())
    }

    /// Waits until something is ready or `deadline` is past, for ever if there is none. A signal does not end it.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)` or poll(2) other than EINTR.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Vec<Report>> {
        match &mut self.system {
            Some(system) => system.wait(deadline),
            None => self.table.wait(deadline),
        }
    }
}

/// The system's poller.
#[derive(Debug)]
struct System {
    inner: polling::Poller,
    events: Events,
    mode: PollMode,
}

impl System {
    fn new() -> io::Result<Self> {
        let inner = polling::Poller::new()?;
        let mode = if inner.supports_level() {
            PollMode::Level
        } else {
            PollMode::Oneshot
        };
        Ok(Self {
            inner,
            events: Events::new(),
            mode,
        })
    }

    fn add(&self, fd: RawFd, key: usize, interest: Interest) -> Result<(), Refusal> {
        // SAFETY: polling wants a descriptor to stay open until it is deleted, because its backends keep the number.
        // Here the number may be closed first, by a host that only lent it, and every backend stands that: epoll and
        // kqueue hold the file, not the number, and drop it when the file goes; poll(2) says POLLNVAL, which `wait`
        // reports. No memory is reached through the number in any of them.
        unsafe {
            self.inner
                .add_with_mode(fd, event(key, interest), self.mode)
        }?;
        Ok(())
    }

    fn modify(&self, fd: RawFd, key: usize, interest: Interest) -> Result<(), Refusal> {
        self.inner
            .modify_with_mode(borrow(fd)?, event(key, interest), self.mode)?;
        Ok(())
    }

    fn delete(&self, fd: RawFd) -> Result<(), Refusal> {
        self.inner.delete(borrow(fd)?)?;
        Ok(())
    }

    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Vec<Report>> {
        self.events.clear();
        match deadline {
            Some(deadline) => self.inner.wait_deadline(&mut self.events, deadline)?,
            None => self.inner.wait(&mut self.events, None)?,
        };
        let report = |event: Event| Report {
            key: event.key,
            ready: Interest {
                read: event.readable,
                write: event.writable,
            },
            urgent: event.is_priority(),
        };
        Ok(self.events.iter().map(report).collect())
    }
}

fn event(key: usize, interest: Interest) -> Event {
    Event::new(key, interest.read, interest.write)
}

/// Whether the number leads to a file at this moment.
pub(crate) fn is_open(fd: RawFd) -> bool {
    borrow(fd).is_ok_and(|fd| rustix::io::fcntl_getfd(fd).is_ok())
}

/// The file that a number leads to at this moment.
pub(super) fn borrow<'number>(fd: RawFd) -> Result<BorrowedFd<'number>, Refusal> {
    if fd < 0 {
        return Err(Refusal::NotOpen);
    }
    // SAFETY: the number is not -1. It may have been closed by the host; the borrow goes no further than the system
    // call (or, in polling's poll(2) backend, the table lookup) that follows, and the kernel checks the number there.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}
