//! Events on descriptors: who fires, in which order, and what epoll makes hard.

use std::cell::Cell;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use crate::support::event::{
    QUIET, Record, add, create, duplicate_at, new_loop, pipe, read, ready_pipe, turns_until_timer,
    write,
};
use amrelay::event::EventKind::{Read, Write};
use rustix::net::{SendFlags, send};

#[test]
fn several_events_on_one_descriptor_fire_each() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let ids = ["first", "second", "third"].map(|name| {
        let record = record.clone();
        add(&events, Read(reader.as_raw_fd()), move |_| {
            record.note(name);
        })
    });
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["first", "second", "third"]);

    events.release(ids[1]);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["first", "third"]);

    read(&reader);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
}

#[test]
fn read_and_write_on_one_descriptor_are_told_apart() {
    let (events, record) = (new_loop(), Record::default());
    let (here, there) = UnixStream::pair().unwrap();
    let (here, there) = (OwnedFd::from(here), OwnedFd::from(there));
    let note = record.clone();
    add(&events, Read(here.as_raw_fd()), move |_| note.note("read"));
    let note = record.clone();
    let writing = add(&events, Write(here.as_raw_fd()), move |_| {
        note.note("write");
    });

    events.turns(true).unwrap();
    assert_eq!(record.take(), ["write"]);
    write(&there);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read", "write"]);
    events.deactivate(writing);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read"]);
    read(&here);
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
    events.activate(writing).unwrap();
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["write"]);
}

#[test]
fn hang_up_alone_fires_read() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe();
    let note = record.clone();
    add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("read");
    });
    drop(writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read"]);
    assert_eq!(read(&reader), 0);
}

#[test]
fn departure_of_the_reader_fires_write() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, writer) = pipe();
    while rustix::io::write(&writer, &[0; 4096]).is_ok() {}
    let note = record.clone();
    add(&events, Write(writer.as_raw_fd()), move |_| {
        note.note("write");
    });
    events.turns(true).unwrap();
    assert!(record.take().is_empty());
    drop(reader);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["write"]);
}

#[test]
fn hang_up_nobody_waits_for_does_not_spin() {
    let events = new_loop();
    let (reader, writer) = pipe();
    let reading = add(&events, Read(reader.as_raw_fd()), |_| {
        panic!("not active any more")
    });
    events.deactivate(reading);
    drop(writer);
    assert!(turns_until_timer(&events) <= QUIET);
}

#[test]
fn callbacks_come_in_the_order_of_activation() {
    let (events, record) = (new_loop(), Record::default());
    let pipes = [(); 5].map(|()| pipe());
    let ids = [4, 0, 3, 1, 2].map(|number: usize| {
        let record = record.clone();
        let name = ["0", "1", "2", "3", "4"][number];
        (
            number,
            create(&events, Read(pipes[number].0.as_raw_fd()), move |_| {
                record.note(name);
            }),
        )
    });
    for wanted in [2, 4, 1, 0, 3] {
        let &(_, id) = ids.iter().find(|&&(number, _)| number == wanted).unwrap();
        events.activate(id).unwrap();
    }
    // epoll lists them in the order in which they became ready.
    for number in [3, 0, 2, 4, 1] {
        write(&pipes[number].1);
    }
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["2", "4", "1", "0", "3"]);
}

#[test]
fn activating_twice_fires_once() {
    let (events, record) = (new_loop(), Record::default());
    let (reader, _writer) = ready_pipe();
    let note = record.clone();
    let id = add(&events, Read(reader.as_raw_fd()), move |_| {
        note.note("read");
    });
    events.activate(id).unwrap();
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["read"]);
    events.deactivate(id);
    events.turns(false).unwrap();
    assert!(record.take().is_empty());
}

