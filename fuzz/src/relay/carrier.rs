//! A link, its peer, and what is known of both.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};

use amrelay::relay::frame::HEADER_BYTES;
use amrelay::relay::{
    Callbacks, Error, ErrorCallback, Link, LinkKind, LinkOptions, Notification, SealCallback,
    Stream, StreamOptions, Taken, WriteCallback,
};
use amrelay::sys::{Descriptor, Errno};

use super::strand::Strand;
use super::{Action, Kind, World};
use crate::decoder::{Decoder, Part};
use crate::pattern;
use crate::program::Amount;
use crate::wire::{Got, Wire, get, put, set_nonblocking};

/// Control frames have handles from here on, one each.
const CONTROL: usize = 1000;
/// The largest frame of a bulk stream where nothing else was asked for.
const LARGEST_FRAME: usize = 256 << 10;
const SMALL_FRAME: usize = 100;
/// How much may wait as control frames behind the first, and what each counts besides its payload.
const MOST_CONTROL: usize = 1 << 20;
const FRAME_COST: usize = 72;
/// What sealing adds.
const SEAL: u8 = 0xa5;

pub(super) struct Carrier {
    kind: Kind,
    wire: Wire,
    link: RefCell<Option<Link>>,
    peer: RefCell<Option<OwnedFd>>,
    /// The connection, if it was lent. (Else it is the link's alone, so that its end shows.)
    own: Option<OwnedFd>,
    received: RefCell<Vec<u8>>,
    /// How long the control frames were, in the order of sending.
    sent: RefCell<Vec<usize>>,
    /// What a write callback refused, which it must be given again.
    refused: Cell<Option<(usize, usize)>>,
    calls: Cell<usize>,
    failed: Cell<Option<Errno>>,
    peer_left: Cell<bool>,
    closed_by_host: Cell<bool>,
    told_closed: Cell<bool>,
    freed: Cell<bool>,
}

impl Carrier {
    pub(super) fn new(
        world: &Rc<World>,
        kind: Kind,
        wire: Wire,
        small_frames: bool,
        lent: bool,
    ) -> Rc<Self> {
        let (writing, peer) = wire.open();
        set_nonblocking(&peer, true);
        set_nonblocking(&writing, true);
        // A callback link's descriptor has to stay open until `on_closed`: it is lent.
        let lent = lent || matches!(kind, Kind::Callback { .. });
        let (own, descriptor) = if lent {
            // SAFETY: the carrier keeps it open for longer than its link lives.
            let descriptor = unsafe { Descriptor::lend(writing.as_raw_fd()) };
            (Some(writing), descriptor)
        } else {
            (None, Descriptor::from(writing))
        };
        let carrier = Rc::new(Self {
            kind,
            wire,
            link: RefCell::new(None),
            peer: RefCell::new(Some(peer)),
            own,
            received: RefCell::default(),
            sent: RefCell::default(),
            refused: Cell::new(None),
            calls: Cell::new(0),
            failed: Cell::new(None),
            peer_left: Cell::new(false),
            closed_by_host: Cell::new(false),
            told_closed: Cell::new(false),
            freed: Cell::new(false),
        });
        let context = (Rc::downgrade(world), Rc::downgrade(&carrier));
        let options = LinkOptions {
            descriptor,
            kind: link_kind(kind, &context),
            frame_size: small_frames.then_some(SMALL_FRAME),
            pipe_size: None,
            close_timeout: None,
            on_error: Some(on_error(context.clone())),
            on_closed: Some(on_closed(context)),
        };
        let link = Link::new(&world.event_loop, options).unwrap();
        carrier.link.replace(Some(link));
        carrier
    }

    /// Starts a stream, unless the link has failed, or is raw and has one.
    pub(super) fn start(&self, options: StreamOptions) -> Option<Stream> {
        let link = self.link.borrow();
        match link.as_ref()?.start(options) {
            Ok(stream) => Some(stream),
            Err(Error::State(_)) => {
                assert!(self.kind == Kind::Raw);
                None
            }
            Err(error) => {
                assert!(self.peer_left.get(), "{error}");
                None
            }
        }
    }

    pub(super) fn act(&self, action: Action) {
        match action {
            Action::Send { amount, .. } => self.send(amount),
            Action::Read { amount, .. } => {
                self.read(amount.0);
            }
            Action::PeerLeaves { .. } => {
                self.peer_left.set(true);
                drop(self.peer.take());
            }
            Action::Close { .. } => {
                if let Some(link) = self.link.take() {
                    self.closed_by_host.set(true);
                    link.close();
                }
            }
            Action::FreeLink { .. } => {
                if let Some(link) = self.link.take() {
                    self.freed.set(true);
                    drop(link);
                }
            }
            _ => unreachable!("not a link's"),
        }
    }

