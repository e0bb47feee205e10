//! A process that may not use more memory: what needed it ends, and nothing else.

use std::os::fd::OwnedFd;

use crate::support::alone::is_alone;
use crate::support::memory::*;
use crate::support::relay::*;
use amrelay::event::EventLoop;
use amrelay::relay::frame::MAX_FRAME;
use amrelay::relay::{Error, Link, LinkKind, LinkOptions, Sink, SinkOptions};
use amrelay::sys::Descriptor;

/// What the process may use from now on.
const ROOM: u64 = 48 * 1024 * 1024;
/// More than there is room for, at [`MAX_FRAME`] each.
const MANY: usize = 40;
/// Links that take frames of any size and whose peers read nothing, and those peers.
fn stalled_links(event_loop: &EventLoop, errors: &Codes) -> Vec<(Link, OwnedFd)> {
    let stalled = |_| {
        let (writing, reading) = connection(Wire::Pipe(4096));
        let options = LinkOptions {
            frame_size: Some(MAX_FRAME),
            on_error: Some(errors.on_error()),
            ..link_options(writing, LinkKind::Framed)
        };
        (Link::new(event_loop, options).unwrap(), reading)
    };
    (0..MANY).map(stalled).collect()
}

/// A source with bytes, of which nobody knows how many it may hold.
fn socket_with(bytes: &[u8]) -> (OwnedFd, OwnedFd) {
    let (writing, reading) = connection(Wire::SocketPair);
    assert_eq!(rustix::io::write(&writing, bytes), Ok(bytes.len()));
    (reading, writing)
}

/// The loop and its links do their work as ever.
fn expect_unharmed(event_loop: &EventLoop) {
    let (writing, reading) = connection(Wire::SocketPair);
    let link = link(event_loop, writing, LinkKind::Framed);
    let codes = Codes::default();
    let stream = start(&link, filled_pipe(65536, b"alive"), 1, false, &codes);
    event_loop.turns(true).unwrap();
    event_loop.turns(true).unwrap();
    assert_eq!(codes.get(), [0]);
    drop((stream, link));
    let mut receiver = Receiver::default();
    assert!(receiver.drain(&reading));
    assert_eq!(receiver.frames, [(1, b"alive".to_vec()), (1, vec![])]);
}

fn is_out_of_memory(error: &Error) -> bool {
    matches!(error, Error::System(error) if error.raw_os_error() == Some(libc::ENOMEM))
}

/// Some had room, some had not.
fn expect_some(without_memory: usize) {
    assert!(
        0 < without_memory && without_memory < MANY,
        "{without_memory}"
    );
}

#[test]
fn streams_end_where_memory_is_short() {
    if !is_alone(module_path!(), "streams_end_where_memory_is_short") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let errors = Codes::default();
    let links = stalled_links(&event_loop, &errors);
    let sources: Vec<_> = links
        .iter()
        .map(|_| socket_with(&vec![7; 100_000]))
        .collect();
    limit_memory(ROOM);
    let (mut streams, mut ends) = (Vec::new(), Vec::new());
    for ((link, _), (source, _)) in links.iter().zip(&sources) {
        let codes = Codes::default();
        let source = source.try_clone().unwrap();
        streams.push(start(link, source, 1, true, &codes));
        ends.push(codes);
    }
    settle(&event_loop);
    let ended: Vec<_> = ends
        .iter()
        .map(Codes::get)
        .filter(|codes| !codes.is_empty())
        .collect();
    expect_some(ended.len());
    assert!(ended.iter().all(|codes| *codes == [-libc::ENOMEM]));
    assert_eq!(errors.get(), []);
    expect_unharmed(&event_loop);
}

#[test]
fn sinks_end_where_memory_is_short() {
    if !is_alone(module_path!(), "sinks_end_where_memory_is_short") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let bytes = vec![7; MAX_FRAME];
    let pipes: Vec<_> = (0..MANY).map(|_| pipe(4096)).collect();
    limit_memory(ROOM);
    let mut sinks = Vec::new();
    for (_, writing) in &pipes {
        let codes = Codes::default();
        let options = SinkOptions {
            descriptor: Descriptor::from(writing.try_clone().unwrap()),
            high_water: None,
            low_water: None,
            on_resume: None,
            on_end: Some(codes.callback()),
        };
        let sink = Sink::new(&event_loop, options).unwrap();
        let pushed = sink.push(&bytes);
        sinks.push((sink, codes, pushed));
    }
    settle(&event_loop);
    let failed = sinks.iter().filter(|(.., pushed)| pushed.is_err());
    expect_some(failed.count());
    for (sink, codes, pushed) in &sinks {
        match pushed {
            Ok(paused) => assert!(*paused && codes.get().is_empty()),
            Err(error) => {
                assert!(is_out_of_memory(error));
                assert_eq!(codes.get(), [-libc::ENOMEM]);
                assert_eq!(sink.queued_bytes(), 0);
            }
        }
    }
    expect_unharmed(&event_loop);
}

#[test]
fn packets_are_refused_where_memory_is_short() {
    if !is_alone(module_path!(), "packets_are_refused_where_memory_is_short") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let errors = Codes::default();
    let links = stalled_links(&event_loop, &errors);
    let bytes = vec![7; MAX_FRAME];
    limit_memory(ROOM);
    let refused = links.iter().filter_map(|(link, _)| {
        let error = link.send(1, &bytes).err()?;
        assert!(is_out_of_memory(&error));
        assert_eq!(link.queued_bytes(), 0);
        link.send(1, b"little").unwrap();
        Some(error)
    });
    expect_some(refused.count());
    settle(&event_loop);
    assert_eq!(errors.get(), []);
    expect_unharmed(&event_loop);
}

#[test]
fn a_frame_that_cannot_be_taken_out_of_its_pipe_fails_its_link_alone() {
    if !is_alone(
        module_path!(),
        "a_frame_that_cannot_be_taken_out_of_its_pipe_fails_its_link_alone",
    ) {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let errors = Codes::default();
    let mut links = stalled_links(&event_loop, &errors);
    let source = filled_pipe(1 << 20, &vec![7; 1 << 20]);
    let codes = Codes::default();
    let stream = start(&links[0].0, source, 1, true, &codes);
    settle(&event_loop);
    limit_memory(ROOM);
    let hoard = hoard(256 * 1024);
    // The rest of its frame is in the pipe, and the link needs it to complete the frame.
    drop(stream);
    settle(&event_loop);
    assert_eq!(errors.get(), [-libc::ENOMEM]);
    drop(hoard);
    links.remove(0);
    expect_unharmed(&event_loop);
}
