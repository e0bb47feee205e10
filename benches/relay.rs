//! What it costs to carry pipes to a TCP connection on loopback: by the relay, spliced and copied, one stream and many,
//! and by the plain loop of read(2) and writev(2) that has nothing else to do.
//!
//! `cargo bench --bench relay` prints medians: gigabytes a second, and the seconds of CPU that the relaying thread spends
//! on a gigabyte. Writers and receiver have threads of their own, which are not counted.
#![allow(clippy::print_stdout, reason = "a measurement is for a person to read")]

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use amrelay::event::EventLoop;
use amrelay::relay::frame::header;
use amrelay::relay::{Link, LinkKind, LinkOptions, Method, StreamOptions};
use amrelay::sys::Descriptor;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

const GIGABYTE: usize = 1_000_000_000;
const ROUNDS: usize = 5;

/// One measurement: how long it took, and the CPU of the relaying thread.
#[derive(Clone, Copy)]
struct Cost {
    elapsed: Duration,
    cpu: Duration,
}

fn main() {
    println!("{:<34}{:>10}{:>14}", "", "GB/s", "CPU s/GB");
    for (streams, pipe) in [(1, 1 << 20), (1, 65536), (16, 1 << 20), (16, 65536)] {
        let size = if pipe == 65536 { "64 KiB" } else { "1 MiB" };
        for method in [Method::Splice, Method::Copy] {
            // The relay splices out of large pipes alone.
            if method == Method::Splice && pipe == 65536 {
                continue;
            }
            let name = format!("{streams} stream(s), {size}, {method:?}");
            report(&name, || relay(streams, pipe, method));
        }
    }
    for (frame, pipe, size) in [(32 * 1024, 65536, "64 KiB"), (256 * 1024, 1 << 20, "1 MiB")] {
        let name = format!("read+writev, {size}, {} KiB frames", frame / 1024);
        report(&name, || read_and_write(frame, pipe));
    }
}

fn report(name: &str, measure: impl Fn() -> Cost) {
    let costs: Vec<Cost> = (0..ROUNDS).map(|_| measure()).collect();
    let median = |value: fn(&Cost) -> Duration| {
        let mut values: Vec<Duration> = costs.iter().map(value).collect();
        values.sort();
        values[ROUNDS / 2].as_secs_f64()
    };
    let speed = 1.0 / median(|cost| cost.elapsed);
    println!("{name:<34}{speed:>10.2}{:>14.3}", median(|cost| cost.cpu));
}

fn relay(streams: usize, pipe: usize, method: Method) -> Cost {
    let event_loop = EventLoop::new().unwrap();
    let (connection, receiver) = connection();
    let options = LinkOptions {
        descriptor: Descriptor::from(OwnedFd::from(connection)),
        kind: LinkKind::Framed,
        frame_size: None,
        pipe_size: None,
        on_error: None,
        on_closed: None,
    };
    let link = Link::new(&event_loop, options).unwrap();
    let (sources, writers): (Vec<_>, Vec<_>) = (0..streams)
        .map(|_| source(pipe, GIGABYTE / streams))
        .unzip();
    let cost = measured(|| {
        let running: Vec<_> = (0..)
            .zip(sources)
            .map(|(handle, source)| {
                let options = StreamOptions {
                    descriptor: Descriptor::from(source),
                    handle,
                    bulk: true,
                    // A tap keeps the stream from being spliced, and its pipe from being enlarged.
                    tap: match method {
                        Method::Copy => Some(Rc::new(|_: &[u8]| {})),
                        Method::Splice => None,
                    },
                    on_end: Some(Rc::new(|code| assert_eq!(code, 0))),
                };
                link.start(options).unwrap()
            })
            .collect();
        event_loop.turns(false).unwrap();
        assert!(running.iter().all(|stream| stream.method() == method));
    });
    drop(link);
    finish(writers, receiver);
    cost
}

fn read_and_write(frame: usize, pipe: usize) -> Cost {
    let (mut connection, receiver) = connection();
    let (source, writer) = source(pipe, GIGABYTE);
    let cost = measured(|| {
        let mut source = File::from(source);
        let mut buffer = vec![0; frame];
        loop {
            let count = source.read(&mut buffer).unwrap();
            let head = header(1, count);
            let pieces = [IoSlice::new(&head), IoSlice::new(&buffer[..count])];
            let mut sent = connection.write_vectored(&pieces).unwrap();
            if sent < head.len() {
                connection.write_all(&head[sent..]).unwrap();
                sent = head.len();
            }
            connection
                .write_all(&buffer[sent - head.len()..count])
                .unwrap();
            if count == 0 {
                break;
            }
        }
    });
    drop(connection);
    finish(vec![writer], receiver);
    cost
}

fn measured(action: impl FnOnce()) -> Cost {
    let (start, cpu) = (Instant::now(), thread_cpu());
    action();
    Cost {
        elapsed: start.elapsed(),
        cpu: thread_cpu().saturating_sub(cpu),
    }
}

/// The CPU time that this thread has used.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

/// A TCP connection and a thread that reads it to its end.
fn connection() -> (TcpStream, JoinHandle<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let receiver = thread::spawn(move || {
        let (mut buffer, mut all) = (vec![0; 1 << 18], 0);
        loop {
            match peer.read(&mut buffer).unwrap() {
                0 => return all,
                count => all += count as u64,
            }
        }
    });
    (connection, receiver)
}

/// A pipe that a thread writes `bytes` bytes to.
fn source(size: usize, bytes: usize) -> (OwnedFd, JoinHandle<()>) {
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    fcntl_setpipe_size(reading.as_fd(), size).unwrap();
    let writer = thread::spawn(move || {
        let (buffer, mut left, mut file) = (vec![7; 1 << 18], bytes, File::from(writing));
        while left > 0 {
            left -= file.write(&buffer[..left.min(buffer.len())]).unwrap();
        }
    });
    (reading, writer)
}

fn finish(writers: Vec<JoinHandle<()>>, receiver: JoinHandle<u64>) {
    for writer in writers {
        writer.join().unwrap();
    }
    let arrived = receiver.join().unwrap();
    assert!(arrived > (GIGABYTE - 100) as u64, "{arrived} bytes");
}