#[test]
fn released_or_deactivated_earlier_in_the_turn_does_not_fire() {
    let (events, record) = (new_loop(), Record::default());
    let pipes = [(); 4].map(|()| ready_pipe());
    let victims: Rc<Cell<Option<[_; 3]>>> = Rc::default();
    let (owner, note, told) = (events.clone(), record.clone(), Rc::clone(&victims));
    add(&events, Read(pipes[0].0.as_raw_fd()), move |id| {
        note.note("first");
        let [released, deactivated, renewed] = told.get().unwrap();
        owner.release(released);
        owner.deactivate(deactivated);
        owner.deactivate(renewed);
        owner.activate(renewed).unwrap();
        owner.release(id);
    });
    victims.set(Some([1, 2, 3].map(|number: usize| {
        let note = record.clone();
        let name = ["", "released", "deactivated", "renewed"][number];
        add(&events, Read(pipes[number].0.as_raw_fd()), move |_| {
            note.note(name);
        })
    })));
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["first"]);
    // What was activated anew is ready in the next turn as any other.
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["renewed"]);
}

#[test]
fn activation_refuses_a_number_that_is_not_open() {
    let events = new_loop();
    for number in [-1, 940] {
        for kind in [Read(number), Write(number)] {
            let id = create(&events, kind, |_| panic!("not open"));
            let error = events.activate(id).unwrap_err();
            assert_eq!(
                error.raw_os_error(),
                Some(rustix::io::Errno::BADF.raw_os_error())
            );
        }
    }
    // Nothing is left active by it.
    events.turns(false).unwrap();

    let (file, _writer) = ready_pipe();
    let id = create(&events, Read(940), |_| ());
    assert!(events.activate(id).is_err());
    let _open = duplicate_at(&file, 940);
    events.activate(id).unwrap();
    assert!(events.release(id));
    assert!(!events.release(id));
    assert_eq!(
        events.activate(id).unwrap_err().kind(),
        std::io::ErrorKind::NotFound
    );
}

#[test]
fn what_epoll_refuses_is_ready_in_every_turn() {
    let (events, record) = (new_loop(), Record::default());
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap();
    let regular = tempfile::tempfile().unwrap();
    let (quiet, _writer) = pipe();
    add(&events, Read(quiet.as_raw_fd()), |_| {
        panic!("nothing was written")
    });
    let kinds = [
        ("null read", Read(null.as_raw_fd())),
        ("null write", Write(null.as_raw_fd())),
        ("file read", Read(regular.as_raw_fd())),
    ];
    let ids = kinds.map(|(name, kind)| {
        let note = record.clone();
        add(&events, kind, move |_| note.note(name))
    });
    let names = kinds.map(|(name, _)| name);
    for _ in 0..3 {
        events.turns(true).unwrap();
        assert_eq!(record.take(), names);
    }
    // Timers get their turn beside them.
    let turns = turns_until_timer(&events);
    for name in names {
        assert_eq!(record.count(name) as u64, turns);
    }
    record.take();
    for id in ids {
        events.deactivate(id);
    }
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
}

#[test]
fn urgent_data_neither_fires_read_nor_spins() {
    let (events, record) = (new_loop(), Record::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = OwnedFd::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let here = OwnedFd::from(listener.accept().unwrap().0);
    let note = record.clone();
    add(&events, Read(here.as_raw_fd()), move |_| note.note("read"));
    for _ in 0..2 {
        send(&there, b"!", SendFlags::OOB).unwrap();
        assert!(turns_until_timer(&events) <= QUIET);
        assert!(record.take().is_empty());
    }
    // The stream itself is whole, whatever stood between its bytes.
    send(&there, b"ab", SendFlags::empty()).unwrap();
    send(&there, b"!", SendFlags::OOB).unwrap();
    send(&there, b"cd", SendFlags::empty()).unwrap();
    let mut stream = Vec::new();
    while stream.len() < 4 {
        events.turns(true).unwrap();
        if !record.take().is_empty() {
            let mut piece = [0; 16];
            let got = rustix::io::read(&here, &mut piece).unwrap();
            stream.extend_from_slice(&piece[..got]);
        }
    }
    assert_eq!(stream, b"abcd");
}

#[test]
fn many_descriptors_are_all_served_in_one_turn() {
    let (events, record) = (new_loop(), Record::default());
    let pipes: Vec<_> = (0..200).map(|_| pipe()).collect();
    for (reader, _) in &pipes {
        let note = record.clone();
        add(&events, Read(reader.as_raw_fd()), move |_| {
            note.note("read");
        });
    }
    assert!(turns_until_timer(&events) <= QUIET);
    for (_, writer) in &pipes {
        write(writer);
    }
    events.turns(true).unwrap();
    assert_eq!(record.count("read"), pipes.len());
}
