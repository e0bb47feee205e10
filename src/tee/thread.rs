//! A tee in a thread of its own.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::stats::Meter;
use crate::sys::signal_mask::AllBlocked;

use super::control::{Control, control};
use super::{Config, IndexEnd, Report, Way, run_method};

/// What Rust's library takes by itself, unless the environment (`RUST_MIN_STACK`) has a say: a set-uid host does not do what
/// that says. The host's functions run on this stack, too.
const STACK_SIZE: usize = 2 << 20;

/// A tee running in a thread of its own. Dropping it leaves the thread running to its end.
#[derive(Debug)]
pub struct Tee {
    state: State,
    control: Arc<Control>,
}

#[derive(Debug)]
enum State {
    Running(Option<JoinHandle<Report>>),
    Ended(Box<Report>),
}

impl Tee {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started (`EAGAIN`), or there can be no further descriptors (`EMFILE`, `ENFILE`). The descriptors
    /// that the configuration owns are closed then.
    pub fn start(config: Config) -> io::Result<Self> {
        Self::start_with(config.method, move || config)
    }

    /// As [`start`](Self::start), with a configuration that is put together in the new thread: after a failure `make`
    /// is dropped without having been called. Its `method` is overruled by `method`.
    ///
    /// # Errors
    /// As those of [`start`](Self::start).
    pub fn start_with(
        method: super::Method,
        make: impl FnOnce() -> Config + Send + 'static,
    ) -> io::Result<Self> {
        let method = method.or_environment();
        let (control, interrupt) = control()?;
        let _signals = AllBlocked::new();
        let thread = std::thread::Builder::new()
            .name("amrelay-tee".into())
            .stack_size(STACK_SIZE)
            .spawn(move || run_method(make(), method, interrupt))?;
        Ok(Self {
            state: State::Running(Some(thread)),
            control,
        })
    }

    /// What other threads may hold while one waits for the tee.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Waits until the tee has ended, and tells what came of it.
    pub fn wait(&mut self) -> &Report {
        if let State::Running(thread) = &mut self.state {
            let report = thread
                .take()
                .and_then(|thread| thread.join().ok())
                .unwrap_or_else(panicked);
            self.state = State::Ended(Box::new(report));
        }
        match &self.state {
            State::Ended(report) => report,
            State::Running(_) => unreachable!("the thread was joined above"),
        }
    }
}

/// The report of a tee that panicked, or its output callback. Unwinding has closed its descriptors.
fn panicked() -> Report {
    let mut meter = Meter::start();
    meter.end();
    Report {
        bytes: 0,
        read: 0,
        crc: None,
        entries: 0,
        input: Ok(()),
        output: Err(io::Error::other("the tee's thread panicked")),
        index: IndexEnd::Abandoned,
        way: Way::Copy,
        stats: meter.stats(),
    }
}
