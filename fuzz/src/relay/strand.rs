//! A stream, its writer, and what is known of both.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};

use amrelay::relay::{EndCallback, Stream, StreamOptions, TapCallback};
use amrelay::sys::{Descriptor, Errno};

use super::carrier::Carrier;
use super::{Action, World};
use crate::pattern;
use crate::program::Amount;
use crate::wire::{Wire, put, set_nonblocking};

pub(super) struct Strand {
    pub(super) link: Rc<Carrier>,
    /// Its handle, and what tells its bytes from others.
    pub(super) number: usize,
    stream: RefCell<Option<Stream>>,
    writing: RefCell<Option<OwnedFd>>,
    /// Where a source that is lent stays; where it is the stream's, a duplicate keeps writers from a broken pipe.
    _reading: OwnedFd,
    /// What the writer has written.
    pub(super) written: Cell<usize>,
    /// What the tap has seen.
    tapped: Option<RefCell<Vec<u8>>>,
    /// What `on_end` was told.
    pub(super) ended: Cell<Option<Result<(), Errno>>>,
    /// The host stopped it, so that it never hears of an end.
    freed: Cell<bool>,
}

impl Strand {
    pub(super) fn start(
        world: &Rc<World>,
        link: &Rc<Carrier>,
        number: usize,
        wire: Wire,
        bulk: bool,
        tapped: bool,
        lent: bool,
    ) -> Option<Rc<Self>> {
        let (writing, reading) = wire.open();
        set_nonblocking(&writing, true);
        let (kept, descriptor) = if lent {
            // SAFETY: the strand keeps it open for longer than its stream lives.
            let descriptor = unsafe { Descriptor::lend(reading.as_raw_fd()) };
            (reading, descriptor)
        } else {
            (reading.try_clone().unwrap(), Descriptor::from(reading))
        };
        let strand = Rc::new(Self {
            link: Rc::clone(link),
            number,
            stream: RefCell::new(None),
            writing: RefCell::new(Some(writing)),
            _reading: kept,
            written: Cell::new(0),
            tapped: tapped.then(RefCell::default),
            ended: Cell::new(None),
            freed: Cell::new(false),
        });
        let context = (Rc::downgrade(world), Rc::downgrade(&strand));
        let stream = link.start(StreamOptions {
            descriptor,
            handle: u32::try_from(number).unwrap(),
            bulk,
            tap: tapped.then(|| tap(context.clone())),
            on_end: Some(on_end(context)),
        })?;
        strand.stream.replace(Some(stream));
        Some(strand)
    }

    pub(super) fn act(&self, action: Action) {
        match action {
            Action::Write { amount, .. } => self.write(amount),
            Action::CloseSource { .. } => drop(self.writing.take()),
            Action::FreeStream { .. } => {
                let stream = self.stream.take();
                self.freed.set(self.freed.get() || stream.is_some());
                drop(stream);
            }
            _ => unreachable!("not a stream's"),
        }
    }

    fn write(&self, Amount(count): Amount) {
        if let Some(writing) = &*self.writing.borrow() {
            let from = self.written.get();
            let bytes = pattern::bytes(self.number, from, count);
            self.written.set(from + put(writing.as_fd(), &bytes));
        }
    }

    /// Whether the end, if it came before its time, is nobody's fault but the host's or the peer's.
    pub(super) fn may_be_cut(&self) -> bool {
        self.freed.get() || self.ended.get() != Some(Ok(()))
    }

    /// All sources have been closed, and all connections been read.
    pub(super) fn check_ended(&self) {
        let told = self.ended.get();
        let silent = self.freed.get() || self.link.is_freed();
        assert!(
            told.is_some() || silent,
            "stream {} did not end",
            self.number
        );
        match told {
            Some(Ok(())) => assert!(self.writing.borrow().is_none()),
            Some(Err(errno)) => assert!(self.link.may_fail(errno), "ended with {errno}"),
            None => {}
        }
        if let Some(tapped) = &self.tapped {
            let tapped = tapped.borrow();
            pattern::check(self.number, &tapped);
            assert!(tapped.len() <= self.written.get());
            assert!(told != Some(Ok(())) || tapped.len() == self.written.get());
        }
        if let (Some(stream), Some(Ok(()))) = (&*self.stream.borrow(), told) {
            assert_eq!(stream.stats().bytes, self.written.get() as u64);
        }
    }
}

/// What callbacks know: they must not keep their stream in memory.
type Context = (Weak<World>, Weak<Strand>);

fn upgrade((world, strand): &Context) -> Option<(Rc<World>, Rc<Strand>)> {
    Some((world.upgrade()?, strand.upgrade()?))
}

fn tap(context: Context) -> TapCallback {
    Rc::new(move |bytes| {
        let Some((world, strand)) = upgrade(&context) else {
            return;
        };
        assert!(!bytes.is_empty() && !strand.freed.get() && strand.ended.get().is_none());
        if let Some(tapped) = &strand.tapped {
            tapped.borrow_mut().extend_from_slice(bytes);
        }
        world.react();
    })
}

fn on_end(context: Context) -> EndCallback {
    Rc::new(move |end| {
        let Some((world, strand)) = upgrade(&context) else {
            return;
        };
        assert!(!strand.freed.get(), "a freed stream was told of its end");
        assert!(strand.ended.replace(Some(end)).is_none(), "told twice");
        world.react();
    })
}
