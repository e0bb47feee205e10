//! How large frames and pipes are: by themselves, and as the host wants them.

use std::rc::Rc;
use std::thread;
use std::time::Duration;

use crate::support::relay::*;
use amrelay::event::EventLoop;
use amrelay::relay::frame::MAX_FRAME;
use amrelay::relay::{Error, Link, LinkKind, LinkOptions};
use amrelay::stats::Method;

/// The payloads of the frames in which a full pipe of a megabyte arrives, and how its bytes were moved. The peer reads
/// `step` bytes at a time and sleeps after each.
fn frames(
    change: impl FnOnce(&mut LinkOptions),
    tapped: bool,
    step: usize,
    sleep: Duration,
) -> (Vec<usize>, Method) {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::Pipe(65536));
    let receiver = thread::spawn(move || {
        let mut received = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            match rustix::io::read(&reading, &mut buffer).unwrap() {
                0 => return received,
                count => received.extend_from_slice(&buffer[..count]),
            }
            thread::sleep(sleep);
        }
    });
    let mut options = link_options(writing, LinkKind::Framed);
    change(&mut options);
    let link = Link::new(&event_loop, options).unwrap();
    let codes = Codes::default();
    let bytes = data(1, 1 << 20);
    let mut options = stream_options(filled_pipe(1 << 20, &bytes), 1, true, &codes);
    if tapped {
        options.tap = Some(Rc::new(|_| {}));
    }
    let stream = link.start(options).unwrap();
    event_loop.turns(false).unwrap();
    drop(link);
    let frames = frames_of(&receiver.join().unwrap());
    assert!(ended_streams(&frames)[&1] == bytes);
    let lengths = frames.iter().map(|(_, payload)| payload.len()).collect();
    (lengths, stream.stats().method)
}

#[test]
fn the_host_chooses_the_largest_frame() {
    for (tapped, method) in [(false, Method::Splice), (true, Method::Copy)] {
        for wanted in [40_000, 100_000, 1 << 19] {
            let change = |options: &mut LinkOptions| options.frame_size = Some(wanted);
            let (lengths, moved) = frames(change, tapped, 1 << 16, Duration::ZERO);
            assert_eq!(lengths.iter().max(), Some(&wanted));
            assert_eq!(moved, method);
        }
    }
}

#[test]
fn frames_that_no_receiver_takes_are_refused() {
    for wanted in [0, MAX_FRAME + 1] {
        let event_loop = EventLoop::new().unwrap();
        let (writing, _reading) = connection(Wire::SocketPair);
        let mut options = link_options(writing, LinkKind::Framed);
        options.frame_size = Some(wanted);
        let refused = Link::new(&event_loop, options);
        assert!(matches!(refused, Err(Error::Limit(_))), "{refused:?}");
    }
}

#[test]
fn frames_get_smaller_where_the_peer_is_slow() {
    let (lengths, _) = frames(|_| {}, false, 1 << 15, Duration::from_millis(25));
    let (first, rest) = lengths.split_first().unwrap();
    assert_eq!(*first, 1 << 18);
    // The last but one is the last that carries bytes.
    let settled = &rest[4..rest.len() - 2];
    assert!(settled.len() > 5, "{lengths:?}");
    assert!(
        settled.iter().all(|&length| length == 1 << 15),
        "{lengths:?}"
    );
}

#[test]
fn the_host_chooses_the_largest_pipe() {
    let event_loop = EventLoop::new().unwrap();
    for (wanted, expected) in [(None, 1 << 20), (Some(1 << 19), 1 << 19), (Some(1), 65536)] {
        let (writing, _reading) = connection(Wire::SocketPair);
        let mut options = link_options(writing, LinkKind::Framed);
        options.pipe_size = wanted;
        let link = Link::new(&event_loop, options).unwrap();
        let (source, writer) = pipe(65536);
        let _stream = start(&link, source, 1, true, &Codes::default());
        assert_eq!(rustix::pipe::fcntl_getpipe_size(&writer), Ok(expected));
    }
}
