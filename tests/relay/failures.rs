//! One side stops, or goes: the others go on, memory stays bounded, everybody is told once.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::rc::Rc;

use crate::support::alone::path;
use crate::support::relay::outbound::ONE_FRAME;
use crate::support::relay::*;
use amrelay::event::{EventKind, EventLoop};
use amrelay::relay::{Error, Link, LinkKind, LinkOptions, Sink, SinkOptions, Stream};
use amrelay::sys::Descriptor;

/// Connections that take less than the sources of these tests hold.
const SMALL_WIRES: [Wire; 3] = [Wire::SocketPair, Wire::Pipe(65536), Wire::Pipe(4096)];

#[test]
fn a_stalled_connection_holds_back_only_its_own_streams() {
    for wire in WIRES {
        let event_loop = EventLoop::new().unwrap();
        let (stalled_writing, stalled_reading) = connection(wire);
        let (flowing_writing, flowing_reading) = connection(wire);
        let stalled_link = link(&event_loop, stalled_writing, LinkKind::Framed);
        let flowing_link = link(&event_loop, flowing_writing, LinkKind::Framed);
        let (stalled, flowing) = (Codes::default(), Codes::default());
        let mut streams = Vec::new();
        let mut writers = Vec::new();
        let length = 6_000_000;
        for (link, codes) in [(&stalled_link, &stalled), (&flowing_link, &flowing)] {
            for handle in 0..3 {
                let (source, end) = pipe(65536);
                streams.push(start(link, source, handle, handle != 1, codes));
                writers.push(write_in_thread(end, data(handle, length)));
            }
        }
        let flowing_receiver = read_in_thread(flowing_reading, 1 << 16);
        turn_until(&event_loop, || {
            assert!(stalled_link.queued_bytes() <= ONE_FRAME);
            assert!(flowing_link.queued_bytes() <= ONE_FRAME);
            flowing.get().len() == 3
        });
        assert_eq!(stalled.get(), [], "{wire:?}");
        drop(flowing_link);
        for (handle, bytes) in ended_streams(&frames_of(&flowing_receiver.join().unwrap())) {
            assert!(bytes == data(handle, length));
        }
        let stalled_receiver = read_in_thread(stalled_reading, 1 << 16);
        event_loop.turns(false).unwrap();
        assert_eq!(stalled.get(), [0, 0, 0]);
        drop(stalled_link);
        for (handle, bytes) in ended_streams(&frames_of(&stalled_receiver.join().unwrap())) {
            assert!(
                bytes == data(handle, length),
                "{wire:?}: nothing was lost by the stall"
            );
        }
        for writer in writers {
            writer.join().unwrap().unwrap();
        }
    }
}

#[test]
fn a_stalled_connection_lets_the_loop_sleep() {
    for wire in WIRES {
        let event_loop = EventLoop::new().unwrap();
        let (writing, _reading) = connection(wire);
        let link = link(&event_loop, writing, LinkKind::Framed);
        let codes = Codes::default();
        let streams: Vec<(Stream, _)> = (0..4)
            .map(|handle| {
                let (source, end) = pipe(65536);
                let stream = start(&link, source, handle, handle % 2 == 0, &codes);
                (stream, write_in_thread(end, data(handle, 5_000_000)))
            })
            .collect();
        let pause = event_loop.create(
            EventKind::Timer(std::time::Duration::from_millis(100)),
            Rc::new(|| {}),
        );
        event_loop.activate(pause).unwrap();
        // The first firing leaves time for the connection to fill.
        event_loop.wait(pause).unwrap();
        let turns = event_loop.wait(pause).unwrap();
        assert!(turns <= 10, "{wire:?}: {turns} turns with nothing to do");
        drop(link);
        for (stream, writer) in streams {
            drop(stream);
            assert_eq!(
                writer.join().unwrap().unwrap_err().kind(),
                io::ErrorKind::BrokenPipe
            );
        }
    }
}

