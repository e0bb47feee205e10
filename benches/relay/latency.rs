//! How soon a line of a message stream leaves a link that streams of data saturate, and how soon it arrives.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use amrelay::event::EventLoop;
use amrelay::relay::{LinkKind, StreamOptions, TapCallback};
use amrelay::sys::Descriptor;

use crate::decoder::Part;
use crate::ends::{Writers, connection, pipe, read_frames, spawn};
use crate::report::{Settings, figure};
use crate::streams::link;

const DATA_STREAMS: usize = 16;
const MESSAGES: u32 = 100;
const LINE: usize = 64;

/// A reader that takes less than the link could give: bytes a second, and the bytes it takes at once.
const SLOW: f64 = 50e6;
const SLOW_STEP: usize = 64 * 1024;

#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    slow: bool,
    /// Given to the link's socket in place of the size that the system adapts.
    send_buffer: Option<usize>,
}

const VARIANTS: [Variant; 3] = [
    Variant {
        name: "fast reader",
        slow: false,
        send_buffer: None,
    },
    Variant {
        name: "reader of 50 MB/s",
        slow: true,
        send_buffer: None,
    },
    Variant {
        name: "reader of 50 MB/s, 256 KiB send buffer",
        slow: true,
        send_buffer: Some(256 * 1024),
    },
];

/// Measures each variant once.
pub(crate) fn round(settings: &Settings) {
    let case = format!("a line beside {DATA_STREAMS} streams");
    for variant in VARIANTS {
        if !settings.wants(&case, variant.name) {
            continue;
        }
        let lines = if settings.quick { 200 } else { 1000 };
        let times = measure(variant, lines);
        for (event, delays) in [("left", times.left()), ("arrived", times.arrived())] {
            for (name, place) in [("p50", lines / 2), ("p99", lines * 99 / 100)] {
                let milliseconds = delays[place].as_secs_f64() * 1e3;
                figure(
                    &case,
                    variant.name,
                    &format!("{event} {name} ms"),
                    milliseconds,
                );
            }
        }
    }
}

/// When each line was written, had left and had arrived.
#[derive(Default)]
struct Times {
    written: Vec<Instant>,
    left: Vec<Instant>,
    arrived: Vec<Instant>,
}

impl Times {
    fn left(&self) -> Vec<Duration> {
        self.delays(&self.left)
    }

    fn arrived(&self) -> Vec<Duration> {
        self.delays(&self.arrived)
    }

    /// From the writing of each line, in ascending order.
    fn delays(&self, seen: &[Instant]) -> Vec<Duration> {
        let pairs = self.written.iter().zip(seen);
        let mut delays: Vec<_> = pairs.map(|(&written, &seen)| seen - written).collect();
        delays.sort_unstable();
        delays
    }
}

/// Counts bytes and stamps every line that they complete.
#[derive(Default)]
struct Lines {
    bytes: usize,
    stamps: Vec<Instant>,
}

impl Lines {
    fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        let now = Instant::now();
        self.stamps.resize(self.bytes / LINE, now);
    }
}

fn measure(variant: Variant, count: usize) -> Times {
    let event_loop = EventLoop::new().unwrap();
    let (connection, peer) = connection();
    if let Some(size) = variant.send_buffer {
        rustix::net::sockopt::set_socket_send_buffer_size(&connection, size).unwrap();
    }
    let receiver = spawn("receiver", move || arrivals(peer, variant.slow));
    let link = link(&event_loop, connection, LinkKind::Framed);
    let start = |descriptor: OwnedFd, handle, bulk, tap, on_end| {
        let options = StreamOptions {
            descriptor: Descriptor::from(descriptor),
            handle,
            bulk,
            tap,
            on_end,
        };
        link.start(options).unwrap()
    };
    let (writers, sources) = Writers::new(DATA_STREAMS, 64 * 1024, usize::MAX);
    let data: Vec<_> = (0..)
        .zip(sources)
        .map(|(handle, source)| start(source, handle, true, None, None))
        .collect();

    let (source, messages) = pipe(64 * 1024);
    let left = Rc::new(RefCell::new(Lines::default()));
    let seen = Rc::clone(&left);
    let tap: TapCallback = Rc::new(move |bytes: &[u8]| seen.borrow_mut().take(bytes.len()));
    let quit = event_loop.clone();
    let on_end = Rc::new(move |_| quit.quit());
    let message_stream = start(source, MESSAGES, false, Some(tap), Some(on_end));
    let message_writer = spawn("message writer", move || {
        write_lines(messages.into(), count)
    });
    event_loop.run().unwrap();

    drop((data, message_stream));
    drop(link);
    let written = message_writer.join().unwrap();
    writers.join();
    let times = Times {
        written,
        left: left.take().stamps,
        arrived: receiver.join().unwrap().stamps,
    };
    assert_eq!((times.left.len(), times.arrived.len()), (count, count));
    times
}

/// Writes lines at a pace that matches nothing else, after the data has had the time to fill the connection.
fn write_lines(mut pipe: File, count: usize) -> Vec<Instant> {
    thread::sleep(Duration::from_millis(500));
    let mut written = Vec::with_capacity(count);
    for number in 0..count {
        let pause = 1000 + (number * 7919) % 2000;
        thread::sleep(Duration::from_micros(pause as u64));
        written.push(Instant::now());
        let line = format!("{:<1$}\n", format!("? line {number}"), LINE - 1);
        pipe.write_all(line.as_bytes()).unwrap();
    }
    written
}

/// Reads the connection to its end, slowly or not; when the lines have arrived.
fn arrivals(peer: TcpStream, slow: bool) -> Lines {
    let mut lines = Lines::default();
    let each = |part: Part<'_>| {
        if let Part::Payload {
            handle: MESSAGES,
            bytes,
        } = part
        {
            lines.take(bytes.len());
        }
    };
    if slow {
        read_frames(Throttled::new(peer), each);
    } else {
        read_frames(peer, each);
    }
    lines
}

/// A connection that is read at [`SLOW`] bytes a second.
struct Throttled {
    peer: TcpStream,
    start: Instant,
    bytes: usize,
}

impl Throttled {
    fn new(peer: TcpStream) -> Self {
        Self {
            peer,
            start: Instant::now(),
            bytes: 0,
        }
    }
}

impl Read for Throttled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let due = self.start + Duration::from_secs_f64(self.bytes as f64 / SLOW);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let step = buffer.len().min(SLOW_STEP);
        let count = self.peer.read(&mut buffer[..step])?;
        self.bytes += count;
        Ok(count)
    }
}
