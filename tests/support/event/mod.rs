//! What the tests of the event loop share.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use amrelay::event::{EventId, EventKind, EventLoop};

/// A new loop.
pub(crate) fn new_loop() -> EventLoop {
    EventLoop::new().expect("a poller")
}

/// Makes an event whose callback is told its own number, and activates it.
pub(crate) fn add(
    events: &EventLoop,
    kind: EventKind,
    callback: impl Fn(EventId) + 'static,
) -> EventId {
    let id = create(events, kind, callback);
    events.activate(id).expect("activation");
    id
}

/// Makes an event whose callback is told its own number.
pub(crate) fn create(
    events: &EventLoop,
    kind: EventKind,
    callback: impl Fn(EventId) + 'static,
) -> EventId {
    let own = Rc::new(Cell::new(None));
    let told = Rc::clone(&own);
    let id = events.create(kind, Rc::new(move || callback(told.get().expect("an id"))));
    own.set(Some(id));
    id
}

/// What fired, in order.
#[derive(Clone, Default)]
pub(crate) struct Record(Rc<RefCell<Vec<&'static str>>>);

impl Record {
    pub(crate) fn note(&self, what: &'static str) {
        self.0.borrow_mut().push(what);
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.0
            .borrow()
            .iter()
            .filter(|&&noted| noted == what)
            .count()
    }

    /// What was noted since the last call.
    pub(crate) fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

/// A pipe: reading end, writing end. Both close-on-exec and non-blocking.
pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
    rustix::pipe::pipe_with(flags).expect("a pipe")
}

/// A pipe with a byte in it.
pub(crate) fn ready_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe();
    write(&writer);
    (reader, writer)
}

/// Writes one byte.
pub(crate) fn write(to: &OwnedFd) {
    assert_eq!(rustix::io::write(to, b"x").expect("room in the pipe"), 1);
}

/// Reads what is there, at most 64 KiB; 0 at the end of the file.
pub(crate) fn read(from: &OwnedFd) -> usize {
    rustix::io::read(from, &mut vec![0; 65536]).expect("something to read")
}

/// The same open file under the lowest free number from `least` on. Tests run side by side in one process, and what
/// they open gets low numbers: a high one is a test's own, also while it is closed.
pub(crate) fn duplicate_at(file: impl AsFd, least: RawFd) -> OwnedFd {
    let duplicate = rustix::io::fcntl_dupfd_cloexec(file, least).expect("a free number");
    assert_eq!(duplicate.as_raw_fd(), least, "the number is in use");
    duplicate
}

/// A child process that holds an open file and does nothing with it.
pub(crate) struct Holder(Child);

impl Holder {
    pub(crate) fn of(file: &OwnedFd) -> Self {
        let file = file.try_clone().expect("a duplicate");
        let child = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::from(file))
            .spawn();
        Self(child.expect("sleep(1)"))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().expect("a child to kill");
        self.0.wait().expect("a child to wait for");
    }
}

/// How many turns the loop makes until a timer of a tenth of a second fires. A loop that waits makes one or two; one
/// that spins makes thousands.
pub(crate) fn turns_until_timer(events: &EventLoop) -> u64 {
    let owner = events.clone();
    let timer = add(
        events,
        EventKind::Timer(Duration::from_millis(100)),
        move |id| {
            owner.release(id);
        },
    );
    events.wait(timer).expect("turns")
}

/// The most turns [`turns_until_timer`] takes when nothing happens: one for the timer, one for a poller that wakes a
/// moment early, and one each to notice and to replace a stale registration.
pub(crate) const QUIET: u64 = 4;
