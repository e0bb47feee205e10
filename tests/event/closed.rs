//! Descriptors that are closed before their events are released, alone or while another process holds the file.
//!
//! The numbers below are high and each test's own, see `duplicate_at`.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::support::event::{
    Holder, QUIET, Record, add, duplicate_at, new_loop, pipe, read, turns_until_timer, write,
};
use amrelay::event::EventId;
use amrelay::event::EventKind::Read;
use amrelay::event::EventLoop;

/// A pipe's reading end under `number` alone, and its writing end.
fn pipe_at(number: RawFd) -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe();
    (duplicate_at(&reader, number), writer)
}

fn noting(events: &EventLoop, number: RawFd, record: &Record, name: &'static str) -> EventId {
    let record = record.clone();
    add(events, Read(number), move |_| record.note(name))
}

#[test]
fn closed_before_released_in_its_own_callback() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe_at(700);
    write(&writer);
    let (owner, note, reader) = (events.clone(), record.clone(), RefCell::new(Some(reader)));
    add(&events, Read(700), move |id| {
        note.note("read");
        *reader.borrow_mut() = None;
        owner.release(id);
    });
    events.turns(false).unwrap();
    assert_eq!(record.take(), ["read"]);
    assert!(turns_until_timer(&events) <= QUIET);

    // The next file under that number is watched as any other.
    let (_reader, writer) = pipe_at(700);
    noting(&events, 700, &record, "next");
    events.turns(true).unwrap();
    assert!(record.take().is_empty());
    write(&writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["next"]);
}

#[test]
fn closed_and_never_released_is_silent() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe_at(710);
    write(&writer);
    let id = noting(&events, 710, &record, "read");
    drop(reader);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
    // It still counts as active: upstream's loop does not return either.
    assert!(events.release(id));
    events.turns(false).unwrap();
}

#[test]
fn closed_number_reused_by_another_file() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe_at(720);
    let old = noting(&events, 720, &record, "old");
    write(&writer);
    drop(reader);
    let (_reader, next_writer) = pipe_at(720);
    let new = noting(&events, 720, &record, "new");
    events.turns(true).unwrap();
    assert!(record.take().is_empty());
    write(&next_writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["old", "new"]);
    assert!(events.release(old));
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["new"]);
    assert!(events.release(new));
    assert!(turns_until_timer(&events) <= QUIET);
}

#[test]
fn closed_and_released_while_a_child_holds_the_file() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe_at(730);
    let _child = Holder::of(&reader);
    let id = noting(&events, 730, &record, "read");
    drop(reader);
    assert!(events.release(id));
    // From here on epoll reports a file that no number leads to.
    write(&writer);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
}

#[test]
fn other_descriptors_outlive_the_replaced_poller() {
    let (events, record) = (new_loop(), Record::default());
    let (other, other_writer) = pipe();
    let null = File::open("/dev/null").unwrap();
    noting(&events, other.as_raw_fd(), &record, "other");
    let always = noting(&events, null.as_raw_fd(), &record, "always");
    let (reader, writer) = pipe_at(740);
    let _child = Holder::of(&reader);
    let id = noting(&events, 740, &record, "read");
    drop(reader);
    events.release(id);
    write(&writer);
    for _ in 0..3 {
        events.turns(true).unwrap();
        assert_eq!(record.take(), ["always"]);
    }
    write(&other_writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["other", "always"]);
    events.release(always);
    read(&other);
    assert!(turns_until_timer(&events) <= QUIET);
}

#[test]
fn closed_and_not_released_while_a_child_holds_the_file() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe_at(750);
    let _child = Holder::of(&reader);
    let id = noting(&events, 750, &record, "read");
    write(&writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read"]);
    drop(reader);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
    assert!(events.release(id));
}

#[test]
fn number_reused_after_release_while_a_child_holds_the_file() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe_at(760);
    let _child = Holder::of(&reader);
    let old = noting(&events, 760, &record, "old");
    write(&writer);
    drop(reader);
    events.release(old);
    let (next, next_writer) = pipe_at(760);
    noting(&events, 760, &record, "new");
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
    write(&next_writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["new"]);
    read(&next);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
}

#[test]
fn number_reused_before_release_while_a_child_holds_the_file() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe_at(770);
    let _child = Holder::of(&reader);
    let old = noting(&events, 770, &record, "old");
    write(&writer);
    drop(reader);
    // The file of the old registration is readable, the one the number names now is not.
    let (_next, next_writer) = pipe_at(770);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
    noting(&events, 770, &record, "new");
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
    events.release(old);
    write(&next_writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["new"]);
}

#[test]
fn number_reused_by_a_file_epoll_refuses() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = pipe_at(780);
    let old = noting(&events, 780, &record, "old");
    drop(reader);
    let null = duplicate_at(File::open("/dev/null").unwrap(), 780);
    let new = noting(&events, 780, &record, "new");
    events.release(old);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["new"]);
    // And the other way round: what was always ready is closed, then a pipe.
    drop(null);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
    let (_reader, writer) = pipe_at(780);
    events.activate(new).unwrap();
    events.turns(true).unwrap();
    assert!(record.take().is_empty());
    write(&writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["new"]);
}

#[test]
fn the_closed_file_itself_comes_back_under_its_number() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe_at(790);
    let elsewhere = reader.try_clone().unwrap();
    let old = noting(&events, 790, &record, "old");
    drop(reader);
    events.release(old);
    let _back = duplicate_at(&elsewhere, 790);
    noting(&events, 790, &record, "new");
    write(&writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["new"]);
    read(&elsewhere);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
}