#[test]
fn a_reader_that_goes_ends_every_stream_once_and_their_writers_too() {
    for wire in WIRES {
        for kind in [LinkKind::Framed, LinkKind::Raw] {
            let event_loop = EventLoop::new().unwrap();
            let (writing, reading) = connection(wire);
            let raw = matches!(kind, LinkKind::Raw);
            let (errors, closed) = (Codes::default(), Count::default());
            let mut options = link_options(writing, kind);
            options.on_error = Some(errors.on_error());
            options.on_closed = Some(closed.callback());
            let link = Link::new(&event_loop, options).unwrap();
            let all: Vec<(Stream, Codes, _)> = (0..if raw { 1 } else { 4 })
                .map(|handle| {
                    let (source, end) = pipe(65536);
                    let codes = Codes::default();
                    let stream = start(&link, source, handle, handle % 2 == 0, &codes);
                    (stream, codes, write_in_thread(end, data(handle, 8_000_000)))
                })
                .collect();
            turn_until(&event_loop, || {
                rustix::io::ioctl_fionread(&reading).unwrap() >= 1000
            });
            drop(reading);
            event_loop.turns(false).unwrap();
            let code = errors.get();
            assert!(
                code == [-libc::EPIPE] || code == [-libc::ECONNRESET],
                "{wire:?}: {code:?}"
            );
            for (_stream, codes, writer) in all {
                assert_eq!(codes.get(), code, "{wire:?}");
                let error = writer.join().unwrap().unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            }
            assert!(matches!(
                link.send(1, b"late"),
                Err(Error::System(_) | Error::State(_))
            ));
            let refused = link.start(stream_options(pipe(4096).0, 1, false, &Codes::default()));
            assert!(matches!(refused, Err(Error::System(_))), "{refused:?}");
            link.close();
            event_loop.turns(false).unwrap();
            assert_eq!((errors.get().len(), closed.get()), (1, 1));
        }
    }
}

#[test]
fn a_writer_that_goes_in_the_middle_ends_its_stream_after_its_bytes() {
    for wire in SMALL_WIRES {
        let event_loop = EventLoop::new().unwrap();
        let (writing, reading) = connection(wire);
        let link = link(&event_loop, writing, LinkKind::Framed);
        let codes = Codes::default();
        let bytes = data(5, 600_000);
        let (source, writer) = pipe(1 << 20);
        let mut writer = File::from(writer);
        writer.write_all(&bytes).unwrap();
        let _stream = start(&link, source, 5, true, &codes);
        // A frame is begun, and stays unfinished because nobody reads.
        settle(&event_loop);
        assert_eq!(codes.get(), []);
        drop(writer);
        settle(&event_loop);
        let receiver = read_in_thread(reading, 1 << 16);
        event_loop.turns(false).unwrap();
        assert_eq!(codes.get(), [0]);
        drop(link);
        let ended = ended_streams(&frames_of(&receiver.join().unwrap()));
        assert!(ended[&5] == bytes, "{wire:?}");
    }
}

/// Stops a stream while a frame of it is under way, by closing the link or by dropping the stream alone. What arrived.
fn stop_in_mid_frame(wire: Wire, close_link: bool) -> Vec<Frame> {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(wire);
    let mut options = link_options(writing, LinkKind::Framed);
    let (errors, closed, codes) = (Codes::default(), Count::default(), Codes::default());
    options.on_error = Some(errors.on_error());
    options.on_closed = Some(closed.callback());
    let link = Link::new(&event_loop, options).unwrap();
    let stream = start(
        &link,
        filled_pipe(1 << 20, &data(5, 1 << 20)),
        5,
        true,
        &codes,
    );
    settle(&event_loop);
    assert_eq!(codes.get(), []);
    if close_link {
        link.send(7, b"last words").unwrap();
        link.close();
        assert_eq!(codes.get(), [-libc::ECANCELED]);
        drop(stream);
        assert_eq!(closed.get(), 0, "something is left to be written");
        let receiver = read_in_thread(reading, 1 << 16);
        event_loop.turns(false).unwrap();
        assert_eq!((closed.get(), errors.get()), (1, vec![]));
        frames_of(&receiver.join().unwrap())
    } else {
        drop(stream);
        link.send(7, b"last words").unwrap();
        let receiver = read_in_thread(reading, 1 << 16);
        event_loop.turns(false).unwrap();
        assert_eq!(codes.get(), []);
        drop(link);
        frames_of(&receiver.join().unwrap())
    }
}

