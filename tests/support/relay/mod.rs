//! What the relay's tests share: connections of every sort, writers and receivers in threads of their own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use amrelay::event::{EventKind, EventLoop};
use amrelay::relay::{
    EndCallback, ErrorCallback, Link, LinkKind, LinkOptions, Stream, StreamOptions,
};
use amrelay::sys::{Descriptor, Errno};
use rustix::net::sockopt;

use super::decoder::{Decoder, Part};

pub(crate) mod inbound;
pub(crate) mod outbound;

/// What a connection is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Tcp,
    /// With the buffers Amanda asks for (`try_socksize`), so that it is soon full.
    SmallTcp,
    SocketPair,
    /// A pipe of so many bytes, as under `auth local` and `auth ssh`.
    Pipe(usize),
}

pub(crate) const WIRES: [Wire; 4] = [
    Wire::Tcp,
    Wire::SocketPair,
    Wire::Pipe(65536),
    Wire::Pipe(4096),
];

/// A connection: its writing side, then its reading side.
pub(crate) fn connection(wire: Wire) -> (OwnedFd, OwnedFd) {
    match wire {
        Wire::Tcp => tcp(|_| {}),
        Wire::SmallTcp => tcp(|socket| {
            sockopt::set_socket_send_buffer_size(socket, SOCKET_BUFFER).unwrap();
            sockopt::set_socket_recv_buffer_size(socket, SOCKET_BUFFER).unwrap();
        }),
        Wire::SocketPair => {
            let (writing, reading) = UnixStream::pair().unwrap();
            (writing.into(), reading.into())
        }
        Wire::Pipe(size) => {
            let (reading, writing) = pipe(size);
            (writing, reading)
        }
    }
}

/// `STREAM_BUFSIZE` of Amanda's common-src/stream.c, in bytes.
const SOCKET_BUFFER: usize = 128 * 1024;

/// What `prepare` does to the listener, the sockets it accepts inherit.
fn tcp(prepare: impl Fn(BorrowedFd<'_>)) -> (OwnedFd, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    prepare(listener.as_fd());
    let writing = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    prepare(writing.as_fd());
    let (reading, _) = listener.accept().unwrap();
    (writing.into(), reading.into())
}

/// A pipe of so many bytes: its read end, then its write end.
pub(crate) fn pipe(size: usize) -> (OwnedFd, OwnedFd) {
    let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    rustix::pipe::fcntl_setpipe_size(&reading, size).unwrap();
    (reading, writing)
}

/// Bytes that tell where they belong.
pub(crate) fn data(handle: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(handle) + 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Writes all of `bytes` in a thread and closes the descriptor.
pub(crate) fn write_in_thread(fd: OwnedFd, bytes: Vec<u8>) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || File::from(fd).write_all(&bytes))
}

/// A pipe's read end, with the bytes already in it and its writer gone.
pub(crate) fn filled_pipe(size: usize, bytes: &[u8]) -> OwnedFd {
    let (reading, writing) = pipe(size);
    File::from(writing).write_all(bytes).unwrap();
    reading
}

/// A frame: its handle and its payload.
pub(crate) type Frame = (u32, Vec<u8>);

/// Puts frames together from a byte stream.
#[derive(Default)]
pub(crate) struct Receiver {
    decoder: Decoder,
    pub(crate) frames: Vec<Frame>,
}

impl Receiver {
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(part) = self.decoder.next_part(&mut bytes).expect("frames") {
            match part {
                Part::Frame { handle, length } => {
                    self.frames.push((handle, Vec::with_capacity(length)));
                }
                Part::Payload { handle, bytes } => {
                    let (owner, payload) = self.frames.last_mut().expect("a frame was begun");
                    assert_eq!(*owner, handle);
                    payload.extend_from_slice(bytes);
                }
            }
        }
    }

    pub(crate) fn is_between_frames(&self) -> bool {
        self.decoder.is_between_frames()
    }

    /// Reads what is there, without waiting; true at the end.
    pub(crate) fn drain(&mut self, fd: impl AsFd) -> bool {
        let mut buffer = vec![0; 1 << 16];
        rustix::io::ioctl_fionbio(&fd, true).unwrap();
        loop {
            match rustix::io::read(&fd, &mut buffer) {
                Ok(0) => return true,
                Ok(count) => self.push(&buffer[..count]),
                Err(rustix::io::Errno::AGAIN) => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Reads a connection to its end in a thread, at most `step` bytes at a time.
pub(crate) fn read_in_thread(fd: OwnedFd, step: usize) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut file, mut all, mut buffer) = (File::from(fd), Vec::new(), vec![0; step]);
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => return all,
                count => all.extend_from_slice(&buffer[..count]),
            }
        }
    })
}

/// The whole frames of a byte stream that ends between two.
pub(crate) fn frames_of(bytes: &[u8]) -> Vec<Frame> {
    let mut receiver = Receiver::default();
    receiver.push(bytes);
    assert!(
        receiver.is_between_frames(),
        "the byte stream ends inside a frame"
    );
    receiver.frames
}

