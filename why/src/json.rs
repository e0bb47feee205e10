//! One JSON object a dump, on one line. Its fields are described in docs/administration.md.

use serde::Serialize;

use crate::chain::Kind;
use crate::figures::Report;
use crate::line::sentence;
use crate::snapshot::Pid;
use crate::verdict::{Finding, Sending, Verdict};

#[derive(Serialize)]
struct Object<'a> {
    kind: Kind,
    disk: Option<&'a str>,
    level: Option<u32>,
    decided: bool,
    /// One if it is decided, two if it is between them, none if nothing is known.
    findings: Vec<&'a Finding>,
    verdict: String,
    bytes: Option<u64>,
    bytes_per_second: Option<f64>,
    seconds: f64,
    service: Pid,
    amandad: Option<Pid>,
    pipes: Vec<Pipe<'a>>,
    connection: Option<Sending>,
    unseen: &'a [String],
}

#[derive(Serialize)]
struct Pipe<'a> {
    read_by: Vec<&'a str>,
    full: Option<f64>,
}

/// The object as text. `seconds` is the length of the interval.
pub(crate) fn json(report: &Report, verdict: &Verdict, seconds: f64) -> serde_json::Result<String> {
    let findings = match verdict {
        Verdict::Decided(finding) => vec![finding],
        Verdict::Between(one, other) => vec![one, other],
        Verdict::Unknown => Vec::new(),
    };
    let pipes = report.figures.steps.iter().map(|step| Pipe {
        read_by: step
            .readers
            .iter()
            .map(|worker| worker.name.as_str())
            .collect(),
        full: step.full,
    });
    serde_json::to_string(&Object {
        kind: report.figures.kind,
        disk: report.disk.as_deref(),
        level: report.level,
        decided: matches!(verdict, Verdict::Decided(_)),
        findings,
        verdict: sentence(report, verdict),
        bytes: report.bytes,
        bytes_per_second: report.rate,
        seconds,
        service: report.service,
        amandad: Some(report.amandad).filter(|amandad| *amandad != report.service),
        pipes: pipes.collect(),
        connection: report.figures.sending,
        unseen: &report.unseen,
    })
}