#[test]
fn a_stream_stopped_in_the_middle_of_a_frame_leaves_it_whole() {
    for wire in SMALL_WIRES {
        for close_link in [false, true] {
            let frames = stop_in_mid_frame(wire, close_link);
            let (last, frames) = frames.split_last().unwrap();
            assert_eq!(*last, (7, b"last words".to_vec()));
            let bytes = payloads(frames);
            assert!(
                !bytes.is_empty() && bytes.len() < 1 << 20,
                "{} bytes",
                bytes.len()
            );
            assert!(bytes == data(5, bytes.len()), "{wire:?}");
        }
    }
}

#[test]
fn a_closed_link_writes_on_after_the_host_has_closed_its_descriptor() {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::SocketPair);
    let closed = Count::default();
    let bytes = data(1, 3_000_000);
    {
        let options = LinkOptions {
            on_closed: Some(closed.callback()),
            ..link_options(lend(&writing), LinkKind::Framed)
        };
        let link = Link::new(&event_loop, options).unwrap();
        link.send(1, &bytes).unwrap();
        link.close();
        drop(writing);
    }
    let receiver = read_in_thread(reading, 1 << 16);
    event_loop.turns(false).unwrap();
    assert_eq!(closed.get(), 1);
    assert!(frames_of(&receiver.join().unwrap()) == [(1, bytes)]);
}

#[test]
fn a_link_with_nothing_queued_closes_at_once() {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::SocketPair);
    let closed = Count::default();
    let mut options = link_options(writing, LinkKind::Framed);
    options.on_closed = Some(closed.callback());
    Link::new(&event_loop, options).unwrap().close();
    assert_eq!(closed.get(), 1);
    assert_eq!(
        File::from(reading).read(&mut [0; 8]).unwrap(),
        0,
        "the connection is closed"
    );
}

#[test]
fn a_closed_link_lets_go_of_the_connection_before_it_tells() {
    for wire in WIRES {
        for words in [&b"last words"[..], b""] {
            let event_loop = EventLoop::new().unwrap();
            let (writing, reading) = connection(wire);
            let arrived: Rc<RefCell<Option<Vec<u8>>>> = Rc::default();
            let told = Rc::clone(&arrived);
            let mut options = link_options(writing, LinkKind::Framed);
            options.on_closed = Some(Rc::new(move || {
                let mut receiver = Receiver::default();
                let at_end = receiver.drain(&reading);
                *told.borrow_mut() = at_end.then(|| payloads(&receiver.frames));
            }));
            let link = Link::new(&event_loop, options).unwrap();
            if !words.is_empty() {
                link.send(7, words).unwrap();
            }
            link.close();
            event_loop.turns(false).unwrap();
            assert_eq!(arrived.borrow().as_deref(), Some(words), "{wire:?}");
        }
    }
}

#[test]
fn a_reader_that_goes_while_a_closed_link_writes_on_is_reported() {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::SocketPair);
    let (errors, closed) = (Codes::default(), Count::default());
    let mut options = link_options(writing, LinkKind::Framed);
    options.on_error = Some(errors.on_error());
    options.on_closed = Some(closed.callback());
    let link = Link::new(&event_loop, options).unwrap();
    link.send(1, &data(1, 3_000_000)).unwrap();
    link.close();
    settle(&event_loop);
    drop(reading);
    event_loop.turns(false).unwrap();
    assert_eq!((errors.get(), closed.get()), (vec![-libc::EPIPE], 1));
}

