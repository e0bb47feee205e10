//! The thread that a tee runs in.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use crate::inspect::IndexEnd;
use crate::stats::Meter;
use crate::sys::signal::AllBlocked;

use super::config::Config;
use super::control::{Control, control};
use super::report::Report;
use super::run::run;

/// What Rust's library takes by itself, unless the environment (`RUST_MIN_STACK`) has a say: a set-uid host does not do what
/// that says. The host's functions run on this stack, too.
const STACK_SIZE: usize = 2 << 20;

/// A thread that waits for what it is to do: all that a start can fail of is behind it, and nothing is taken yet. Dropping
/// it ends the thread.
#[derive(Debug)]
pub struct Prepared {
    order: Sender<Config>,
    tee: Tee,
}

impl Prepared {
    /// Starts the thread. All signals are blocked in it but those that its own faults would raise.
    ///
    /// # Errors
    /// No thread can be started (`EAGAIN`), or there can be no further descriptors (`EMFILE`, `ENFILE`).
    pub fn new() -> io::Result<Self> {
        let (control, interrupt) = control()?;
        let (order, orders) = mpsc::channel::<Config>();
        let _signals = AllBlocked::new();
        let thread = thread::Builder::new()
            .name("amrelay-tee".into())
            .stack_size(STACK_SIZE)
            .spawn(move || {
                interrupt.claim_thread();
                let config = orders.recv().ok()?;
                Some(run(config, interrupt))
            })?;
        let tee = Tee { thread, control };
        Ok(Self { order, tee })
    }

    /// Lets the tee begin. What the environment says of its method is asked for in this thread: the environment is the
    /// host's to change.
    #[must_use]
    pub fn start(self, config: Config) -> Tee {
        // It fails only if the thread has ended: `Tee::wait` tells.
        let _ = self.order.send(config.with_environment());
        self.tee
    }
}

/// A tee at work. Dropping it leaves its thread running to its end.
#[derive(Debug)]
pub struct Tee {
    thread: JoinHandle<Option<Report>>,
    control: Arc<Control>,
}

impl Tee {
    /// What other threads may hold while one waits for the tee.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Waits until the tee has ended, and tells what came of it.
    #[must_use]
    pub fn wait(self) -> Report {
        let report = self.thread.join().ok().flatten();
        report.unwrap_or_else(panicked)
    }
}

/// The report of a tee that panicked, or its output callback. Unwinding has closed its descriptors.
fn panicked() -> Report {
    let mut meter = Meter::start();
    meter.end();
    Report {
        read: 0,
        crc: None,
        entries: 0,
        input: Ok(()),
        output: Err(io::Error::other("the tee's thread panicked")),
        index: IndexEnd::Abandoned,
        stats: meter.stats(),
    }
}
