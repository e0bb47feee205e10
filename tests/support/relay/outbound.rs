//! A host's outgoing side: dumps with sendbackup's four streams, on connections of every sort.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::thread::JoinHandle;

use amrelay::event::EventLoop;
use amrelay::relay::{Callbacks, Link, LinkKind, Stream, Taken};
use rustix::net::Shutdown;

use super::*;

/// sendbackup's streams, as amandad starts them (`start_reading`): DATA is bulk, MESG has a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Messages,
    Index,
    State,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Data, Kind::Messages, Kind::Index, Kind::State];

/// How streams share connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Each has its own.
    Raw,
    /// Those of a dump share one.
    Framed,
    /// The same, and the host does the writing.
    Callback,
}

/// The most a link may hold: one copied frame of a bulk stream, and its header.
pub(crate) const ONE_FRAME: usize = 64 * 1024 + 8;

/// What each stream carries: more than any of the connections holds.
pub(crate) const LENGTH: usize = 1_000_000;

/// One stream, from the service that writes it.
pub(crate) struct Outbound {
    stream: Stream,
    handle: u32,
    codes: Codes,
    /// What the tap was shown.
    shown: Option<Rc<RefCell<Vec<u8>>>>,
    writer: JoinHandle<io::Result<()>>,
}

impl Outbound {
    fn start(link: &Link, kind: Kind, handle: u32) -> Self {
        let (source, end) = pipe(65536);
        let codes = Codes::default();
        let mut options = stream_options(source, handle, kind == Kind::Data, &codes);
        let shown = (kind == Kind::Messages).then(Rc::<RefCell<Vec<u8>>>::default);
        if let Some(shown) = shown.clone() {
            options.tap = Some(Rc::new(move |bytes: &[u8]| {
                shown.borrow_mut().extend_from_slice(bytes);
            }));
        }
        Self {
            stream: link.start(options).unwrap(),
            handle,
            codes,
            shown,
            writer: write_in_thread(end, data(handle, LENGTH)),
        }
    }

    /// Everything that can be known of it at this end is right.
    fn check_sent(self) {
        assert_eq!(self.codes.get(), [0]);
        assert_eq!(self.stream.stats().bytes, LENGTH as u64);
        if let Some(shown) = self.shown {
            assert!(*shown.borrow() == data(self.handle, LENGTH));
        }
        self.writer.join().unwrap().unwrap();
    }
}

/// A connection and what is sent over it.
pub(crate) struct Connection {
    link: Link,
    sharing: Sharing,
    /// The link's own side, and the other one.
    writing: OwnedFd,
    reading: OwnedFd,
    streams: Vec<Outbound>,
}

/// Starts a dump on connections of its own. Only those of raw streams are several, in the order of `KINDS`.
pub(crate) fn start_dump(event_loop: &EventLoop, sharing: Sharing, wire: Wire) -> Vec<Connection> {
    let kinds: &[&[Kind]] = match sharing {
        Sharing::Raw => &[
            &[Kind::Data],
            &[Kind::Messages],
            &[Kind::Index],
            &[Kind::State],
        ],
        Sharing::Framed | Sharing::Callback => &[&KINDS],
    };
    let connect = |kinds: &&[Kind]| Connection::new(event_loop, sharing, connection(wire), kinds);
    kinds.iter().map(connect).collect()
}

impl Connection {
    /// Sends a stream of each kind over a connection: its writing side, then the other one.
    pub(crate) fn new(
        event_loop: &EventLoop,
        sharing: Sharing,
        (writing, reading): (OwnedFd, OwnedFd),
        kinds: &[Kind],
    ) -> Self {
        let kind = match sharing {
            Sharing::Raw => LinkKind::Raw,
            Sharing::Framed => LinkKind::Framed,
            Sharing::Callback => written_by_host(&writing),
        };
        let link = link(event_loop, writing.try_clone().unwrap(), kind);
        let streams = (1..)
            .zip(kinds)
            .map(|(handle, &kind)| Outbound::start(&link, kind, handle))
            .collect();
        Self {
            link,
            sharing,
            writing,
            reading,
            streams,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.streams
            .iter()
            .all(|stream| !stream.codes.get().is_empty())
    }

    /// None of its streams has ended, and no more is held for them than may be.
    pub(crate) fn expect_stalled(&self) {
        for stream in &self.streams {
            assert!(stream.codes.get().is_empty());
            assert!(stream.stream.stats().bytes < LENGTH as u64);
        }
        assert!(self.link.queued_bytes() <= ONE_FRAME);
    }

    /// Its peer reads so many bytes, each on its own.
    pub(crate) fn read_bytes(&self, event_loop: &EventLoop, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| read_a_byte(event_loop, &self.reading))
            .collect()
    }

    /// Reads to the end, after what has been read `before`, and checks everything.
    pub(crate) fn arrives(self, event_loop: &EventLoop, before: &[u8]) {
        let reader = Reader::new(self);
        turn_until(event_loop, || reader.connection.is_done());
        reader.check(before);
    }
}

/// A connection that is being read.
struct Reader {
    connection: Connection,
    arriving: JoinHandle<Vec<u8>>,
}

impl Reader {
    fn new(connection: Connection) -> Self {
        let reading = connection.reading.try_clone().unwrap();
        Self {
            arriving: read_in_thread(reading, 1 << 16),
            connection,
        }
    }

    fn check(self, before: &[u8]) {
        let Connection {
            link,
            sharing,
            writing,
            streams,
            ..
        } = self.connection;
        // The end of the bytes; a socket may stay open for the other direction.
        let _ = rustix::net::shutdown(&writing, Shutdown::Write);
        drop((link, writing));
        let mut bytes = before.to_vec();
        bytes.extend(self.arriving.join().unwrap());
        if sharing == Sharing::Raw {
            assert!(bytes == data(streams[0].handle, LENGTH));
        } else {
            let ended = ended_streams(&frames_of(&bytes));
            assert_eq!(ended.len(), streams.len());
            for (handle, bytes) in ended {
                assert!(bytes == data(handle, LENGTH));
            }
        }
        for stream in streams {
            stream.check_sent();
        }
    }
}

/// All of these connections are read, and must bring everything, while others stand still as `meanwhile` checks.
pub(crate) fn all_arrive(
    event_loop: &EventLoop,
    connections: Vec<Connection>,
    meanwhile: impl Fn(),
) {
    let readers: Vec<Reader> = connections.into_iter().map(Reader::new).collect();
    turn_until(event_loop, || {
        meanwhile();
        readers.iter().all(|reader| reader.connection.is_done())
    });
    for reader in readers {
        reader.check(&[]);
    }
}

/// The host writes what the connection takes at once, as amandad's `write_plain` does.
fn written_by_host(writing: &OwnedFd) -> LinkKind {
    let fd = writing.as_fd().try_clone_to_owned().unwrap();
    rustix::io::ioctl_fionbio(&fd, true).unwrap();
    LinkKind::Callback(Callbacks {
        write: Rc::new(move |bytes| match rustix::io::write(&fd, bytes) {
            Ok(count) => Ok(Taken::Bytes(count)),
            Err(rustix::io::Errno::AGAIN) => Ok(Taken::WantWrite),
            Err(error) => Err(error.into()),
        }),
        seal: None,
    })
}
