//! Which descriptors the poller watches, for whom, and what to do when they are closed behind its back.
//!
//! One registration per descriptor number, for the union of what its active events ask for. epoll ties a
//! registration to the open file and not to the number: when the host closes a number while a forked child still
//! holds the file, the registration stays, reports, and cannot be deleted, since the number does not lead to it any
//! more. Every registration therefore has a key of its own that is never given out again; a report under an unknown
//! key marks the poller as stale, and a new one takes over before the next wait. While the system refuses one,
//! poll(2) serves.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::RawFd;
use std::time::Instant;

use super::kind::{Activation, Direction, EventId};
use crate::sys::descriptor::is_open;
use crate::sys::poll::{Interest, Poller, Refusal};

/// An active event on a descriptor.
#[derive(Debug)]
struct Watcher {
    id: EventId,
    activation: Activation,
    direction: Direction,
    /// Left out while the event's callback waits in a nested turn.
    masked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not in the poller: nothing is asked for, or the number is closed.
    Absent,
    /// In the poller under this key.
    Polled(usize),
    /// Refused by epoll because it never blocks: ready in every turn.
    AlwaysReady,
}

/// A descriptor's number, and the active events on it.
#[derive(Debug)]
struct Watched {
    state: State,
    watchers: Vec<Watcher>,
}

impl Watched {
    fn interest(&self) -> Interest {
        let wanted = |direction| {
            self.watchers
                .iter()
                .any(|watcher| !watcher.masked && watcher.direction == direction)
        };
        Interest {
            read: wanted(Direction::Read),
            write: wanted(Direction::Write),
        }
    }

    fn collect(&self, ready: Interest, into: &mut Vec<(Activation, EventId)>) {
        let fires = |watcher: &&Watcher| match watcher.direction {
            Direction::Read => ready.read,
            Direction::Write => ready.write,
        };
        into.extend(
            self.watchers
                .iter()
                .filter(fires)
                .map(|w| (w.activation, w.id)),
        );
    }
}

/// The descriptors that a loop watches, and the poller they are in.
#[derive(Debug)]
pub(super) struct WatchList {
    poller: Poller,
    by_descriptor: HashMap<RawFd, Watched>,
    by_key: HashMap<usize, RawFd>,
    always_ready: BTreeSet<RawFd>,
    next_key: usize,
    /// The poller holds a registration nobody can delete, or lacks one it should hold.
    stale: bool,
}

