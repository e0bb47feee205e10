//! amrelay-why: says what each dump, restore and estimate on this client waits for right now.
//!
//!     amrelay-why
//!     amrelay-why --json --interval 10
//!
//!     --json              print a JSON object for each of them, on one line
//!     --interval SECONDS  observe for so long, 3 seconds by default
//!
//! On a terminal it goes on until it is interrupted, and shows the last interval. Otherwise it observes once, prints a line for each and
//! ends. The line begins with the verdict: the slowest stage, and why it is slow. Then come the disk and its level, how much
//! the backup program has written so far, and how fast it was in the interval.
//!
//! It reads proc(5) and asks `sock_diag(7)`. Nothing of Amanda waits for it. Root sees everything. For others, and in other network
//! namespaces than the client's, the lines say what could not be seen.
//!
//! Ends with status 0, also if nothing is under way; with 1 if it cannot print; with 2 if the options are wrong.
#![forbid(unsafe_code)]

mod chain;
mod connections;
mod figures;
mod json;
mod line;
mod observation;
mod snapshot;
mod verdict;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt};

use crate::observation::{Observation, observe};
use crate::verdict::judge;

const USAGE: &str = "usage: amrelay-why [--json] [--interval SECONDS]\n";
/// Source: ECMA-48: cursor to the first place, erase what follows it.
const CLEAR: &str = "\x1b[H\x1b[J";

struct Options {
    json: bool,
    interval: Duration,
}

enum Order {
    Observe(Options),
    Print(String),
}

fn main() -> ExitCode {
    let (mut out, mut errors) = (io::stdout().lock(), io::stderr().lock());
    let done = match parse(lexopt::Parser::from_env()) {
        Ok(Order::Observe(options)) => run(&options, &mut out),
        Ok(Order::Print(text)) => out.write_all(text.as_bytes()),
        Err(error) => {
            // Nobody is left to be told if this fails.
            let _ = write!(errors, "amrelay-why: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Its reader wants no more, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(errors, "amrelay-why: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: lexopt::Parser) -> Result<Order, lexopt::Error> {
    let mut options = Options {
        json: false,
        interval: Duration::from_secs(3),
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("json") => options.json = true,
            Long("interval") => options.interval = arguments.value()?.parse_with(seconds)?,
            Short('h') | Long("help") => return Ok(Order::Print(USAGE.into())),
            Short('V') | Long("version") => {
                return Ok(Order::Print(format!(
                    "amrelay-why {}\n",
                    env!("CARGO_PKG_VERSION")
                )));
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Order::Observe(options))
}

/// From a tenth of a second, in which a few looks fit, to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| (0.1..=86400.0).contains(number));
    number
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "it is not from 0.1 to 86400".to_owned())
}

fn run(options: &Options, out: &mut impl Write) -> io::Result<()> {
    let again = io::stdout().is_terminal() && !options.json;
    loop {
        let seen = observe(options.interval);
        let text = show(&seen, options.json);
        if !again {
            out.write_all(text.as_bytes())?;
            return out.flush();
        }
        write!(out, "{CLEAR}{text}")?;
        out.flush()?;
        // With nothing to observe, that took no time.
        if seen.first.family.is_empty() {
            std::thread::sleep(options.interval);
        }
    }
}

/// A line for each dump, restore and estimate of the interval.
fn show(seen: &Observation, as_json: bool) -> String {
    let jobs = chain::jobs(&seen.first);
    let mut text = String::new();
    for report in jobs.iter().filter_map(|job| figures::report(job, seen)) {
        let verdict = judge(&report.figures);
        if as_json {
            // Its fields are numbers, words and texts, all of which JSON has.
            text += &json::json(&report, &verdict, seen.seconds).unwrap_or_default();
        } else {
            text += &line::line(&report, &verdict);
        }
        text.push('\n');
    }
    if text.is_empty() && !as_json {
        text = "nothing of Amanda's client is under way\n".into();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Order, lexopt::Error> {
        parse(lexopt::Parser::from_iter(
            [&["amrelay-why"][..], arguments].concat(),
        ))
    }

    #[test]
    fn options() {
        let Ok(Order::Observe(options)) = parsed(&["--json", "--interval=0.5"]) else {
            panic!("both are options");
        };
        assert!(options.json && options.interval == Duration::from_millis(500));
        for wrong in [
            &["--interval", "0"][..],
            &["--interval", "NaN"],
            &["--interval"],
            &["file"],
            &["-x"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        assert!(matches!(parsed(&["-h"]), Ok(Order::Print(text)) if text == USAGE));
    }
}
