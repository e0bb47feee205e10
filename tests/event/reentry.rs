//! Callbacks that come back into the loop.

use std::cell::{Cell, RefCell};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use crate::support::event::{
    QUIET, Record, add, new_loop, pipe, read, ready_pipe, turns_until_timer, write,
};
use amrelay::event::EventKind::{Deferred, Read, Timer, Wait};
use amrelay::event::{EventId, EventLoop};

#[test]
fn callback_releases_its_own_event_and_creates_the_next() {
    fn next(events: &EventLoop, record: &Record, fd: i32, left: usize) {
        let (owner, note) = (events.clone(), record.clone());
        add(events, Read(fd), move |id| {
            note.note("read");
            assert!(owner.release(id));
            if left > 1 {
                next(&owner, &note, fd, left - 1);
            }
        });
    }
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    next(&events, &record, reader.as_raw_fd(), 3);
    let turns = events.turns(false).unwrap();
    assert_eq!(record.take(), ["read"; 3]);
    // Each was created after the poll of its turn and had to wait for the next.
    assert_eq!(turns, 3);
}

#[test]
fn callback_deactivates_its_own_event_and_activates_it_again_later() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let (owner, note) = (events.clone(), record.clone());
    let id = add(&events, Read(reader.as_raw_fd()), move |id| {
        note.note("read");
        owner.deactivate(id);
    });
    events.turns(false).unwrap();
    assert_eq!(record.take(), ["read"]);
    events.activate(id).unwrap();
    events.turns(false).unwrap();
    assert_eq!(record.take(), ["read"]);
}

#[test]
fn callback_waits_for_another_event() {
    let (events, record) = (new_loop(), Record::default());
    let (outer, _outer_writer) = ready_pipe();
    let (inner, _inner_writer) = ready_pipe();
    let (owner, note, inner) = (events.clone(), record.clone(), inner.as_raw_fd());
    add(&events, Read(outer.as_raw_fd()), move |id| {
        note.note("outer begins");
        let (inner_owner, inner_note) = (owner.clone(), note.clone());
        let inner = add(&owner, Read(inner), move |id| {
            inner_note.note("inner");
            inner_owner.release(id);
        });
        owner.wait(inner).unwrap();
        note.note("outer ends");
        owner.release(id);
    });
    events.turns(false).unwrap();
    assert_eq!(record.take(), ["outer begins", "inner", "outer ends"]);
}

#[test]
fn nested_turn_voids_the_rest_of_the_outer_one() {
    let (events, record) = (new_loop(), Record::default());
    let pipes = [(); 2].map(|()| ready_pipe());
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Read(pipes[0].0.as_raw_fd()), move |id| {
        note.note("first");
        owner.turns(true).unwrap();
        owner.release(id);
    });
    let (note, consumed) = (record.clone(), pipes[1].0.try_clone().unwrap());
    add(&events, Read(consumed.as_raw_fd()), move |_| {
        note.note("second");
        assert_eq!(read(&consumed), 1);
    });
    events.turns(true).unwrap();
    // Fired by the nested turn, which took the byte; the outer turn's knowledge of it is out of date.
    assert_eq!(record.take(), ["first", "second"]);
}

#[test]
fn deferred_events_and_timers_fire_in_nested_turns() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let (owner, nested) = (events.clone(), Cell::new(false));
    let note = record.clone();
    let reading = add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("read");
        if !nested.replace(true) {
            let (inner, _writer) = ready_pipe();
            let inner_owner = owner.clone();
            let waited = add(&owner, Read(inner.as_raw_fd()), move |id| {
                inner_owner.release(id);
            });
            owner.wait(waited).unwrap();
        }
    });
    let note = record.clone();
    add(&events, Deferred, move |_| note.note("deferred"));
    let note = record.clone();
    add(&events, Timer(Duration::ZERO), move |_| note.note("timer"));
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read", "deferred", "timer"]);
    events.release(reading);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["timer"]);
}

#[test]
fn event_on_the_stack_neither_fires_in_nested_turns_nor_makes_them_spin() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let (owner, note, turns) = (events.clone(), record.clone(), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&turns);
    add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("read");
        counted.set(turns_until_timer(&owner));
    });
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read"]);
    assert!(turns.get() <= QUIET);
    // And it is watched again afterwards.
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read"]);
}