impl WatchList {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            by_descriptor: HashMap::new(),
            by_key: HashMap::new(),
            always_ready: BTreeSet::new(),
            next_key: 0,
            stale: false,
        })
    }

    /// Begins to watch `fd` for an event. EBADF if it is not open; then nothing is watched.
    pub(super) fn watch(
        &mut self,
        fd: RawFd,
        direction: Direction,
        id: EventId,
        activation: Activation,
    ) -> io::Result<()> {
        let watcher = Watcher {
            id,
            activation,
            direction,
            masked: false,
        };
        self.by_descriptor
            .entry(fd)
            .or_insert_with(|| Watched {
                state: State::Absent,
                watchers: Vec::new(),
            })
            .watchers
            .push(watcher);
        // Also when the union stays the same: the number may have been closed and reused since.
        match self.update(fd) {
            Ok(()) if self.state(fd) == State::Absent => {
                self.unwatch(fd, id);
                return Err(Refusal::NotOpen.into());
            }
            Ok(()) => {}
            Err(_) => self.stale = true,
        }
        Ok(())
    }

    /// Ends the watch of an event, if there is one.
    pub(super) fn unwatch(&mut self, fd: RawFd, id: EventId) {
        let Some(watched) = self.by_descriptor.get_mut(&fd) else {
            return;
        };
        watched.watchers.retain(|watcher| watcher.id != id);
        let last = watched.watchers.is_empty();
        self.update_or_rebuild(fd);
        if last {
            self.by_descriptor.remove(&fd);
        }
    }

    /// Leaves an event out of the polls (or takes it in again) while its callback is running.
    pub(super) fn mask(&mut self, fd: RawFd, id: EventId, masked: bool) {
        let Some(watched) = self.by_descriptor.get_mut(&fd) else {
            return;
        };
        let mut changed = false;
        for watcher in watched
            .watchers
            .iter_mut()
            .filter(|watcher| watcher.id == id)
        {
            changed |= watcher.masked != masked;
            watcher.masked = masked;
        }
        if changed {
            self.update_or_rebuild(fd);
        }
    }

    /// True if the number of an active event is known to be closed: activating it again may find another file there.
    pub(super) fn is_absent(&self, fd: RawFd) -> bool {
        self.state(fd) == State::Absent
    }

    /// Waits for the poller and adds to `ready` what fires. Does not block if a descriptor is always ready.
    pub(super) fn poll(
        &mut self,
        deadline: Option<Instant>,
        ready: &mut Vec<(Activation, EventId)>,
    ) -> io::Result<()> {
        if self.stale {
            self.rebuild();
        }
        let deadline = if self.always_ready.is_empty() {
            deadline
        } else {
            Some(Instant::now())
        };
        let reports = self.poller.wait(deadline).inspect_err(|_| {
            // Whatever has become of it, the next turn has another one.
            self.stale = true;
        })?;
        for report in reports {
            match self.by_key.get(&report.key) {
                None => self.stale = true,
                Some(&fd) if report.ready.is_empty() => self.leave(fd),
                // What else the socket has to say comes with the next report.
                Some(&fd) if report.urgent && Poller::discard_urgent(fd) => {
                    self.update_or_rebuild(fd);
                }
                Some(&fd) => self.collect(fd, report.ready, ready),
            }
        }
        for fd in self.always_ready.clone() {
            self.collect(
                fd,
                Interest {
                    read: true,
                    write: true,
                },
                ready,
            );
        }
        Ok(())
    }

    /// Adds the events of a descriptor that is ready, unless it turns out that the number names another file by now.
    ///
    /// A callback must not be told to read from a file that has nothing to say, perhaps blocking there for ever,
    /// because another file once had that number. Asking the poller again costs one system call; where the backend
    /// is not level-triggered that call is needed anyway.
    fn collect(&mut self, fd: RawFd, ready: Interest, into: &mut Vec<(Activation, EventId)>) {
        let before = self.state(fd);
        self.update_or_rebuild(fd);
        if let Some(watched) = self.by_descriptor.get(&fd) {
            if watched.state == before && before != State::Absent {
                watched.collect(ready, into);
            }
        }
    }

    fn state(&self, fd: RawFd) -> State {
        self.by_descriptor
            .get(&fd)
            .map_or(State::Absent, |watched| watched.state)
    }

    fn set_state(&mut self, fd: RawFd, state: State) {
        if let State::Polled(key) = self.state(fd) {
            self.by_key.remove(&key);
        }
        self.always_ready.remove(&fd);
        match state {
            State::Polled(key) => {
                self.by_key.insert(key, fd);
            }
            State::AlwaysReady => {
                self.always_ready.insert(fd);
            }
            State::Absent => {}
        }
        if let Some(watched) = self.by_descriptor.get_mut(&fd) {
            watched.state = state;
        }
    }

    fn update_or_rebuild(&mut self, fd: RawFd) {
        if self.update(fd).is_err() {
            // The rebuild tries again, and finds another way if need be.
            self.stale = true;
        }
    }

    /// Brings the poller in line with what the events of `fd` ask for.
    fn update(&mut self, fd: RawFd) -> io::Result<()> {
        let Some(watched) = self.by_descriptor.get(&fd) else {
            return Ok(());
        };
        let interest = watched.interest();
        match watched.state {
            // Never parked without interest: a hang-up would be reported all the same.
            _ if interest.is_empty() => self.leave(fd),
            State::Polled(key) => match self.poller.modify(fd, key, interest) {
                Ok(()) => {}
                Err(Refusal::Failed(error)) => return Err(error),
                Err(_) => {
                    self.set_state(fd, State::Absent);
                    return self.enter(fd, interest);
                }
            },
            State::Absent | State::AlwaysReady => return self.enter(fd, interest),
        }
        Ok(())
    }

    /// Registers `fd` under a new key. A number that is not open is not an error here: its events stay
    /// active and silent.
    ///
    /// What is registered already, under none of the keys that are known, is a file that was closed under this number and
    /// is back, by dup2(2) from elsewhere, or the poller's own. To change it would break the poller in the second case;
    /// a new poller is right in both.
    fn enter(&mut self, fd: RawFd, interest: Interest) -> io::Result<()> {
        let key = self.new_key();
        let state = match self.poller.add(fd, key, interest) {
            Ok(()) => State::Polled(key),
            Err(Refusal::AlwaysReady) => State::AlwaysReady,
            Err(Refusal::NotOpen) => State::Absent,
            Err(refusal) => return Err(refusal.into()),
        };
        if self.state(fd) != state {
            self.set_state(fd, state);
        }
        Ok(())
    }

    /// Takes `fd` out of the poller.
    fn leave(&mut self, fd: RawFd) {
        if let State::Polled(_) = self.state(fd) {
            // Refused if the host has closed the number already. Whether that left a registration behind shows when
            // it reports, under a key that is forgotten from here on; mostly it has not, and no rebuild is needed.
            let _ = self.poller.delete(fd);
        }
        self.set_state(fd, State::Absent);
    }

    /// Takes a new poller, or as long as none can be had poll(2).
    fn rebuild(&mut self) {
        // The old one goes first: its descriptors may be the very ones that the new one needs.
        self.poller = Poller::without_descriptor();
        // Before the new poller exists: it may get a number that the host has closed, and it cannot watch
        // itself.
        let open = self.by_descriptor.keys().copied().filter(|&fd| is_open(fd));
        let open: Vec<_> = open.collect();
        let renewed = Poller::new().and_then(|poller| {
            self.poller = poller;
            self.enter_all(&open)
        });
        if renewed.is_err() {
            self.poller = Poller::without_descriptor();
            // It refuses only numbers that are not open, which is not an error here.
            let _ = self.enter_all(&open);
        }
        self.stale = self.poller.is_makeshift();
    }

    /// Registers those descriptors that are open with a new poller.
    fn enter_all(&mut self, open: &[RawFd]) -> io::Result<()> {
        for fd in self.by_descriptor.keys().copied().collect::<Vec<_>>() {
            self.set_state(fd, State::Absent);
        }
        open.iter().try_for_each(|&fd| self.update(fd))
    }

    fn new_key(&mut self) -> usize {
        loop {
            let key = self.next_key;
            // `usize::MAX` is polling's own.
            self.next_key = key.wrapping_add(1) % usize::MAX;
            if !self.by_key.contains_key(&key) {
                return key;
            }
        }
    }
}