#[test]
fn bytes_that_another_reader_steals_fail_the_link_instead_of_its_framing() {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::SocketPair);
    let errors = Codes::default();
    let codes = Codes::default();
    let mut options = link_options(writing, LinkKind::Framed);
    options.on_error = Some(errors.on_error());
    let link = Link::new(&event_loop, options).unwrap();
    let source = filled_pipe(1 << 20, &data(1, 1 << 20));
    let mut thief = File::from(source.try_clone().unwrap());
    let _stream = start(&link, source, 1, true, &codes);
    settle(&event_loop);
    let mut stolen = Vec::new();
    thief.read_to_end(&mut stolen).unwrap();
    assert!(!stolen.is_empty());
    link.send(2, b"x").unwrap();
    // Room in the connection brings the link back to its frame.
    let mut receiver = Receiver::default();
    receiver.drain(&reading);
    event_loop.turns(false).unwrap();
    assert_eq!(
        (errors.get(), codes.get()),
        (vec![-libc::EIO], vec![-libc::EIO])
    );
}

/// Runs itself in a process where SIGPIPE has its default action, which a stray one ends.
#[test]
fn sigpipe_at_its_default_does_not_end_the_host() {
    const ROLE: &str = "AMRELAY_TEST_SIGPIPE_ROLE";
    let name = "sigpipe_at_its_default_does_not_end_the_host";
    let Ok(role) = std::env::var(ROLE) else {
        for role in ["copy", "splice", "socket", "socket-splice", "sink"] {
            assert_eq!(run_role(name, ROLE, role), None, "{role}");
            let blocked = format!("blocked {role}");
            assert_eq!(run_role(name, ROLE, &blocked), None, "{blocked}");
        }
        for role in ["unguarded", "blocked unguarded", "pending splice"] {
            assert_eq!(run_role(name, ROLE, role), Some(libc::SIGPIPE), "{role}");
        }
        return;
    };
    // SAFETY: no handler is installed; the default action needs none.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (before, deed) = role.split_once(' ').unwrap_or(("", &role));
    if !before.is_empty() {
        mask_sigpipe(libc::SIG_BLOCK);
    }
    if before == "pending" {
        // SAFETY: blocked in this thread, so that nothing happens yet.
        unsafe { libc::raise(libc::SIGPIPE) };
    }
    act_without_a_reader(deed);
    // A signal that was left pending ends the process here.
    mask_sigpipe(libc::SIG_UNBLOCK);
}

fn act_without_a_reader(role: &str) {
    match role {
        "copy" => write_to_nobody(Wire::Pipe(65536), false),
        "splice" => write_to_nobody(Wire::Pipe(65536), true),
        "socket" => write_to_nobody(Wire::Tcp, false),
        "socket-splice" => write_to_nobody(Wire::SocketPair, true),
        "sink" => push_to_nobody(),
        _ => {
            let (reading, writing) = pipe(4096);
            drop(reading);
            let _ = File::from(writing).write(b"x");
        }
    }
}

fn mask_sigpipe(how: libc::c_int) {
    // SAFETY: the set outlives the calls, the first of which initialises it; the old mask is not asked for.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGPIPE);
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
    }
}

/// The signal that ended the process, if it did not succeed.
fn run_role(name: &str, variable: &str, role: &str) -> Option<i32> {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &path(module_path!(), name), "--test-threads=1"])
        .env(variable, role)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(
        status.success() || status.signal().is_some(),
        "{role}: {status}"
    );
    status.signal()
}

fn write_to_nobody(wire: Wire, bulk: bool) {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(wire);
    let link = link(&event_loop, writing, LinkKind::Raw);
    let codes = Codes::default();
    drop(reading);
    let source = filled_pipe(1 << 20, &data(1, 1 << 20));
    let _stream = start(&link, source, 1, bulk, &codes);
    event_loop.turns(false).unwrap();
    assert!(codes.get() == [-libc::EPIPE] || codes.get() == [-libc::ECONNRESET]);
}

fn push_to_nobody() {
    let event_loop = EventLoop::new().unwrap();
    let (reading, writing) = pipe(4096);
    drop(reading);
    let options = SinkOptions {
        descriptor: Descriptor::from(writing),
        high_water: None,
        low_water: None,
        on_resume: None,
        on_end: None,
    };
    let sink = Sink::new(&event_loop, options).unwrap();
    assert!(matches!(sink.push(b"x"), Err(Error::System(_))));
}
