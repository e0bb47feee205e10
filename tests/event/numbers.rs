//! Closed numbers that the loop's own descriptors get. It runs alone, since it matters which numbers are free.

use std::fs::{File, read_dir};
use std::os::fd::AsRawFd;

use crate::support::alone::is_alone;
use crate::support::event::{Holder, QUIET, Record, add, new_loop, pipe, turns_until_timer, write};
use amrelay::event::EventKind::Read;

fn open_descriptors() -> usize {
    read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_new_poller_gets_the_numbers_that_were_closed() {
    if !is_alone(
        module_path!(),
        "a_new_poller_gets_the_numbers_that_were_closed",
    ) {
        return;
    }
    let record = Record::default();
    // The lowest numbers: the loop has higher ones, until it needs a new poller.
    let spare = File::open("/dev/null").unwrap();
    let pipes = [pipe(), pipe(), pipe()];
    let (other, other_writer) = pipe();
    let events = new_loop();
    let noting = |number, name| {
        let record = record.clone();
        add(&events, Read(number), move |_| record.note(name))
    };
    noting(other.as_raw_fd(), "other");
    let mut closed = Vec::new();
    for (reader, writer) in pipes {
        let id = noting(reader.as_raw_fd(), "closed");
        let child = Holder::of(&reader);
        drop(reader);
        // The poller reports a file that no number leads to.
        write(&writer);
        closed.push((id, child, writer));
    }
    drop(spare);
    let before = open_descriptors();
    for _ in 0..3 {
        assert!(turns_until_timer(&events) <= QUIET);
        assert!(record.take().is_empty());
    }
    assert_eq!(open_descriptors(), before, "the loop does without a poller");
    // The numbers are open again, but not the host's.
    for (id, ..) in &closed {
        let _ = events.activate(*id);
        assert!(turns_until_timer(&events) <= QUIET);
    }
    for (id, ..) in closed {
        assert!(events.release(id));
    }
    assert!(turns_until_timer(&events) <= QUIET);
    assert!(record.take().is_empty());
    write(&other_writer);
    events.turns(true).unwrap();
    assert_eq!(record.take(), ["other"]);
}