#[test]
fn other_events_of_the_same_descriptor_do_fire_in_nested_turns() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("outer");
        owner.turns(true).unwrap();
        note.note("outer ends");
    });
    let note = record.clone();
    add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("other");
    });
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["outer", "other", "outer ends"]);
}

#[test]
fn always_ready_event_on_the_stack_lets_nested_turns_block() {
    let events = new_loop();
    let null = std::fs::File::open("/dev/null").unwrap();
    let (owner, turns) = (events.clone(), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&turns);
    add(&events, Read(null.as_raw_fd()), move |id| {
        counted.set(turns_until_timer(&owner));
        owner.release(id);
    });
    events.turns(false).unwrap();
    assert!((1..=QUIET).contains(&turns.get()));
}

#[test]
fn timer_and_deferred_on_the_stack_let_nested_turns_block() {
    for kind in [Timer(Duration::ZERO), Deferred] {
        let (events, record) = (new_loop(), Record::default());
        let (owner, note, turns) = (events.clone(), record.clone(), Rc::new(Cell::new(0)));
        let counted = Rc::clone(&turns);
        let id = add(&events, kind, move |id| {
            note.note("fired");
            // Activated anew, it is still the one whose callback is running.
            owner.deactivate(id);
            owner.activate(id).unwrap();
            counted.set(turns_until_timer(&owner));
        });
        events.turns(true).unwrap();
        assert_eq!(record.take(), ["fired"]);
        assert!((1..=QUIET).contains(&turns.get()));
        events.turns(true).unwrap();
        assert_eq!(record.take(), ["fired"]);
        events.release(id);
        events.turns(false).unwrap();
    }
}

#[test]
fn event_released_in_a_nested_turn_is_gone_from_the_outer_one() {
    let (events, record) = (new_loop(), Record::default());
    let pipes = [(); 2].map(|()| ready_pipe());
    let victim: Rc<Cell<Option<EventId>>> = Rc::default();
    let (owner, told) = (events.clone(), Rc::clone(&victim));
    add(&events, Read(pipes[0].0.as_raw_fd()), move |id| {
        let (inner_owner, told) = (owner.clone(), Rc::clone(&told));
        let deferred = add(&owner, Deferred, move |_| {
            assert!(inner_owner.release(told.get().unwrap()));
        });
        // The victim fires in the nested turn, being ready; then it is released.
        owner.wait(deferred).unwrap();
        owner.release(id);
    });
    let note = record.clone();
    victim.set(Some(add(
        &events,
        Read(pipes[1].0.as_raw_fd()),
        move |_| note.note("victim"),
    )));
    events.turns(false).unwrap();
    assert_eq!(record.take(), ["victim"]);
}

#[test]
fn callback_is_dropped_outside_the_loop() {
    /// Comes back into the loop when it goes.
    struct Owned(EventLoop, EventId, Record);
    impl Drop for Owned {
        fn drop(&mut self) {
            assert!(self.0.release(self.1));
            self.2.note("dropped");
        }
    }
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let timer = |events: &EventLoop| add(events, Timer(Duration::from_secs(3600)), |_| ());

    let guest = Owned(events.clone(), timer(&events), record.clone());
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Read(reader.as_raw_fd()), move |id| {
        owner.release(id);
        note.note("released");
        // Still there while it runs.
        assert_eq!(guest.2.count("dropped"), 0);
    });
    events.turns(false).unwrap();
    assert_eq!(record.take(), ["released", "dropped"]);

    let guest = Owned(events.clone(), timer(&events), record.clone());
    let id = add(&events, Wait(1), move |_| guest.2.note("fired"));
    events.release(id);
    assert_eq!(record.take(), ["dropped"]);
    events.turns(false).unwrap();
}

#[test]
fn loop_survives_a_callback_that_panics() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe();
    let (note, calm) = (record.clone(), RefCell::new(false));
    add(&events, Read(reader.as_raw_fd()), move |_| {
        assert!(calm.replace(true), "as the test wants it");
        note.note("read");
    });
    write(&writer);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| events.turns(true)));
    assert!(outcome.is_err());
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read"]);
    read(&reader);
    assert!(turns_until_timer(&events) <= QUIET);
}
