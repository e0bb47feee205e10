//! What goes into the sources comes out of the connection: over every sort of connection, pipe size and way of moving.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::fd::OwnedFd;

use crate::support::relay::*;
use crate::support::sandbox::{Refusal, refusing};
use amrelay::event::EventLoop;
use amrelay::relay::{Error, LinkKind};
use amrelay::stats::Method;

const LENGTHS: [usize; 8] = [0, 1, 4096, 32_769, 262_145, 1_000_003, 2_500_000, 3_000_001];

/// Sends a stream of each length at once and compares what arrives.
fn carry(wire: Wire, source_pipe: usize, step: usize) {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(wire);
    let receiver = read_in_thread(reading, step);
    let link = link(&event_loop, writing, LinkKind::Framed);
    let codes = Codes::default();
    let mut expected = BTreeMap::new();
    let mut streams = Vec::new();
    let mut writers = Vec::new();
    for (handle, length) in (500_u32..).zip(LENGTHS) {
        let (source, end) = pipe(source_pipe);
        streams.push(start(&link, source, handle, handle % 2 == 0, &codes));
        writers.push(write_in_thread(end, data(handle, length)));
        expected.insert(handle, data(handle, length));
    }
    event_loop.turns(false).unwrap();
    for writer in writers {
        writer.join().unwrap().unwrap();
    }
    assert_eq!(codes.get(), [0; LENGTHS.len()]);
    let passed: Vec<u64> = streams.iter().map(|stream| stream.stats().bytes).collect();
    assert_eq!(passed, LENGTHS.map(|length| length as u64));
    drop(link);
    let frames = frames_of(&receiver.join().unwrap());
    assert!(
        ended_streams(&frames) == expected,
        "{wire:?}: the contents differ"
    );
    for (handle, payload) in &frames {
        let largest = if handle % 2 == 0 { 256 } else { 32 } * 1024;
        assert!(
            payload.len() <= largest,
            "a frame of {} bytes",
            payload.len()
        );
    }
}

#[test]
fn framed_streams_arrive_whole_over_every_connection() {
    for wire in WIRES {
        carry(wire, 65536, 1 << 16);
    }
}

#[test]
fn framed_streams_arrive_whole_from_every_pipe() {
    for size in [4096, 65536, 1 << 20] {
        carry(Wire::Tcp, size, 1 << 16);
        carry(Wire::Pipe(65536), size, 1 << 16);
    }
}

#[test]
fn a_reader_of_few_bytes_at_a_time_gets_everything() {
    carry(Wire::SocketPair, 1 << 20, 777);
    carry(Wire::Pipe(4096), 1 << 20, 777);
}

fn carry_raw(wire: Wire, length: usize, bulk: bool) {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(wire);
    let receiver = read_in_thread(reading, 1 << 16);
    let link = link(&event_loop, writing, LinkKind::Raw);
    let codes = Codes::default();
    let (source, end) = pipe(65536);
    let stream = start(&link, source, 9, bulk, &codes);
    let writer = write_in_thread(end, data(9, length));
    event_loop.turns(false).unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(codes.get(), [0]);
    assert_eq!(stream.stats().bytes, length as u64);
    drop(link);
    assert!(receiver.join().unwrap() == data(9, length), "{wire:?}");
}

#[test]
fn a_raw_stream_arrives_as_it_is() {
    for wire in WIRES {
        for length in [0, 1, 3_000_001] {
            carry_raw(wire, length, true);
            carry_raw(wire, length, false);
        }
    }
}

#[test]
fn a_raw_link_takes_one_stream_and_no_control_frame() {
    let event_loop = EventLoop::new().unwrap();
    let (writing, _reading) = connection(Wire::SocketPair);
    let link = link(&event_loop, writing, LinkKind::Raw);
    let codes = Codes::default();
    let (first, _first_end) = pipe(4096);
    let (second, _second_end) = pipe(4096);
    let _stream = start(&link, first, 1, false, &codes);
    let refused = link.start(stream_options(second, 2, false, &codes));
    assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
    assert!(matches!(link.send(1, b"x"), Err(Error::State(_))));
}

