//! Wait events, and waiting for an event.

use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use crate::support::event::{Record, add, create, new_loop, pipe, ready_pipe};
use amrelay::event::EventKind::{Deferred, Read, Timer, Wait};
use amrelay::event::{EventId, EventLoop};

#[test]
fn wakeup_fires_before_it_returns() {
    let (events, record) = (new_loop(), Record::default());
    let note = record.clone();
    add(&events, Wait(7), move |_| note.note("woken"));
    assert_eq!(events.wakeup(7), 1);
    assert_eq!(record.take(), ["woken"]);
}

#[test]
fn wakeup_fires_all_of_its_number_and_no_other() {
    let (events, record) = (new_loop(), Record::default());
    for (number, name) in [
        (i64::MIN, "least"),
        (6, "six"),
        (7, "a"),
        (7, "b"),
        (8, "eight"),
        (i64::MAX, "most"),
    ] {
        let note = record.clone();
        add(&events, Wait(number), move |_| note.note(name));
    }
    create(&events, Wait(7), |_| panic!("not active"));
    // The latest activation first, as upstream's list has it.
    assert_eq!(events.wakeup(7), 2);
    assert_eq!(record.take(), ["b", "a"]);
    assert_eq!(events.wakeup(i64::MIN), 1);
    assert_eq!(events.wakeup(i64::MAX), 1);
    assert_eq!(record.take(), ["least", "most"]);
    assert_eq!(events.wakeup(9), 0);
}

#[test]
fn event_added_by_a_wakeup_is_not_fired_by_it() {
    let (events, record) = (new_loop(), Record::default());
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Wait(7), move |id| {
        note.note("old");
        owner.release(id);
        let again = note.clone();
        add(&owner, Wait(7), move |_| again.note("new"));
    });
    assert_eq!(events.wakeup(7), 1);
    assert_eq!(record.take(), ["old"]);
    assert_eq!(events.wakeup(7), 1);
    assert_eq!(record.take(), ["new"]);
}

#[test]
fn event_released_or_renewed_by_a_wakeup_is_not_fired_by_it() {
    let (events, record) = (new_loop(), Record::default());
    let victims: Rc<Cell<Option<[EventId; 2]>>> = Rc::default();
    victims.set(Some(["released", "renewed"].map(|name| {
        let note = record.clone();
        add(&events, Wait(7), move |_| note.note(name))
    })));
    let (owner, note) = (events.clone(), record.clone());
    let first = add(&events, Wait(7), move |_| {
        note.note("first");
        let [released, renewed] = victims.get().unwrap();
        owner.release(released);
        owner.deactivate(renewed);
        owner.activate(renewed).unwrap();
    });
    assert_eq!(events.wakeup(7), 1);
    assert_eq!(record.take(), ["first"]);
    events.release(first);
    assert_eq!(events.wakeup(7), 1);
    assert_eq!(record.take(), ["renewed"]);
}

#[test]
fn wakeup_may_come_from_within_a_wakeup() {
    let (events, record) = (new_loop(), Record::default());
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Wait(1), move |_| {
        note.note("one");
        owner.wakeup(2);
        note.note("one ends");
    });
    let (owner, note, again) = (events.clone(), record.clone(), Cell::new(true));
    add(&events, Wait(2), move |_| {
        note.note("two");
        if again.replace(false) {
            // A wait event is no part of a turn: upstream fires it also when it is on the stack.
            owner.wakeup(1);
        }
    });
    events.wakeup(1);
    assert_eq!(
        record.take(),
        ["one", "two", "one", "two", "one ends", "one ends"]
    );
}

#[test]
fn wait_returns_when_a_descriptor_event_has_fired_once() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let note = record.clone();
    let id = add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("read");
    });
    for _ in 0..2 {
        events.wait(id).unwrap();
        assert_eq!(record.take(), ["read"]);
    }
}

#[test]
fn wait_returns_when_the_event_released_itself() {
    for nested in [false, true] {
        let (events, record) = (new_loop(), Record::default());
        let (quiet, _writer) = pipe();
        add(&events, Read(quiet.as_raw_fd()), |_| {
            panic!("nothing was written")
        });
        let (owner, note) = (events.clone(), record.clone());
        let id = add(&events, Timer(Duration::from_millis(20)), move |id| {
            owner.release(id);
            if nested {
                owner.turns(true).unwrap();
            }
            note.note("fired");
        });
        events.wait(id).unwrap();
        assert_eq!(record.take(), ["fired"]);
    }
}

#[test]
fn wait_for_a_wait_event_returns_when_it_is_released_and_not_when_it_fires() {
    let (events, record) = (new_loop(), Record::default());
    let (owner, left) = (events.clone(), Cell::new(3));
    let waited_for = add(&events, Wait(7), move |id| {
        left.set(left.get() - 1);
        if left.get() == 0 {
            owner.release(id);
        }
    });
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Timer(Duration::from_millis(5)), move |_| {
        note.note("tick");
        owner.wakeup(7);
    });
    events.wait(waited_for).unwrap();
    assert_eq!(record.take(), ["tick"; 3]);
}

#[test]
fn wait_returns_when_another_callback_released_the_event() {
    let (events, record) = (new_loop(), Record::default());
    let (quiet, _writer) = pipe();
    let waited_for = add(&events, Read(quiet.as_raw_fd()), |_| {
        panic!("nothing was written")
    });
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Timer(Duration::from_millis(5)), move |_| {
        note.note("tick");
        owner.release(waited_for);
    });
    // The timer stays and would keep the loop going.
    events.wait(waited_for).unwrap();
    assert_eq!(record.take(), ["tick"]);
}

#[test]
fn wait_returns_when_only_wait_events_are_left() {
    fn fill(events: &EventLoop) -> EventId {
        let owner = events.clone();
        add(events, Deferred, move |id| {
            owner.release(id);
        });
        add(events, Wait(8), |_| panic!("nobody wakes it"));
        add(events, Wait(7), |_| panic!("nobody wakes it"))
    }
    let events = new_loop();
    let id = fill(&events);
    assert_eq!(events.wait(id).unwrap(), 1);
    // Nothing is live: no turn at all.
    assert_eq!(events.wait(id).unwrap(), 0);
}

#[test]
fn wait_for_a_released_event_is_refused() {
    let events = new_loop();
    let id = create(&events, Wait(7), |_| ());
    events.release(id);
    assert_eq!(
        events.wait(id).unwrap_err().kind(),
        std::io::ErrorKind::NotFound
    );
}

#[test]
fn nested_waits_end_each_for_its_own_event() {
    let (events, record) = (new_loop(), Record::default());
    let pipes = [(); 2].map(|()| ready_pipe());
    let (owner, note) = (events.clone(), record.clone());
    let outer = add(&events, Read(pipes[0].0.as_raw_fd()), move |id| {
        note.note("outer");
        owner.release(id);
    });
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Deferred, move |_| {
        let (inner_owner, inner_note) = (owner.clone(), note.clone());
        let inner = add(&owner, Timer(Duration::from_millis(20)), move |id| {
            inner_note.note("inner");
            inner_owner.release(id);
        });
        owner.wait(inner).unwrap();
        note.note("deferred ends");
    });
    events.wait(outer).unwrap();
    assert_eq!(record.take(), ["outer", "inner", "deferred ends"]);
}
