//! A process that is out of descriptors: the loop goes on. The limit is the whole process's, so this file has one test.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::support::alone::is_alone;
use crate::support::event::{
    Holder, QUIET, Record, add, new_loop, pipe, read, turns_until_timer, write,
};
use crate::support::limit::NoDescriptors;
use amrelay::event::{EventKind, EventLoop};

/// Leaves a registration in the loop's poller that nobody can delete, so that it has to be replaced once it reports.
fn spoil(events: &EventLoop) -> (Holder, OwnedFd) {
    let (reader, writer) = pipe();
    let child = Holder::of(&reader);
    let id = add(events, EventKind::Read(reader.as_raw_fd()), |_| {
        panic!("it has been released");
    });
    drop(reader);
    events.release(id);
    write(&writer);
    events.turns(true).unwrap();
    (child, writer)
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_loop_goes_on_while_the_process_is_out_of_descriptors() {
    if !is_alone(
        module_path!(),
        "a_loop_goes_on_while_the_process_is_out_of_descriptors",
    ) {
        return;
    }
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe();
    let (note, source) = (record.clone(), reader.try_clone().unwrap());
    let fd = reader.as_raw_fd();
    add(&events, EventKind::Read(fd), move |_| {
        note.note("read");
        read(&source);
    });
    let _spoiled = spoil(&events);
    let before = open_descriptors();
    {
        let _limit = NoDescriptors::new();
        for _ in 0..3 {
            write(&writer);
            events.turns(true).unwrap();
            assert_eq!(record.take(), ["read"]);
        }
        events.turns(true).unwrap();
        assert!(record.take().is_empty());
        assert!(turns_until_timer(&events) <= QUIET);
        changes_of_events_take_effect(&events);
        assert!(record.take().is_empty());
    }
    // Descriptors are to be had again, and the loop takes what it had.
    events.turns(true).unwrap();
    assert_eq!(open_descriptors(), before);
    write(&writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read"]);
    assert!(turns_until_timer(&events) <= QUIET);
}

/// Events come and go, and a number that is not open is refused.
fn changes_of_events_take_effect(events: &EventLoop) {
    let record = Record::default();
    let noting = |kind, name| {
        let note = record.clone();
        add(events, kind, move |_| note.note(name))
    };
    let output = std::io::stdout().as_raw_fd();
    let id = noting(EventKind::Write(output), "room");
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["room"]);
    events.deactivate(id);
    events.turns(true).unwrap();
    assert!(record.take().is_empty());
    events.activate(id).unwrap();
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["room"]);
    assert!(events.release(id));
    let closed = events.create(EventKind::Read(999), std::rc::Rc::new(|| {}));
    let refused = events.activate(closed).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EBADF));
    events.release(closed);
}
