//! The cases of Amanda's own `common-src/event-test.c`, against the loop's Rust interface. (The program itself,
//! unchanged, runs against the loop in a patched Amanda.) Its seconds are tenths here.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use crate::support::event::{add, create, new_loop};
use amrelay::event::{EventId, EventKind, EventLoop};

const SECOND: Duration = Duration::from_millis(100);
const BULK: usize = 1 << 20;

/// An event that counts down from `start` and releases itself at zero.
fn countdown(events: &EventLoop, kind: EventKind, start: usize) -> (EventId, Rc<Cell<usize>>) {
    let left = Rc::new(Cell::new(start));
    let (counter, owner) = (Rc::clone(&left), events.clone());
    let id = add(events, kind, move |id| {
        counter.set(counter.get() - 1);
        if counter.get() == 0 {
            owner.release(id);
        }
    });
    (id, left)
}

#[test]
fn test_ev_time() {
    let events = new_loop();
    let (_, left) = countdown(&events, EventKind::Timer(SECOND), 2);
    events.turns(false).unwrap();
    assert_eq!(left.get(), 0);
}

#[test]
fn test_nonblock() {
    let events = new_loop();
    let (_, left) = countdown(&events, EventKind::Timer(Duration::from_secs(3600)), 1);
    events.turns(true).unwrap();
    assert_eq!(left.get(), 1);
}

#[test]
fn test_ev_wait() {
    let events = new_loop();
    let (_, left) = countdown(&events, EventKind::Wait(4422), 2);
    events.wakeup(4422);
    assert_eq!(left.get(), 1);
    events.wakeup(4422);
    assert_eq!(left.get(), 0);
    assert_eq!(events.wakeup(4422), 0);
    events.turns(false).unwrap();
}

#[test]
fn test_ev_wait_2() {
    fn again(events: &EventLoop, left: &Rc<Cell<i32>>) {
        let (owner, counter) = (events.clone(), Rc::clone(left));
        add(events, EventKind::Wait(84), move |id| {
            counter.set(counter.get() - 1);
            owner.release(id);
            if counter.get() > 0 {
                again(&owner, &counter);
            }
        });
    }
    let events = new_loop();
    let left = Rc::new(Cell::new(2));
    again(&events, &left);
    for expected in [1, 0, 0] {
        events.wakeup(84);
        assert_eq!(left.get(), expected);
    }
}

#[test]
fn test_event_wait() {
    let events = new_loop();
    let (_, decoy) = countdown(&events, EventKind::Timer(SECOND), 300);
    let fired = Rc::new(Cell::new(false));
    let (flag, owner) = (Rc::clone(&fired), events.clone());
    let waited_for = add(&events, EventKind::Timer(2 * SECOND), move |id| {
        flag.set(true);
        owner.release(id);
    });
    events.wait(waited_for).unwrap();
    assert!(fired.get());
    assert!(decoy.get() > 0);
}

#[test]
fn test_event_wait_2() {
    let events = new_loop();
    let (_, decoy) = countdown(&events, EventKind::Timer(SECOND), 300);
    let waker = events.clone();
    add(&events, EventKind::Timer(SECOND), move |_| {
        waker.wakeup(9876);
    });
    let (waited_for, wakeups) = countdown(&events, EventKind::Wait(9876), 2);
    events.wait(waited_for).unwrap();
    assert_eq!(wakeups.get(), 0);
    assert!(decoy.get() > 0);
}

#[test]
fn test_ev_readfd() {
    let events = new_loop();
    let mut writer = Command::new("head")
        .args(["-c", &BULK.to_string(), "/dev/zero"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = RefCell::new(writer.stdout.take());
    let number = pipe.borrow().as_ref().unwrap().as_raw_fd();
    let left = Rc::new(Cell::new(BULK));
    let (owner, counter) = (events.clone(), Rc::clone(&left));
    add(&events, EventKind::Read(number), move |id| {
        let mut pipe = pipe.borrow_mut();
        let got = pipe.as_mut().unwrap().read(&mut [0; 1024]).unwrap();
        counter.set(counter.get() - got);
        if counter.get() == 0 {
            // In this order: upstream closes the descriptor before it releases the event.
            *pipe = None;
            owner.release(id);
        }
    });
    events.turns(false).unwrap();
    assert_eq!(left.get(), 0);
    assert!(writer.wait().unwrap().success());
}

fn write_until_full(pipe: &mut std::fs::File, unwritten: &Cell<usize>) {
    while unwritten.get() > 0 {
        let piece = [0; 1024];
        match pipe.write(&piece[..unwritten.get().min(1024)]) {
            Ok(put) => unwritten.set(unwritten.get() - put),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                return;
            }
        }
    }
}

#[test]
fn test_ev_writefd() {
    let events = new_loop();
    let mut reader = Command::new("wc")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe: OwnedFd = reader.stdin.take().unwrap().into();
    rustix::io::ioctl_fionbio(&pipe, true).unwrap();
    let number = pipe.as_raw_fd();
    let pipe = RefCell::new(Some(std::fs::File::from(pipe)));
    let left = Rc::new(Cell::new(BULK));
    let (owner, unwritten) = (events.clone(), Rc::clone(&left));
    add(&events, EventKind::Write(number), move |id| {
        let mut pipe = pipe.borrow_mut();
        write_until_full(pipe.as_mut().unwrap(), &unwritten);
        if unwritten.get() == 0 {
            *pipe = None;
            owner.release(id);
        }
    });
    events.turns(false).unwrap();
    let counted = reader.wait_with_output().unwrap().stdout;
    assert_eq!(String::from_utf8(counted).unwrap().trim(), BULK.to_string());
}

#[test]
fn test_read_timeout() {
    let events = new_loop();
    let (reader, _slow_writer) = crate::support::event::pipe();
    let read = create(&events, EventKind::Read(reader.as_raw_fd()), |_| {
        panic!("nothing was written");
    });
    events.activate(read).unwrap();
    let timed_out = Rc::new(Cell::new(false));
    let (owner, flag) = (events.clone(), Rc::clone(&timed_out));
    add(&events, EventKind::Timer(SECOND), move |id| {
        flag.set(true);
        owner.release(read);
        owner.release(id);
    });
    events.turns(false).unwrap();
    assert!(timed_out.get());
}
