//! One line about a dump, in units that people use.

use std::fmt::Write;

use crate::chain::Kind;
use crate::figures::Report;
use crate::verdict::{Cause, Finding, Sending, Stage, Verdict};

const KIBIBYTE: f64 = 1024.0;
const MEGABYTE: f64 = 1e6;

/// The line: the verdict, what it is about, how far that is, and what could not be seen.
pub(crate) fn line(report: &Report, verdict: &Verdict) -> String {
    let mut line = format!("{}  {}", sentence(report, verdict), subject(report));
    // Writing into a String does not fail.
    if let Some(bytes) = report.bytes {
        let _ = write!(line, "  {}", size(bytes));
    }
    if let Some(rate) = report.rate {
        let _ = write!(line, "  {}", speed(rate));
    }
    for unseen in &report.unseen {
        let _ = write!(line, "  [not seen: {}]", printable(unseen));
    }
    line
}

/// What a verdict is about: `dump of /home lev 1 (sendbackup 4711)`.
fn subject(report: &Report) -> String {
    let (kind, service) = match report.figures.kind {
        Kind::Dump => ("dump", "sendbackup"),
        Kind::Restore if report.amandad == report.service => ("restore", "amrecover"),
        Kind::Restore => ("restore", "restore"),
        Kind::Estimate => ("estimate", "sendsize"),
    };
    let disk = printable(report.disk.as_deref().unwrap_or("?"));
    let level = report
        .level
        .map(|level| format!(" lev {level}"))
        .unwrap_or_default();
    format!("{kind} of {disk}{level} ({service} {})", report.service)
}

/// The verdict in words.
pub(crate) fn sentence(report: &Report, verdict: &Verdict) -> String {
    let sending = report.figures.sending;
    match verdict {
        Verdict::Decided(finding) => words(finding, sending),
        Verdict::Between(one, other) => {
            format!(
                "not decided: {}, or {}",
                words(one, sending),
                words(other, sending)
            )
        }
        Verdict::Unknown => "unknown: there is no backup program".to_owned(),
    }
}

fn words(finding: &Finding, sending: Option<Sending>) -> String {
    let who = match finding.stage {
        Stage::Program => "backup program ",
        Stage::Filter => "filter ",
        Stage::Extraction => "extraction ",
        Stage::Network => "the network",
        Stage::Server => "the server",
        Stage::Sendbackup | Stage::Amandad | Stage::Restore => "",
    };
    let process = match (&finding.program, finding.pid) {
        (Some(program), Some(pid)) => format!("{} ({pid})", printable(program)),
        _ => String::new(),
    };
    format!("{who}{process} {}", predicate(finding, sending))
}

fn predicate(finding: &Finding, sending: Option<Sending>) -> String {
    let percent = percent(finding.share);
    match finding.cause {
        Cause::Stopped => "is stopped".into(),
        Cause::Starved => format!("waits for a processor ({percent} of the time)"),
        Cause::Disk => format!("waits for its disk ({percent} of the time)"),
        Cause::SmallFiles => "reads many small files".into(),
        Cause::Busy => format!("computes ({percent} of a processor)"),
        Cause::Waits if finding.stage == Stage::Program => {
            "sleeps, and not because of a disk".into()
        }
        Cause::Waits => "does not take its input".into(),
        Cause::WindowFull if sending.is_some() => {
            format!("does not read (window full {percent} of the time)")
        }
        Cause::WindowFull => "does not read".into(),
        Cause::Slow => format!("is slow{}", sending.map(network).unwrap_or_default()),
        Cause::Silent => "brings no more".into(),
    }
}

fn network(sending: Sending) -> String {
    format!(
        " (busy {} of the time, round trip {:.1} ms, {} segments sent again)",
        percent(sending.busy),
        sending.round_trip_ms,
        sending.retransmits
    )
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Bytes as a person writes them.
#[allow(clippy::cast_precision_loss)] // three digits are shown
fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if size < KIBIBYTE {
            break;
        }
        size /= KIBIBYTE;
        unit = larger;
    }
    match unit {
        "B" => format!("{bytes} B"),
        _ => format!("{size:.1} {unit}"),
    }
}

/// Bytes per second as a person writes them.
fn speed(rate: f64) -> String {
    format!("{:.1} MB/s", rate / MEGABYTE)
}

/// Text from a process or a disk list, without what would move a terminal's cursor or turn its text around.
pub(crate) fn printable(text: &str) -> String {
    let turns = |letter| matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || turns(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Role;
    use crate::verdict::Figures;

    fn report(kind: Kind) -> Report {
        Report {
            disk: Some("/home".into()),
            level: Some(1),
            amandad: 10,
            service: 11,
            bytes: Some(1_288_490_189),
            rate: Some(12_340_000.0),
            figures: Figures {
                kind,
                source: Vec::new(),
                source_role: Role::Program,
                steps: Vec::new(),
                sending: Some(Sending {
                    busy: 0.99,
                    round_trip_ms: 12.34,
                    retransmits: 3,
                    ..Sending::default()
                }),
            },
            unseen: Vec::new(),
        }
    }

    fn finding(stage: Stage, cause: Cause, program: Option<&str>) -> Finding {
        Finding {
            stage,
            cause,
            share: 0.98,
            pid: program.map(|_| 12),
            program: program.map(str::to_owned),
        }
    }

    #[test]
    fn the_verdict_comes_first() {
        let verdict = Verdict::Decided(finding(Stage::Program, Cause::Disk, Some("tar")));
        assert_eq!(
            line(&report(Kind::Dump), &verdict),
            "backup program tar (12) waits for its disk (98% of the time)  dump of /home lev 1 (sendbackup 11)  1.2 GiB  12.3 MB/s"
        );
    }

    #[test]
    fn what_is_not_known_is_a_question_mark_or_left_out() {
        let verdict = Verdict::Decided(finding(Stage::Amandad, Cause::Stopped, Some("amandad")));
        let mut report = report(Kind::Restore);
        (report.disk, report.level, report.bytes, report.rate) = (None, None, None, None);
        report.unseen = vec!["the pipes".into()];
        assert_eq!(
            line(&report, &verdict),
            "amandad (12) is stopped  restore of ? (restore 11)  [not seen: the pipes]"
        );
    }

    #[test]
    fn two_candidates_are_both_named() {
        let verdict = Verdict::Between(
            finding(Stage::Server, Cause::WindowFull, None),
            finding(Stage::Network, Cause::Slow, None),
        );
        assert_eq!(
            sentence(&report(Kind::Dump), &verdict),
            "not decided: the server does not read (window full 98% of the time), or the network is slow (busy 99% of the time, \
             round trip 12.3 ms, 3 segments sent again)"
        );
    }

    #[test]
    fn sizes() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5 << 20, "5.0 MiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ];
        for (bytes, shown) in table {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn hostile_names_move_nothing_on_the_terminal() {
        let verdict = Verdict::Decided(finding(Stage::Filter, Cause::Busy, Some("\x1b[2Jgz\nip")));
        let mut report = report(Kind::Dump);
        report.disk = Some("päivä\r\u{202e}\u{9b}1A".into());
        let line = line(&report, &verdict);
        assert!(
            line.starts_with(r"filter \u{1b}[2Jgz\nip (12) computes"),
            "{line}"
        );
        assert!(line.contains(r"päivä\r\u{202e}\u{9b}1A"), "{line}");
    }
}
