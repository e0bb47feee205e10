//! Waiting for descriptors: for a handful with poll(2), and for all those of an event loop with a [`Poller`].

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use polling::{Event, Events, PollMode};
use rustix::event::Timespec;
pub(crate) use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::descriptor::{is_open, number};

/// Waits until one of the descriptors is ready in the way its entry asks for, or broken.
///
/// Afterwards each entry's `revents` has the answer; `ERR`, `HUP` and `NVAL` come unasked. A signal does not
/// end the wait.
pub(crate) fn wait(descriptors: &mut [PollFd<'_>]) -> io::Result<()> {
    wait_at_most(descriptors, None)
}

/// The same, but no longer than `limit`. A signal restarts the wait.
pub(crate) fn wait_at_most(
    descriptors: &mut [PollFd<'_>],
    limit: Option<Duration>,
) -> io::Result<()> {
    // A time that the system cannot express means for ever.
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    rustix::io::retry_on_intr(|| rustix::event::poll(descriptors, limit.as_ref()))?;
    Ok(())
}

/// Whether a read would find bytes at once, the end, or an error.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    is_ready(fd, PollFlags::IN)
}

/// Whether a write would find room at once, or a broken reader.
pub(crate) fn is_writable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    is_ready(fd, PollFlags::OUT)
}

fn is_ready(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<bool> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut entry = [PollFd::from_borrowed_fd(fd, flags)];
    Ok(rustix::io::retry_on_intr(|| rustix::event::poll(&mut entry, Some(&now)))? > 0)
}

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
pub(crate) struct Readiness {
    /// The number the descriptor was registered under.
    pub(crate) key: usize,
    /// Both false: the descriptor is not open any more (`POLLNVAL` of poll(2)).
    pub(crate) ready: Interest,
    /// The report is due, perhaps to nothing else, to urgent data on a socket: see [`Poller::discard_urgent`].
    pub(crate) urgent: bool,
}

impl Readiness {
    /// A hang-up or an error makes a descriptor both readable and writable; a closed number is reported as
    /// such.
    fn from_flags(key: usize, flags: PollFlags) -> Self {
        let broken = flags.intersects(PollFlags::HUP | PollFlags::ERR);
        Self {
            key,
            ready: Interest {
                read: broken || flags.contains(PollFlags::IN),
                write: broken || flags.contains(PollFlags::OUT),
            },
            urgent: false,
        }
    }
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

/// Watches descriptors: with the system's poller, close-on-exec, or with poll(2) alone where there is no descriptor left
/// for one.
///
/// It is the one caller of [`polling::Poller`], and so the one place that knows how its backends (epoll, poll, kqueue,
/// event ports) differ: a refusal comes out as a [`Refusal`] whichever of them gave it, and a descriptor is registered
/// level-triggered where the backend can do that.
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

    /// Makes a poller that needs no descriptor of its own. Each wait costs time in proportion to what it
    /// watches.
    pub(crate) fn without_descriptor() -> Self {
        Self {
            system: None,
            table: PollTable::default(),
        }
    }

    /// Whether it was made by [`Poller::without_descriptor`].
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
        number(fd).is_ok_and(|fd| recv(fd, &mut [0; 1], flags).is_ok())
    }

    /// Waits until something is ready or `deadline` is past, for ever if there is none. A signal does not end it.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)` or poll(2) other than EINTR.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Vec<Readiness>> {
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
        // SAFETY: polling wants a descriptor to stay open until it is deleted, because its backends keep the
        // number. A host that lent the number may close it first, and every backend tolerates that: epoll and
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
            .modify_with_mode(number(fd)?, event(key, interest), self.mode)?;
        Ok(())
    }

    fn delete(&self, fd: RawFd) -> Result<(), Refusal> {
        self.inner.delete(number(fd)?)?;
        Ok(())
    }

    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Vec<Readiness>> {
        self.events.clear();
        match deadline {
            Some(deadline) => self.inner.wait_deadline(&mut self.events, deadline)?,
            None => self.inner.wait(&mut self.events, None)?,
        };
        let readiness = |event: Event| Readiness {
            key: event.key,
            ready: Interest {
                read: event.readable,
                write: event.writable,
            },
            urgent: event.is_priority(),
        };
        Ok(self.events.iter().map(readiness).collect())
    }
}

fn event(key: usize, interest: Interest) -> Event {
    Event::new(key, interest.read, interest.write)
}

/// What a loop falls back upon while the system has no descriptor left for a poller: poll(2) needs none of its own.
///
/// Descriptors with what is asked of each, and the number it is reported under.
#[derive(Debug, Default)]
struct PollTable(BTreeMap<RawFd, (usize, Interest)>);

impl PollTable {
    fn add(&mut self, fd: RawFd, key: usize, interest: Interest) {
        self.0.insert(fd, (key, interest));
    }

    fn modify(&mut self, fd: RawFd, key: usize, interest: Interest) -> Result<(), Refusal> {
        let entry = self.0.get_mut(&fd).ok_or(Refusal::NotRegistered)?;
        *entry = (key, interest);
        Ok(())
    }

    fn delete(&mut self, fd: RawFd) -> Result<(), Refusal> {
        self.0.remove(&fd).ok_or(Refusal::NotRegistered)?;
        Ok(())
    }

    /// Waits until something is ready or `deadline` is past. A signal does not end it.
    fn wait(&self, deadline: Option<Instant>) -> io::Result<Vec<Readiness>> {
        let mut entries = Vec::with_capacity(self.0.len());
        let mut keys = Vec::with_capacity(self.0.len());
        for (&fd, &(key, interest)) in &self.0 {
            if let Ok(fd) = number(fd) {
                entries.push(PollFd::from_borrowed_fd(fd, wanted(interest)));
                keys.push(key);
            }
        }
        loop {
            let timeout = deadline.map(until).transpose()?;
            match rustix::event::poll(&mut entries, timeout.as_ref()) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let reports = keys.into_iter().zip(&entries);
        Ok(reports
            .filter(|(_, entry)| !entry.revents().is_empty())
            .map(|(key, entry)| Readiness::from_flags(key, entry.revents()))
            .collect())
    }
}

fn wanted(interest: Interest) -> PollFlags {
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
