//! What a relay stands between: programs that write to pipes as fast as they can, and readers of connections.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::ioctl_fionread;
use rustix::net::sockopt::set_tcp_congestion;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::time::ClockId;

use crate::decoder::{Decoder, Part};
use crate::report::cpu;

/// What a receiver and a writer have in hand.
const BUFFER: usize = 256 * 1024;

/// Threads that write to pipes.
pub(crate) struct Writers(Vec<JoinHandle<Duration>>);

impl Writers {
    /// Pipes of `size` bytes, each with a thread that writes `bytes` bytes to it, and their read ends. All of them are
    /// full when this returns, so that none begins before the others.
    pub(crate) fn new(count: usize, size: usize, bytes: usize) -> (Self, Vec<OwnedFd>) {
        let (threads, sources): (_, Vec<OwnedFd>) = (0..count)
            .map(|_| {
                let (reading, writing) = pipe(size);
                let thread = spawn("writer", move || write_to(&mut File::from(writing), bytes));
                (thread, reading)
            })
            .unzip();
        let full = |source| ioctl_fionread(source).is_ok_and(|held| held >= size.min(bytes) as u64);
        while !sources.iter().all(full) {
            thread::sleep(Duration::from_millis(1));
        }
        (Self(threads), sources)
    }

    /// Waits for their ends; the processor time they have used.
    pub(crate) fn join(self) -> Duration {
        self.0
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    }
}

/// Starts a thread that profiles show under this name.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let builder = thread::Builder::new().name(name.into());
    builder.spawn(work).unwrap()
}

/// Writes so many bytes, or as many as the reader takes; the processor time this thread has used.
fn write_to(pipe: &mut File, bytes: usize) -> Duration {
    let (buffer, mut left) = (vec![7; BUFFER], bytes);
    while left > 0 {
        match pipe.write(&buffer[..left.min(BUFFER)]) {
            Ok(count) => left -= count,
            Err(_) => break,
        }
    }
    cpu(ClockId::ThreadCPUTime)
}

pub(crate) fn pipe(size: usize) -> (OwnedFd, OwnedFd) {
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    fcntl_setpipe_size(&reading, size).unwrap();
    (reading, writing)
}

/// A TCP connection: the relay's end, then its peer's.
pub(crate) fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (family, flags) = (AddressFamily::INET, SocketFlags::CLOEXEC);
    let connection = socket_with(family, SocketType::STREAM, flags, None).unwrap();
    // Linux's own default, whatever this machine's is: bbr sets a timer for every burst, which would be most of the
    // cost, and a connection that was made with it keeps its pacing.
    set_tcp_congestion(&connection, "cubic")
        .or_else(|_| set_tcp_congestion(&connection, "reno"))
        .unwrap();
    connect(&connection, &listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    (connection.into(), peer)
}

/// How many bytes of each stream have arrived.
#[derive(Clone)]
pub(crate) struct Arrivals(Arc<Shared>);

struct Shared {
    bytes: Vec<AtomicU64>,
    /// What had arrived of each when the first of them ended.
    first_end: OnceLock<Vec<u64>>,
}

impl Arrivals {
    fn new(streams: usize) -> Self {
        Self(Arc::new(Shared {
            bytes: (0..streams).map(|_| AtomicU64::new(0)).collect(),
            first_end: OnceLock::new(),
        }))
    }

    fn count(&self, stream: usize, bytes: usize) {
        self.0.bytes[stream].fetch_add(bytes as u64, Relaxed);
    }

    fn end(&self) {
        self.0.first_end.get_or_init(|| self.now());
    }

    fn now(&self) -> Vec<u64> {
        self.0
            .bytes
            .iter()
            .map(|bytes| bytes.load(Relaxed))
            .collect()
    }

    /// Jain's fairness index of what had arrived of each stream when the first of them ended: 1 when all had got the
    /// same, 1/n when one had got everything (Jain, Chiu and Hawe, DEC-TR-301, 1984).
    fn fairness(&self) -> f64 {
        let shares = self.0.first_end.get().expect("a stream has ended");
        let sum: f64 = shares.iter().map(|&share| share as f64).sum();
        let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
        sum * sum / (shares.len() as f64 * squares)
    }
}

/// The thread that reads connections to their ends.
pub(crate) struct Receiver {
    arrivals: Arrivals,
    thread: JoinHandle<()>,
}

impl Receiver {
    /// One connection with the frames of `streams` streams, whose handles are their numbers from 0.
    pub(crate) fn framed(peer: TcpStream, streams: usize) -> Self {
        let arrivals = Arrivals::new(streams);
        let counted = arrivals.clone();
        let thread = spawn("receiver", move || {
            let whole = read_frames(peer, |part| match part {
                Part::Frame { length: 0, .. } => counted.end(),
                Part::Frame { .. } => {}
                Part::Payload { handle, bytes } => counted.count(handle as usize, bytes.len()),
            });
            assert!(whole, "the connection ends inside a frame");
        });
        Self { arrivals, thread }
    }

    /// A connection for each stream. One thread reads them all, in turn: among hundreds of threads the fairness would
    /// be the system's.
    pub(crate) fn raw(peers: Vec<TcpStream>) -> Self {
        let arrivals = Arrivals::new(peers.len());
        let counted = arrivals.clone();
        let thread = spawn("receiver", move || read_in_turn(&peers, &counted));
        Self { arrivals, thread }
    }

    /// Waits for the ends; all of it must have arrived. The fairness among the streams.
    pub(crate) fn join(self, bytes: usize) -> f64 {
        self.thread.join().unwrap();
        let arrived: u64 = self.arrivals.now().iter().sum();
        assert_eq!(arrived, bytes as u64, "bytes are missing");
        self.arrivals.fairness()
    }
}

/// Reads each connection that has something, a buffer at a time, until all have ended.
fn read_in_turn(peers: &[TcpStream], arrivals: &Arrivals) {
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    for (number, peer) in (0..).zip(peers) {
        let data = epoll::EventData::new_u64(number);
        epoll::add(&poller, peer, data, epoll::EventFlags::IN).unwrap();
    }
    let (mut buffer, mut left) = (vec![0; BUFFER], peers.len());
    let mut events = Vec::with_capacity(left);
    while left > 0 {
        epoll::wait(&poller, spare_capacity(&mut events), None).unwrap();
        for event in events.drain(..) {
            let stream = usize::try_from(event.data.u64()).unwrap();
            match (&peers[stream]).read(&mut buffer).unwrap() {
                0 => {
                    epoll::delete(&poller, &peers[stream]).unwrap();
                    arrivals.end();
                    left -= 1;
                }
                count => arrivals.count(stream, count),
            }
        }
    }
}

/// Reads a connection's frames to its end; whether that is between two frames.
pub(crate) fn read_frames(mut peer: impl Read, mut each: impl FnMut(Part<'_>)) -> bool {
    let (mut buffer, mut decoder) = (vec![0; BUFFER], Decoder::default());
    loop {
        let count = peer.read(&mut buffer).unwrap();
        if count == 0 {
            return decoder.is_between_frames();
        }
        let mut input = &buffer[..count];
        while let Some(part) = decoder.next_part(&mut input).unwrap() {
            each(part);
        }
    }
}
