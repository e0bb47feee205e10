//! What it costs to carry pipes to TCP connections on loopback, how fair it is, how soon a message leaves, and what a
//! relay uses that cannot go on.
//!
//! `cargo bench --bench relay` prints one line a figure: group, case, variant, metric and value, separated by tabs. The
//! rounds are interleaved: every case and variant is measured once before any is measured again. A word as argument
//! (`cargo bench --bench relay -- 'framed, 16'`) leaves the cases whose names contain it.
//!
//! `AMRELAY_BENCH_ROUNDS` is the number of rounds (5); `AMRELAY_BENCH_QUICK=yes` measures fewer cases with less data.
#![allow(clippy::print_stdout, reason = "a measurement prints its result")]
#![allow(clippy::cast_precision_loss, reason = "figures need no exactness")]

#[path = "../../tests/support/decoder.rs"]
mod decoder;
mod ends;
mod latency;
mod report;
mod rivals;
mod stalled;
mod streams;

use report::Settings;

fn main() {
    if let Some(role) = stalled::role() {
        return stalled::play(role);
    }
    let settings = Settings::from_environment();
    for round in 0..settings.rounds {
        streams::round(&settings);
        latency::round(&settings);
        // Nothing in it is left to chance: once will do where time is short.
        if round == 0 || !settings.quick {
            stalled::round(&settings);
        }
    }
}
