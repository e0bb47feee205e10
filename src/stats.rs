//! What a stage of the data path did with its bytes and its time.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// What a stage can be held up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The program that writes the stream (tar, dump) had nothing ready.
    Writer,
    /// The receiving side (the network, or the pipe to the next stage) took nothing more.
    Output,
    /// The reader of the index left its pipe full.
    Index,
}

/// How a stage moves its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Through a buffer in user space, as on any POSIX system.
    #[default]
    Copy,
    /// By splice(2), and tee(2) where they go two ways: they do not pass through user space, except in pieces too small
    /// for that to pay.
    Splice,
}

/// How much passed through a stage, and how long each side kept it waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that left the stage.
    pub bytes: u64,
    /// From the stage's start to its end, or to the moment of asking.
    pub elapsed: Duration,
    /// Time spent waiting for the writer.
    pub writer: Duration,
    /// Time spent waiting for the output.
    pub output: Duration,
    /// Time spent waiting for the reader of the index.
    pub index: Duration,
    /// How the bytes were moved so far.
    pub method: Method,
}

/// Adds up a stage's waiting times. Waits do not overlap: beginning one ends the one before.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    ended: Option<Instant>,
    waiting: Option<(Wait, Instant)>,
    bytes: u64,
    writer: Duration,
    output: Duration,
    index: Duration,
    method: Method,
}

impl Default for Meter {
    fn default() -> Self {
        Self::start()
    }
}

impl Meter {
    /// Starts the clock.
    #[must_use]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            ended: None,
            waiting: None,
            bytes: 0,
            writer: Duration::ZERO,
            output: Duration::ZERO,
            index: Duration::ZERO,
            method: Method::default(),
        }
    }

    /// Counts `bytes` that left the stage.
    pub fn passed(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Notes how the stage moves its bytes.
    pub fn moved_by(&mut self, method: Method) {
        self.method = method;
    }

    /// The stage begins to wait for `wait`; a wait for the same thing that is under way goes on.
    pub fn wait_for(&mut self, wait: Wait) {
        if self.waiting.is_none_or(|(current, _)| current != wait) {
            let now = Instant::now();
            self.settle(now);
            self.waiting = Some((wait, now));
        }
    }

    /// The stage works again.
    pub fn resume(&mut self) {
        if self.waiting.is_some() {
            self.settle(Instant::now());
        }
    }

    /// The stage has ended: the clock stops.
    pub fn end(&mut self) {
        if self.ended.is_none() {
            let now = Instant::now();
            self.settle(now);
            self.ended = Some(now);
        }
    }

    /// The figures so far, a wait under way included.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let now = self.ended.unwrap_or_else(Instant::now);
        let waited = |wait| match self.waiting {
            Some((current, since)) if current == wait => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        Stats {
            bytes: self.bytes,
            elapsed: now.saturating_duration_since(self.started),
            writer: self.writer + waited(Wait::Writer),
            output: self.output + waited(Wait::Output),
            index: self.index + waited(Wait::Index),
            method: self.method,
        }
    }

    fn settle(&mut self, now: Instant) {
        if let Some((wait, since)) = self.waiting.take() {
            let waited = now.saturating_duration_since(since);
            match wait {
                Wait::Writer => self.writer += waited,
                Wait::Output => self.output += waited,
                Wait::Index => self.index += waited,
            }
        }
    }
}
