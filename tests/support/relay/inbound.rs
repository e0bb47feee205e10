//! A host's incoming side: connections that it reads, and hands on to services through sinks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::thread::JoinHandle;

use amrelay::event::{EventId, EventKind, EventLoop};
use amrelay::relay::frame::header;
use amrelay::relay::{Sink, SinkOptions};
use amrelay::sys::Descriptor;
use rustix::net::Shutdown;

use super::*;
use crate::support::decoder::{Decoder, Part};

/// What the host reads at once, Amanda's `NETWORK_BLOCK_BYTES`.
pub(crate) const READ: usize = 32 * 1024;
/// The sinks' water marks.
pub(crate) const HIGH: usize = 100_000;
pub(crate) const LOW: usize = 30_000;

/// A connection whose bytes go to services: one if it is raw, one for each handle if it is framed. It is not read while
/// any of its sinks wants a pause, as with `security_stream_pause`.
pub(crate) struct Inbound {
    core: Rc<Core>,
    /// The services' ends, by handle.
    pub(crate) services: BTreeMap<u32, OwnedFd>,
}

struct Core {
    event_loop: EventLoop,
    event: EventId,
    reading: OwnedFd,
    /// None on a raw connection.
    decoder: Option<RefCell<Decoder>>,
    sinks: BTreeMap<u32, Sink>,
    paused: RefCell<Vec<u32>>,
    ended: BTreeMap<u32, Codes>,
    taken: Cell<usize>,
}

impl Inbound {
    /// Begins to read a connection for these services, each behind a pipe of `size` bytes. Raw if `framed` is false: it
    /// has one service.
    pub(crate) fn new(
        event_loop: &EventLoop,
        reading: OwnedFd,
        framed: bool,
        handles: &[u32],
        size: usize,
    ) -> Self {
        rustix::io::ioctl_fionbio(&reading, true).unwrap();
        let mut services = BTreeMap::new();
        let core = Rc::new_cyclic(|weak: &Weak<Core>| {
            let mut sinks = BTreeMap::new();
            let mut ended = BTreeMap::new();
            for &handle in handles {
                let (service, writing) = pipe(size);
                let codes = Codes::default();
                let host = Weak::clone(weak);
                let options = SinkOptions {
                    descriptor: Descriptor::from(writing),
                    high_water: Some(HIGH),
                    low_water: Some(LOW),
                    on_resume: Some(Rc::new(move || host.upgrade().unwrap().resume(handle))),
                    on_end: Some(codes.callback()),
                };
                sinks.insert(handle, Sink::new(event_loop, options).unwrap());
                ended.insert(handle, codes);
                services.insert(handle, service);
            }
            let host = Weak::clone(weak);
            let on_readable = move || host.upgrade().unwrap().read();
            let kind = EventKind::Read(reading.as_raw_fd());
            Core {
                event_loop: event_loop.clone(),
                event: event_loop.create(kind, Rc::new(on_readable)),
                reading,
                decoder: framed.then(RefCell::default),
                sinks,
                paused: RefCell::default(),
                ended,
                taken: Cell::new(0),
            }
        });
        event_loop.activate(core.event).unwrap();
        Self { core, services }
    }

    pub(crate) fn has_ended(&self, handle: u32) -> bool {
        !self.core.ended[&handle].get().is_empty()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.core.ended.values().all(|codes| codes.get() == [0])
    }

    /// How many bytes were read from the connection.
    pub(crate) fn taken(&self) -> usize {
        self.core.taken.get()
    }

    /// The sink holds no more than it may.
    pub(crate) fn check_bounds(&self) {
        for sink in self.core.sinks.values() {
            assert!(sink.queued_bytes() <= HIGH + READ);
        }
    }

    /// Its services are read to their ends, except `slow`.
    pub(crate) fn serve(&mut self, slow: Option<u32>) -> BTreeMap<u32, JoinHandle<Vec<u8>>> {
        let (left, served) = std::mem::take(&mut self.services)
            .into_iter()
            .partition(|(handle, _)| Some(*handle) == slow);
        self.services = left;
        let read = |(handle, service)| (handle, read_in_thread(service, 1 << 16));
        BTreeMap::into_iter(served).map(read).collect()
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.core.event_loop.release(self.core.event);
    }
}

impl Core {
    fn read(&self) {
        let mut buffer = vec![0; READ];
        match rustix::io::read(&self.reading, &mut buffer) {
            Ok(0) => self.end(),
            Ok(count) => {
                self.taken.set(self.taken.get() + count);
                self.hand_on(&buffer[..count]);
            }
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn end(&self) {
        self.event_loop.deactivate(self.event);
        if self.decoder.is_none() {
            self.sinks[&0].finish().unwrap();
        }
    }

    fn hand_on(&self, mut bytes: &[u8]) {
        let Some(decoder) = &self.decoder else {
            return self.push(0, bytes);
        };
        while let Some(part) = decoder.borrow_mut().next_part(&mut bytes).unwrap() {
            match part {
                Part::Frame { handle, length: 0 } => self.sinks[&handle].finish().unwrap(),
                Part::Frame { .. } => {}
                Part::Payload { handle, bytes } => self.push(handle, bytes),
            }
        }
    }

    fn push(&self, handle: u32, bytes: &[u8]) {
        if self.sinks[&handle].push(bytes).unwrap() {
            let mut paused = self.paused.borrow_mut();
            if !paused.contains(&handle) {
                paused.push(handle);
            }
            self.event_loop.deactivate(self.event);
        }
    }

    fn resume(&self, handle: u32) {
        let mut paused = self.paused.borrow_mut();
        paused.retain(|&other| other != handle);
        if paused.is_empty() {
            self.event_loop.activate(self.event).unwrap();
        }
    }
}

/// Sends what `data` gives for each handle over a socket, in a thread; framed, in turns.
pub(crate) fn send_in_thread(
    writing: OwnedFd,
    framed: bool,
    handles: &[u32],
    length: usize,
) -> JoinHandle<io::Result<()>> {
    if !framed {
        let bytes = data(handles[0], length);
        return thread::spawn(move || {
            let mut file = File::from(writing);
            file.write_all(&bytes)?;
            // The end of the bytes; the socket may stay open for the other direction.
            Ok(rustix::net::shutdown(&file, Shutdown::Write)?)
        });
    }
    let streams: Vec<(u32, Vec<u8>)> = handles
        .iter()
        .map(|&handle| (handle, data(handle, length)))
        .collect();
    let mut bytes = Vec::new();
    for at in (0..length).step_by(READ) {
        for (handle, data) in &streams {
            let payload = &data[at..length.min(at + READ)];
            bytes.extend_from_slice(&header(*handle, payload.len()));
            bytes.extend_from_slice(payload);
        }
    }
    for (handle, _) in &streams {
        bytes.extend_from_slice(&header(*handle, 0));
    }
    write_in_thread(writing, bytes)
}
