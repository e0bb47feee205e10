//! Turns: timers, deferred events, when the loop returns.

use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::support::event::{
    QUIET, Record, add, create, new_loop, pipe, ready_pipe, turns_until_timer,
};
use amrelay::event::EventKind::{Deferred, Read, Timer, Wait};

#[test]
fn timers_come_after_descriptors_and_deferred_events_between() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let note = record.clone();
    add(&events, Timer(Duration::ZERO), move |_| note.note("timer"));
    let note = record.clone();
    add(&events, Deferred, move |_| note.note("deferred"));
    let note = record.clone();
    add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("read");
    });
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read", "deferred", "timer"]);
}

#[test]
fn timer_that_a_descriptor_released_does_not_fire() {
    let events = new_loop();
    let (reader, _writer) = ready_pipe();
    let timer = add(&events, Timer(Duration::ZERO), |_| {
        panic!("released in time")
    });
    let owner = events.clone();
    add(&events, Read(reader.as_raw_fd()), move |id| {
        owner.release(timer);
        owner.release(id);
    });
    events.turns(false).unwrap();
}

#[test]
fn timer_repeats_until_released() {
    let (events, record) = (new_loop(), Record::default());
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Timer(Duration::from_millis(5)), move |id| {
        note.note("tick");
        if note.count("tick") == 5 {
            owner.release(id);
        }
    });
    events.turns(false).unwrap();
    assert_eq!(record.take(), ["tick"; 5]);
}

#[test]
fn timer_counts_from_its_activation() {
    let (events, record) = (new_loop(), Record::default());
    let note = record.clone();
    let short = create(&events, Timer(Duration::from_millis(30)), move |_| {
        note.note("short");
    });
    let note = record.clone();
    add(&events, Timer(Duration::from_millis(100)), move |_| {
        note.note("long");
    });
    std::thread::sleep(Duration::from_millis(80));
    // Counted from its creation it would be due, before the other.
    events.activate(short).unwrap();
    events.wait(short).unwrap();
    assert_eq!(record.take(), ["long", "short"]);
}

#[test]
fn timer_that_missed_many_intervals_fires_once() {
    let interval = Duration::from_millis(40);
    let (events, record) = (new_loop(), Record::default());
    let note = record.clone();
    add(&events, Timer(interval), move |_| note.note("tick"));
    // Again if this process itself was held up for an interval.
    loop {
        std::thread::sleep(5 * interval);
        let begin = Instant::now();
        events.turns(true).unwrap();
        events.turns(true).unwrap();
        let ticks = record.take();
        if begin.elapsed() < interval {
            assert_eq!(ticks, ["tick"]);
            break;
        }
    }
}

#[test]
fn due_timers_fire_in_the_order_of_activation() {
    let (events, record) = (new_loop(), Record::default());
    for (milliseconds, name) in [(9, "a"), (0, "b"), (5, "c")] {
        let note = record.clone();
        add(
            &events,
            Timer(Duration::from_millis(milliseconds)),
            move |_| note.note(name),
        );
    }
    std::thread::sleep(Duration::from_millis(20));
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["a", "b", "c"]);
}

#[test]
fn timer_of_the_longest_interval_is_no_error() {
    let events = new_loop();
    let timer = add(&events, Timer(Duration::MAX), |_| {
        panic!("in half a trillion years")
    });
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(events.release(timer));
    events.turns(false).unwrap();
}

#[test]
fn deferred_event_fires_once_per_activation() {
    let (events, record) = (new_loop(), Record::default());
    let note = record.clone();
    let id = add(&events, Deferred, move |_| note.note("deferred"));
    // The loop does not block for want of descriptors, and the event is not active any more.
    events.turns(false).unwrap();
    events.turns(false).unwrap();
    assert_eq!(record.take(), ["deferred"]);
    events.activate(id).unwrap();
    events.activate(id).unwrap();
    events.turns(false).unwrap();
    assert_eq!(record.take(), ["deferred"]);
}

#[test]
fn deferred_event_activated_by_a_descriptor_fires_in_the_same_turn() {
    let (events, record) = (new_loop(), Record::default());
    let pipes = [(); 2].map(|()| ready_pipe());
    let note = record.clone();
    let pump = create(&events, Deferred, move |_| note.note("pump"));
    for (reader, _) in &pipes {
        let (owner, note) = (events.clone(), record.clone());
        add(&events, Read(reader.as_raw_fd()), move |_| {
            note.note("read");
            owner.activate(pump).unwrap();
        });
    }
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read", "read", "pump"]);
}

