//! What is measured, how often, and how the figures are printed.

use std::env;
use std::ops::Add;
use std::time::{Duration, Instant};

use rustix::time::ClockId;

const GIB: f64 = (1_u64 << 30) as f64;

/// What the environment and the command line ask for.
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    filter: String,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        Self {
            rounds: env::var("AMRELAY_BENCH_ROUNDS")
                .map_or(5, |rounds| rounds.parse().expect("a number of rounds")),
            quick: env::var("AMRELAY_BENCH_QUICK").is_ok_and(|quick| quick == "yes"),
            // Cargo adds an argument of its own, `--bench`.
            filter: env::args()
                .skip(1)
                .find(|argument| !argument.starts_with("--"))
                .unwrap_or_default(),
        }
    }

    /// Whether this case and variant are asked for.
    pub(crate) fn wants(&self, case: &str, variant: &str) -> bool {
        format!("{case}, {variant};").contains(&self.filter)
    }
}

/// Prints one figure.
pub(crate) fn figure(case: &str, variant: &str, metric: &str, value: f64) {
    println!("relay\t{case}\t{variant}\t{metric}\t{value:.4}");
}

/// What a run has cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    elapsed: Duration,
    /// The processor time of the relaying thread.
    relay: Duration,
    /// Of that and of the writers: what a client has to do.
    client: Duration,
    /// Of the process: with the receivers.
    all: Duration,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            elapsed: self.elapsed + other.elapsed,
            relay: self.relay + other.relay,
            client: self.client + other.client,
            all: self.all + other.all,
        }
    }
}

impl Cost {
    pub(crate) fn speed(&self, bytes: usize) -> f64 {
        bytes as f64 / self.elapsed.as_secs_f64() / 1e9
    }

    pub(crate) fn relay_per_gib(&self, bytes: usize) -> f64 {
        per_gib(self.relay, bytes)
    }

    pub(crate) fn print(&self, case: &str, variant: &str, bytes: usize) {
        figure(case, variant, "GB/s", self.speed(bytes));
        for (metric, time) in [
            ("CPU s/GiB", self.relay),
            ("client CPU s/GiB", self.client),
            ("all CPU s/GiB", self.all),
        ] {
            figure(case, variant, metric, per_gib(time, bytes));
        }
    }
}

fn per_gib(time: Duration, bytes: usize) -> f64 {
    time.as_secs_f64() / bytes as f64 * GIB
}

/// Measures a run in pieces: the relaying thread is this one, and its part ends first.
pub(crate) struct Meter {
    start: Instant,
    relay: Duration,
    all: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            relay: cpu(ClockId::ThreadCPUTime),
            all: cpu(ClockId::ProcessCPUTime),
        }
    }

    /// Ends the measurement; `wait` waits for receivers and writers and says what the writers have used.
    pub(crate) fn end(self, wait: impl FnOnce() -> Duration) -> Cost {
        let relay = cpu(ClockId::ThreadCPUTime).saturating_sub(self.relay);
        let writers = wait();
        Cost {
            elapsed: self.start.elapsed(),
            relay,
            client: relay + writers,
            all: cpu(ClockId::ProcessCPUTime).saturating_sub(self.all),
        }
    }
}

/// The processor time that this thread or process has used.
pub(crate) fn cpu(clock: ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap()
}