    fn send(&self, Amount(count): Amount) {
        let link = self.link.borrow();
        let Some(link) = &*link else {
            return;
        };
        let number = CONTROL + self.sent.borrow().len();
        let payload = pattern::bytes(number, 0, count);
        match link.send(u32::try_from(number).unwrap(), &payload) {
            Ok(()) => self.sent.borrow_mut().push(count),
            Err(Error::State(_)) => assert!(self.kind == Kind::Raw),
            Err(Error::Limit(_)) => {
                let overhead = (1 + self.sent.borrow().len()) * FRAME_COST;
                assert!(link.queued_bytes() + count + overhead > MOST_CONTROL);
            }
            Err(error) => assert!(self.peer_left.get(), "{error}"),
        }
    }

    fn read(&self, count: usize) -> Got {
        match &*self.peer.borrow() {
            Some(peer) => get(peer.as_fd(), count, &mut self.received.borrow_mut()),
            None => Got::End,
        }
    }

    /// Reads all there is, and says whether there was anything.
    pub(super) fn drain(&self) -> bool {
        matches!(self.read(1 << 20), Got::Bytes(_))
    }

    pub(super) fn is_freed(&self) -> bool {
        self.freed.get()
    }

    /// Whether a stream may have ended with this error.
    pub(super) fn may_fail(&self, errno: Errno) -> bool {
        if errno == Errno::CANCELED {
            self.closed_by_host.get()
        } else {
            self.peer_left.get()
        }
    }

    pub(super) fn check_bounds(&self) {
        if let Some(link) = &*self.link.borrow() {
            // One control frame may go before those that count, and one frame of either sort be in flight.
            let most = MOST_CONTROL + 2 * (LARGEST_FRAME + 2 * HEADER_BYTES);
            assert!(link.queued_bytes() <= most);
        }
    }

    /// Whether the peer got less than it was sent, and may have.
    fn may_be_cut(&self) -> bool {
        self.peer_left.get() || self.freed.get()
    }

    pub(super) fn check_end(&self, streams: &[Rc<Strand>]) {
        assert_eq!(
            self.told_closed.get(),
            self.closed_by_host.get(),
            "on_closed"
        );
        assert!(
            self.failed.get().is_none() || self.peer_left.get(),
            "on_error"
        );
        let lent = self.own.as_ref().map(rustix::io::fcntl_getfd);
        assert!(
            lent.is_none_or(|own| own.is_ok()),
            "a lent descriptor was closed"
        );
        if self.kind == Kind::Raw {
            return self.check_raw(streams);
        }
        let mut payloads: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        let whole = self.decode(&mut payloads, streams);
        assert!(
            whole || self.may_be_cut(),
            "a frame was begun and not ended"
        );
        let sent = self.sent.borrow();
        for (number, &length) in sent.iter().enumerate() {
            let number = CONTROL + number;
            let payload = payloads.remove(&number);
            assert!(
                payload.is_some() || self.may_be_cut(),
                "a control frame is lost"
            );
            let payload = payload.unwrap_or_default();
            pattern::check(number, &payload);
            assert!(payload.len() == length || self.may_be_cut());
        }
        for stream in streams {
            let payload = payloads.remove(&stream.number).unwrap_or_default();
            self.check_stream(stream, &payload);
        }
        assert!(payloads.is_empty(), "bytes of nobody");
    }

    fn check_stream(&self, stream: &Strand, payload: &[u8]) {
        pattern::check(stream.number, payload);
        let written = stream.written.get();
        assert!(payload.len() <= written);
        assert!(
            payload.len() == written || stream.may_be_cut() || self.may_be_cut(),
            "stream {}: {} of {written} bytes",
            stream.number,
            payload.len()
        );
    }

    /// The streams one after another.
    fn check_raw(&self, streams: &[Rc<Strand>]) {
        let received = self.received.borrow();
        assert!(self.is_made_of(&received, streams), "bytes of nobody");
    }

    fn is_made_of(&self, bytes: &[u8], streams: &[Rc<Strand>]) -> bool {
        let Some((stream, others)) = streams.split_first() else {
            return bytes.is_empty();
        };
        let own = pattern::bytes(stream.number, 0, stream.written.get());
        let alike = own
            .iter()
            .zip(bytes)
            .take_while(|(own, got)| own == got)
            .count();
        let whole = !stream.may_be_cut() && !self.may_be_cut();
        let least = if whole {
            own.len()
        } else {
            alike.saturating_sub(8)
        };
        // The first bytes of the next stream may go on like this one by chance.
        (least..=alike)
            .rev()
            .any(|length| self.is_made_of(&bytes[length..], others))
    }

