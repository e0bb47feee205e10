//! A sink, as a sequence of pushes, reads and turns: the reader gets what was pushed, in order and, unless it leaves, all
//! of it; the queue keeps its bound; the host is called back when it should be, and never from within its own calls.
//!
//! Run with scripts/fuzz.sh, or with cargo-fuzz (`cargo +nightly fuzz run sink`).
#![no_main]

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use amrelay::event::EventLoop;
use amrelay::relay::frame::MAX_FRAME;
use amrelay::relay::{EndCallback, Error, HIGH_WATER, LOW_WATER, Sink, SinkOptions};
use amrelay::sys::{Descriptor, Errno};
use amrelay_fuzz::pattern;
use amrelay_fuzz::program::{Amount, Sequence, forbid_sigpipe};
use amrelay_fuzz::wire::{Got, Wire, get, open_descriptors, set_nonblocking};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Action {
    Push(Amount),
    /// Much more than a sink takes.
    PushFar,
    Read(Amount),
    Turn,
    Finish,
    ReaderLeaves,
    Drop,
}

#[derive(Debug, Arbitrary)]
struct Program {
    wire: Wire,
    /// The marks, in units of 64 bytes.
    high: u8,
    low: u8,
    lent: bool,
    actions: Sequence<Action>,
}

#[derive(Default)]
struct Seen {
    in_call: Cell<bool>,
    paused: Cell<bool>,
    resumed: Cell<bool>,
    ended: Cell<Option<Result<(), Errno>>>,
}

/// One sink and all that is known of it.
struct Model {
    event_loop: EventLoop,
    sink: Option<Sink>,
    seen: Rc<Seen>,
    high: usize,
    low: usize,
    /// Where a lent descriptor stays.
    writing: Option<OwnedFd>,
    reading: Option<OwnedFd>,
    pushed: usize,
    received: Vec<u8>,
    finished: bool,
    failed: bool,
}