#[test]
fn deferred_event_that_defers_again_does_so_in_the_next_turn() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let note = record.clone();
    let reading = add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("read");
    });
    let (owner, note) = (events.clone(), record.clone());
    let pump = add(&events, Deferred, move |id| {
        note.note("pump");
        owner.activate(id).unwrap();
    });
    events.turns(true).unwrap();
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read", "pump", "read", "pump"]);
    events.release(reading);
    events.release(pump);
    events.turns(false).unwrap();
    assert!(record.take().is_empty());
}

#[test]
fn deactivated_deferred_event_does_not_fire() {
    let events = new_loop();
    let id = add(&events, Deferred, |_| panic!("deactivated"));
    events.deactivate(id);
    assert!(turns_until_timer(&events) <= QUIET);
}

#[test]
fn loop_returns_at_once_when_only_wait_events_are_left() {
    let events = new_loop();
    assert_eq!(events.turns(false).unwrap(), 0);
    add(&events, Wait(1), |_| panic!("nobody wakes it"));
    let (reader, _writer) = pipe();
    create(&events, Read(reader.as_raw_fd()), |_| panic!("not active"));
    assert_eq!(events.turns(false).unwrap(), 0);
    assert_eq!(events.turns(true).unwrap(), 0);
}

#[test]
fn loop_without_blocking_makes_one_turn() {
    let (events, record) = (new_loop(), Record::default());
    let (quiet, _quiet_writer) = pipe();
    add(&events, Read(quiet.as_raw_fd()), |_| {
        panic!("nothing was written")
    });
    add(&events, Timer(Duration::from_secs(3600)), |_| {
        panic!("not yet")
    });
    assert_eq!(events.turns(true).unwrap(), 1);
    let (reader, _writer) = ready_pipe();
    let note = record.clone();
    add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("read");
    });
    assert_eq!(events.turns(true).unwrap(), 1);
    assert_eq!(record.take(), ["read"]);
}

#[test]
fn run_goes_on_until_quit() {
    let (events, record) = (new_loop(), Record::default());
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Timer(Duration::from_millis(5)), move |_| {
        note.note("tick");
        if note.count("tick") == 3 {
            owner.quit();
        }
    });
    // From before the run: does not count.
    events.quit();
    events.run().unwrap();
    assert_eq!(record.take(), ["tick"; 3]);
}

#[test]
fn run_does_not_return_when_it_has_nothing_to_do() {
    let (sender, receiver) = std::sync::mpsc::channel();
    // Stays behind, blocked in its poll, until the test program ends.
    std::thread::spawn(move || {
        let events = new_loop();
        sender.send("begins").unwrap();
        events.run().unwrap();
        sender.send("has returned").unwrap();
    });
    assert_eq!(receiver.recv().unwrap(), "begins");
    let quiet = Duration::from_millis(200);
    assert!(
        receiver.recv_timeout(quiet).is_err(),
        "the run has returned"
    );
}

#[test]
fn quit_ends_nested_runs_together() {
    let (events, record) = (new_loop(), Record::default());
    let (owner, note) = (events.clone(), record.clone());
    add(&events, Timer(Duration::from_millis(5)), move |_| {
        let quitter = owner.clone();
        add(&owner, Timer(Duration::from_millis(5)), move |_| {
            quitter.quit();
        });
        owner.run().unwrap();
        note.note("inner run");
    });
    events.run().unwrap();
    assert_eq!(record.take(), ["inner run"]);
}

#[test]
fn signal_does_not_end_a_turn() {
    // epoll_wait(2) returns with EINTR after a stop and a continuation, handler or not; see signal(7).
    let events = new_loop();
    let own = rustix::process::getpid().as_raw_nonzero();
    let script = format!("kill -STOP {own}; kill -CONT {own}");
    let mut child = std::process::Command::new("sh")
        .args(["-c", &script])
        .spawn()
        .unwrap();
    let fired = Rc::new(Cell::new(0));
    let (owner, counter) = (events.clone(), Rc::clone(&fired));
    add(&events, Timer(Duration::from_millis(100)), move |id| {
        counter.set(counter.get() + 1);
        owner.release(id);
    });
    events.turns(false).unwrap();
    assert_eq!(fired.get(), 1);
    assert!(child.wait().unwrap().success());
}