    /// Takes the received bytes apart; says whether they end with a whole frame.
    fn decode(&self, payloads: &mut BTreeMap<usize, Vec<u8>>, streams: &[Rc<Strand>]) -> bool {
        let received = self.received.borrow();
        let (mut decoder, mut rest) = (Decoder::default(), &received[..]);
        let mut ended = Vec::new();
        let (mut frames, mut current) = (Vec::new(), Vec::new());
        while let Some(part) = decoder.next_part(&mut rest).unwrap() {
            match part {
                Part::Frame { handle, length } => {
                    frames.push((handle as usize, std::mem::take(&mut current)));
                    assert!(!ended.contains(&handle), "a frame after the end");
                    if length == 0 && (handle as usize) < CONTROL {
                        ended.push(handle);
                    }
                    payloads.entry(handle as usize).or_default();
                }
                Part::Payload { bytes, .. } => current.extend_from_slice(bytes),
            }
        }
        // Each payload stands behind the header that announced it.
        frames.push((0, current));
        for pair in frames.windows(2) {
            let payload = self.open(pair[1].1.clone());
            payloads.entry(pair[0].0).or_default().extend(payload);
        }
        for stream in streams {
            let marked = ended.iter().any(|&handle| handle as usize == stream.number);
            if stream.ended.get() == Some(Ok(())) {
                assert!(marked || self.may_be_cut(), "the end was not marked");
            }
            let length = payloads.get(&stream.number).map_or(0, Vec::len);
            assert!(
                !marked || length == stream.written.get(),
                "ended before its end"
            );
        }
        decoder.is_between_frames()
    }

    /// Takes the seal off a payload, which may be cut off.
    fn open(&self, mut payload: Vec<u8>) -> Vec<u8> {
        if let Kind::Callback { sealed: true, .. } = self.kind {
            payload.iter_mut().for_each(|byte| *byte ^= SEAL);
            if payload.last() == Some(&SEAL) {
                payload.pop();
            }
        }
        payload
    }

    /// A host's own writing to the connection: some of it, or a refusal.
    fn write(&self, bytes: &[u8], takes: u8) -> Taken {
        let own = self.own.as_ref().unwrap().as_fd();
        let place = (bytes.as_ptr() as usize, bytes.len());
        if let Some(before) = self.refused.take() {
            assert_eq!(place, before, "other bytes than those refused");
            get_answer(own);
        }
        self.calls.set(self.calls.get() + 1);
        if takes % 4 == 3 && self.calls.get() % 2 == 1 && self.answer() {
            self.refused.set(Some(place));
            return Taken::WantRead;
        }
        let most = bytes.len().min(usize::from(takes) * 64 + 16);
        match put(own, &bytes[..most]) {
            0 => {
                self.refused.set(Some(place));
                Taken::WantWrite
            }
            count => Taken::Bytes(count),
        }
    }

    /// Has the peer say something, as in a handshake, if it can.
    fn answer(&self) -> bool {
        let peer = self.peer.borrow();
        self.wire.is_socket()
            && peer
                .as_ref()
                .is_some_and(|peer| put(peer.as_fd(), b"!") == 1)
    }
}

/// Takes what the peer has said, if anything.
fn get_answer(own: BorrowedFd<'_>) {
    if rustix::net::sockopt::socket_type(own).is_ok() {
        get(own, 8, &mut Vec::new());
    }
}

/// What callbacks know: they must not keep their link in memory.
type Context = (Weak<World>, Weak<Carrier>);

fn upgrade((world, carrier): &Context) -> Option<(Rc<World>, Rc<Carrier>)> {
    Some((world.upgrade()?, carrier.upgrade()?))
}

fn link_kind(kind: Kind, context: &Context) -> LinkKind {
    match kind {
        Kind::Raw => LinkKind::Raw,
        Kind::Framed => LinkKind::Framed,
        Kind::Callback { sealed, takes } => LinkKind::Callback(Callbacks {
            write: write(context.clone(), takes),
            seal: sealed.then(|| seal(context.clone())),
        }),
    }
}

fn write(context: Context, takes: u8) -> WriteCallback {
    Rc::new(move |bytes| {
        let (world, carrier) = upgrade(&context).unwrap();
        assert!(!bytes.is_empty() && !carrier.freed.get() && !carrier.told_closed.get());
        if carrier.peer_left.get() {
            return Err(io::Error::from_raw_os_error(libc::EPIPE));
        }
        let taken = carrier.write(bytes, takes);
        world.react();
        Ok(taken)
    })
}

fn seal(context: Context) -> SealCallback {
    Rc::new(move |payload, into| {
        assert!(!payload.is_empty());
        into.extend(payload.iter().map(|byte| byte ^ SEAL));
        into.push(0);
        if let Some((world, _)) = upgrade(&context) {
            world.react();
        }
        Ok(())
    })
}

fn on_error(context: Context) -> ErrorCallback {
    Rc::new(move |errno| {
        let Some((world, carrier)) = upgrade(&context) else {
            return;
        };
        assert!(!carrier.freed.get() && !carrier.told_closed.get());
        assert!(
            carrier.failed.replace(Some(errno)).is_none(),
            "failed twice"
        );
        world.react();
    })
}

fn on_closed(context: Context) -> Notification {
    Rc::new(move || {
        let Some((world, carrier)) = upgrade(&context) else {
            return;
        };
        assert!(carrier.closed_by_host.get() && !carrier.freed.get());
        assert!(!carrier.told_closed.replace(true), "closed twice");
        world.react();
    })
}