/// The bytes that frames carry, whatever their streams.
pub(crate) fn payloads<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Vec<u8> {
    let payload = |(_, payload): &'a Frame| payload;
    frames.into_iter().flat_map(payload).copied().collect()
}

/// What each handle sent. Each must have ended once, with nothing after its end.
pub(crate) fn ended_streams(frames: &[Frame]) -> BTreeMap<u32, Vec<u8>> {
    let mut open: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut ended = BTreeMap::new();
    for (handle, payload) in frames {
        assert!(
            !ended.contains_key(handle),
            "stream {handle} goes on after its end"
        );
        let all = open.entry(*handle).or_default();
        all.extend_from_slice(payload);
        if payload.is_empty() {
            ended.insert(*handle, open.remove(handle).unwrap());
        }
    }
    assert!(open.is_empty(), "streams without an end: {:?}", open.keys());
    ended
}

/// The codes a callback was given.
#[derive(Clone, Default)]
pub(crate) struct Codes(Rc<RefCell<Vec<i32>>>);

impl Codes {
    /// For an end, which may be a good one.
    pub(crate) fn callback(&self) -> EndCallback {
        let codes = self.clone();
        Rc::new(move |end| codes.note(end))
    }

    /// For a failure.
    pub(crate) fn on_error(&self) -> ErrorCallback {
        let codes = self.clone();
        Rc::new(move |errno| codes.note(Err(errno)))
    }

    fn note(&self, end: Result<(), Errno>) {
        let code = end.map_or_else(|errno| -errno.raw_os_error(), |()| 0);
        self.0.borrow_mut().push(code);
    }

    pub(crate) fn get(&self) -> Vec<i32> {
        self.0.borrow().clone()
    }
}

/// How often a callback was called.
#[derive(Clone, Default)]
pub(crate) struct Count(Rc<Cell<usize>>);

impl Count {
    pub(crate) fn callback(&self) -> Rc<dyn Fn()> {
        let count = self.clone();
        Rc::new(move || count.0.set(count.0.get() + 1))
    }

    pub(crate) fn get(&self) -> usize {
        self.0.get()
    }
}

/// A link with nothing but its kind.
pub(crate) fn link(event_loop: &EventLoop, fd: OwnedFd, kind: LinkKind) -> Link {
    Link::new(event_loop, link_options(fd, kind)).unwrap()
}

/// Keeps the descriptor, to close it after the link that it is lent to.
pub(crate) fn lend(fd: &OwnedFd) -> Descriptor {
    // SAFETY: it is open, and is closed only after its link has been.
    unsafe { Descriptor::lend(fd.as_raw_fd()) }
}

pub(crate) fn link_options(descriptor: impl Into<Descriptor>, kind: LinkKind) -> LinkOptions {
    LinkOptions {
        descriptor: descriptor.into(),
        kind,
        frame_size: None,
        pipe_size: None,
        close_timeout: None,
        on_error: None,
        on_closed: None,
    }
}

pub(crate) fn stream_options(fd: OwnedFd, handle: u32, bulk: bool, codes: &Codes) -> StreamOptions {
    StreamOptions {
        descriptor: Descriptor::from(fd),
        handle,
        bulk,
        tap: None,
        on_end: Some(codes.callback()),
    }
}

pub(crate) fn start(link: &Link, fd: OwnedFd, handle: u32, bulk: bool, codes: &Codes) -> Stream {
    link.start(stream_options(fd, handle, bulk, codes)).unwrap()
}

/// Turns the loop until `done`. Fails if the loop has nothing left to wait for.
pub(crate) fn turn_until(event_loop: &EventLoop, done: impl Fn() -> bool) {
    // Keeps the loop from waiting for ever when `done` depends on another thread.
    let tick = event_loop.create(EventKind::Timer(Duration::from_millis(10)), Rc::new(|| {}));
    event_loop.activate(tick).unwrap();
    while !done() {
        event_loop.wait(tick).unwrap();
    }
    event_loop.release(tick);
}

/// Turns the loop as long as there is something to do at once.
pub(crate) fn settle(event_loop: &EventLoop) {
    for _ in 0..50 {
        event_loop.turns(true).unwrap();
    }
}

/// Turns the loop until something can be read from `fd`, and reads one byte.
pub(crate) fn read_a_byte(event_loop: &EventLoop, fd: impl AsFd) -> u8 {
    while rustix::io::ioctl_fionread(&fd).unwrap() == 0 {
        event_loop.turns(true).unwrap();
    }
    let mut byte = [0];
    assert_eq!(rustix::io::read(&fd, &mut byte), Ok(1));
    event_loop.turns(true).unwrap();
    byte[0]
}

/// Ends a test that hangs: what stalls in the library's own code would stall the test too. Long enough to say nothing
/// of speed.
pub(crate) struct Watchdog {
    _alive: mpsc::Sender<()>,
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        let (alive, gone) = mpsc::channel::<()>();
        thread::spawn(move || {
            if gone.recv_timeout(Duration::from_secs(300)) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = io::stderr().write_all(b"the test hangs\n");
                std::process::abort();
            }
        });
        Self { _alive: alive }
    }
}