/// Sends 700 000 bytes that are all in the pipe from the start; says how they were moved.
fn method_of(wire: Wire, kind: LinkKind, bulk: bool, tapped: bool) -> Method {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(wire);
    let receiver = read_in_thread(reading, 1 << 16);
    let framed = matches!(kind, LinkKind::Framed);
    let link = link(&event_loop, writing, kind);
    let codes = Codes::default();
    let bytes = data(1, 700_000);
    let mut options = stream_options(filled_pipe(1 << 20, &bytes), 1, bulk, &codes);
    if tapped {
        options.tap = Some(std::rc::Rc::new(|_| {}));
    }
    let stream = link.start(options).unwrap();
    event_loop.turns(false).unwrap();
    drop(link);
    let arrived = receiver.join().unwrap();
    if framed {
        assert!(ended_streams(&frames_of(&arrived))[&1] == bytes);
    } else {
        assert!(arrived == bytes);
    }
    stream.stats().method
}

#[test]
fn bulk_streams_are_spliced_and_others_copied() {
    for wire in WIRES {
        for kind in [LinkKind::Framed, LinkKind::Raw] {
            assert_eq!(method_of(wire, kind.clone(), true, false), Method::Splice);
            assert_eq!(method_of(wire, kind.clone(), false, false), Method::Copy);
            assert_eq!(method_of(wire, kind, true, true), Method::Copy);
        }
    }
}

#[test]
fn a_source_that_is_no_pipe_is_copied() {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::Tcp);
    let receiver = read_in_thread(reading, 1 << 16);
    let link = link(&event_loop, writing, LinkKind::Framed);
    let codes = Codes::default();
    let (end, source) = connection(Wire::SocketPair);
    let socket = start(&link, source, 1, true, &codes);
    let writer = write_in_thread(end, data(1, 1_000_000));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("source");
    fs::write(&path, data(2, 1_000_000)).unwrap();
    let file = start(
        &link,
        fs::File::open(&path).unwrap().into(),
        2,
        true,
        &codes,
    );
    event_loop.turns(false).unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(
        (socket.stats().method, file.stats().method),
        (Method::Copy, Method::Copy)
    );
    drop(link);
    let ended = ended_streams(&frames_of(&receiver.join().unwrap()));
    assert!(ended[&1] == data(1, 1_000_000) && ended[&2] == data(2, 1_000_000));
}

/// Sends a stream that could be spliced, over a connection that it cannot be spliced to; what it has carried.
fn carry_by_copying(connection: OwnedFd) -> Vec<u8> {
    let event_loop = EventLoop::new().unwrap();
    let link = link(&event_loop, connection, LinkKind::Framed);
    let codes = Codes::default();
    let bytes = data(1, 1_000_000);
    let stream = start(&link, filled_pipe(1 << 20, &bytes), 1, true, &codes);
    event_loop.turns(false).unwrap();
    assert_eq!(codes.get(), [0]);
    assert_eq!(stream.stats().method, Method::Copy);
    bytes
}

/// A file opened to append refuses splice(2) after the frame's header is out: the frame is completed by copying.
#[test]
fn a_connection_that_refuses_to_be_spliced_to_is_copied_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("link");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    let bytes = carry_by_copying(file.into());
    let frames = frames_of(&fs::read(&path).unwrap());
    assert!(ended_streams(&frames)[&1] == bytes);
}

/// The same where the system has no splice(2) or a sandbox forbids it.
#[test]
fn a_refused_splice_is_done_without() {
    for errno in [libc::ENOSYS, libc::EPERM, libc::EACCES] {
        refusing(&[Refusal::of(libc::SYS_splice, errno)], || {
            let (writing, reading) = connection(Wire::Tcp);
            let receiver = read_in_thread(reading, 1 << 16);
            let bytes = carry_by_copying(writing);
            let frames = frames_of(&receiver.join().unwrap());
            assert!(ended_streams(&frames)[&1] == bytes);
        });
    }
}

#[test]
fn many_streams_share_one_connection() {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::Tcp);
    let receiver = read_in_thread(reading, 1 << 16);
    let link = link(&event_loop, writing, LinkKind::Framed);
    let codes = Codes::default();
    let streams: Vec<_> = (0..100)
        .map(|handle| {
            let bytes = data(handle, 60_000);
            start(
                &link,
                filled_pipe(65536, &bytes),
                handle,
                handle % 3 == 0,
                &codes,
            )
        })
        .collect();
    event_loop.turns(false).unwrap();
    assert_eq!(codes.get(), vec![0; streams.len()]);
    drop(link);
    let ended = ended_streams(&frames_of(&receiver.join().unwrap()));
    assert_eq!(ended.len(), 100);
    for (handle, bytes) in ended {
        assert!(bytes == data(handle, 60_000), "stream {handle}");
    }
}