impl Model {
    fn new(program: &Program) -> Option<Self> {
        let event_loop = EventLoop::new().unwrap();
        let (writing, reading) = program.wire.open();
        set_nonblocking(&reading, true);
        let seen = Rc::new(Seen::default());
        let (high, low) = (
            usize::from(program.high) * 64,
            usize::from(program.low) * 64,
        );
        let (lent, descriptor) = if program.lent {
            // SAFETY: the model keeps it open until the sink is gone.
            let descriptor = unsafe { Descriptor::lend(writing.as_raw_fd()) };
            (Some(writing), descriptor)
        } else {
            (None, Descriptor::from(writing))
        };
        let options = SinkOptions {
            descriptor,
            high_water: Some(high).filter(|&high| high > 0),
            low_water: Some(low).filter(|&low| low > 0),
            on_resume: Some(on_resume(&seen)),
            on_end: Some(on_end(&seen)),
        };
        let sink = Sink::new(&event_loop, options);
        let high = if high == 0 { HIGH_WATER } else { high };
        let low = if low == 0 { LOW_WATER.min(high) } else { low };
        if low > high {
            assert!(matches!(sink, Err(Error::Argument(_))));
            return None;
        }
        Some(Self {
            event_loop,
            sink: Some(sink.unwrap()),
            seen,
            high,
            low,
            writing: lent,
            reading: Some(reading),
            pushed: 0,
            received: Vec::new(),
            finished: false,
            failed: false,
        })
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Push(Amount(count)) => self.push(*count),
            Action::PushFar => self.push_far(),
            Action::Read(Amount(count)) => {
                self.read(*count);
            }
            Action::Turn => self.turn(),
            Action::Finish => self.finish(),
            Action::ReaderLeaves => self.reading = None,
            Action::Drop => self.sink = None,
        }
        if let Some(sink) = &self.sink {
            assert!(sink.queued_bytes() <= self.high + MAX_FRAME);
            assert!(sink.stats().bytes <= self.pushed as u64);
        }
    }

    fn push(&mut self, count: usize) {
        let Some(sink) = &self.sink else {
            return;
        };
        let bytes = pattern::bytes(0, self.pushed, count);
        let room = self.high + MAX_FRAME - sink.queued_bytes();
        let gone = self.reading.is_none();
        self.seen.in_call.set(true);
        let result = sink.push(&bytes);
        self.seen.in_call.set(false);
        match result {
            Ok(paused) => {
                assert!(!self.finished && !self.failed && count <= room);
                assert!(paused || sink.queued_bytes() <= self.high);
                self.seen.paused.set(paused);
                self.pushed += count;
            }
            Err(Error::Limit(_)) => assert!(count > room),
            Err(Error::State(_)) => assert!(self.finished),
            Err(Error::System(_)) => {
                assert!(self.failed || gone);
                self.failed = true;
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn push_far(&self) {
        if let Some(sink) = &self.sink {
            let before = sink.queued_bytes();
            assert!(sink.push(&vec![0; self.high + MAX_FRAME + 1]).is_err());
            assert_eq!(sink.queued_bytes(), before);
        }
    }

    fn read(&mut self, count: usize) -> Got {
        let Some(reading) = &self.reading else {
            return Got::End;
        };
        get(reading.as_fd(), count, &mut self.received)
    }

    fn turn(&mut self) {
        self.seen.resumed.set(false);
        self.event_loop.turns(true).unwrap();
        if let Some(end) = self.seen.ended.get() {
            self.failed |= end.is_err();
            assert!(end.is_ok() || self.reading.is_none(), "failed with {end:?}");
            assert!(end.is_err() || self.finished);
        }
        if let (Some(sink), true) = (&self.sink, self.seen.resumed.get()) {
            assert!(sink.queued_bytes() <= self.low && self.seen.paused.replace(false));
        }
    }

    fn finish(&mut self) {
        let Some(sink) = &self.sink else {
            return;
        };
        self.seen.in_call.set(true);
        let result = sink.finish();
        self.seen.in_call.set(false);
        assert_eq!(result.is_ok(), !self.finished && !self.failed);
        self.finished |= result.is_ok();
    }

    /// Goes on until all has arrived and the host knows.
    fn settle(&mut self) {
        if !self.finished && !self.failed {
            self.finish();
        }
        if self.sink.is_none() {
            return;
        }
        for turns in 0.. {
            if self.seen.ended.get().is_some() {
                break;
            }
            assert!(turns < 1000, "the end does not come");
            let before = self.received.len();
            self.turn();
            let got = self.read(1 << 20);
            let moved = self.received.len() > before || got == Got::End;
            assert!(moved || self.seen.ended.get().is_some(), "stands still");
        }
        while let Got::Bytes(_) = self.read(1 << 20) {}
        assert!(self.reading.is_none() || self.received.len() == self.pushed);
        self.event_loop.turns(true).unwrap();
    }
}

fn on_resume(seen: &Rc<Seen>) -> Rc<dyn Fn()> {
    let seen = Rc::clone(seen);
    Rc::new(move || {
        assert!(!seen.in_call.get() && seen.paused.get() && seen.ended.get().is_none());
        assert!(!seen.resumed.replace(true), "resumed twice");
    })
}

fn on_end(seen: &Rc<Seen>) -> EndCallback {
    let seen = Rc::clone(seen);
    Rc::new(move |end| {
        assert!(!seen.in_call.get());
        assert!(seen.ended.replace(Some(end)).is_none(), "ended twice");
    })
}

fuzz_target!(|program: Program| {
    forbid_sigpipe();
    let before = open_descriptors();
    if let Some(mut model) = Model::new(&program) {
        for action in &program.actions.0 {
            model.act(action);
        }
        model.settle();
        pattern::check(0, &model.received);
        assert!(model.received.len() <= model.pushed);
        assert!(
            model
                .writing
                .is_none_or(|fd| rustix::io::fcntl_getfd(fd).is_ok())
        );
    }
    assert_eq!(open_descriptors(), before);
});
