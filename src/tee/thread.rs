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

/// The default of Rust's library. It is set explicitly because a set-uid host must not obey the environment
/// (`RUST_MIN_STACK`). The host's functions run on this stack, too.
const STACK_SIZE: usize = 2 << 20;

/// A thread that waits for its task. All steps of a start that can fail are done, and nothing is taken yet. Dropping
/// it ends the thread.
#[derive(Debug)]
pub struct Prepared {
    order: Sender<Config>,
    tee: Tee,
}

impl Prepared {
    /// Starts the thread. All signals are blocked in it, except those that its own faults would raise.
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

    /// Lets the tee begin. The environment's choice of method is read in the calling thread: the host may change the
    /// environment.
    #[must_use]
    pub fn start(self, config: Config) -> Tee {
        // It fails only if the thread has ended; `Tee::wait` tells the host.
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
    /// What other threads can use while one waits for the tee.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Waits until the tee has ended, and returns its report.
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
