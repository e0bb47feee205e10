//! The slowest stage and why it is slow: a function of figures, which touches nothing else.
//!
//! A pipe fills before a stage that is slower than those before it, and runs empty behind it. So the slowest stage is what reads
//! the last full pipe; where no pipe is full, it is what the data come from. What that process did in the interval is the cause.
//!
//! The limits below are shares of the interval, or of a pipe. None of them is sharp: where they do not decide, two candidates are
//! named.

use serde::Serialize;

use crate::chain::{Kind, Role};
use crate::snapshot::Pid;

/// A pipe this full holds its writer back. Not nearer to 1: a reader that takes large pieces leaves it half empty each time.
const FULL: f64 = 0.6;
/// What a process does more than half of the time is what the dump waits for.
const MOSTLY: f64 = 0.5;
/// This much of a processor is all that a process gets that must also wait for what it reads and writes.
const BUSY: f64 = 0.6;
/// A connection that has data to send this long is what holds the data back, not what writes into it.
const SENDING: f64 = 0.6;
/// With its window full for this part of the time that it has data to send, the peer does not read. Over a slow network the window
/// is full when a burst arrives, too, but not for long.
const WINDOW: f64 = 0.8;
/// Below this part the window has room, and the network does not bring the data there.
const OPEN_WINDOW: f64 = 0.4;
/// Bytes. Reading smaller files costs as much for opening each as for its bytes.
const SMALL_FILE: f64 = 512.0 * 1024.0;

/// A part of the way of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// What reads the files.
    Program,
    /// Amanda's sendbackup.
    Sendbackup,
    /// A filter of the client.
    Filter,
    /// Amanda's amandad.
    Amandad,
    /// What is between the machines.
    Network,
    /// Amanda's server.
    Server,
    /// Amanda's restore, or amrecover.
    Restore,
    /// What writes the restored files.
    Extraction,
}

/// Why a stage is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Somebody has stopped the process.
    Stopped,
    /// It could run, and other processes have the processors.
    Starved,
    /// It waits for a disk, or for another device or file system that lets nothing interrupt it.
    Disk,
    /// It opens one small file after the other.
    SmallFiles,
    /// It computes.
    Busy,
    /// It sleeps, and does not take what waits for it. The backup program: it waits for something that is not a disk.
    Waits,
    /// The server's window is full: it does not read.
    WindowFull,
    /// The window has room, and the data do not leave.
    Slow,
    /// The data do not arrive.
    Silent,
}

/// What one process did in the interval.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Worker {
    /// Its number.
    pub(crate) pid: Pid,
    /// Its program.
    pub(crate) name: String,
    /// The share of the interval in which it was stopped.
    pub(crate) stopped: f64,
    /// In which it could run and had no processor; of all its threads, so that it may exceed 1.
    pub(crate) starved: f64,
    /// In which it waited for a disk.
    pub(crate) disk: f64,
    /// In which it had a processor; of all its threads.
    pub(crate) busy: f64,
    /// The share of the looks in which it had other files open than in the look before.
    pub(crate) other_files: f64,
    /// Bytes it can at most have read of each file: it may have opened more than were seen.
    pub(crate) bytes_per_file: f64,
}

/// A pipe and what reads it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// The share of the pipe that was full, on average; `None` if that could not be seen.
    pub(crate) full: Option<f64>,
    /// What its readers are.
    pub(crate) role: Role,
    /// Its readers.
    pub(crate) readers: Vec<Worker>,
}

/// What a connection did in the interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sending {
    /// The share of the interval in which it had data to send or to be acknowledged.
    pub(crate) busy: f64,
    /// The share of the interval in which the peer's window was full.
    pub(crate) window_full: f64,
    /// The share of the interval in which the own buffer was full.
    pub(crate) buffer_full: f64,
    /// The smoothed round trip in milliseconds.
    pub(crate) round_trip_ms: f64,
    /// Segments sent again in the interval.
    pub(crate) retransmits: u32,
}

/// What is known of a dump, a restore or an estimate in an interval.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where the data come from.
    pub(crate) source: Vec<Worker>,
    /// The source's role.
    pub(crate) source_role: Role,
    /// The pipes on their way.
    pub(crate) steps: Vec<Step>,
    /// The connection that carries a dump's data; `None` if it could not be seen.
    pub(crate) sending: Option<Sending>,
}

/// A stage and a cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Finding {
    /// The slowest stage.
    pub(crate) stage: Stage,
    /// Why it is slow.
    pub(crate) cause: Cause,
    /// The share of the interval for which the cause was seen; 0 if the cause has none.
    pub(crate) share: f64,
    /// The process; `None` for stages outside the client.
    pub(crate) pid: Option<Pid>,
    /// Its program.
    pub(crate) program: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The figures decide.
    Decided(Finding),
    /// They do not: it is one of these two, or both.
    Between(Finding, Finding),
    /// There is nothing that they could be about.
    Unknown,
}

/// Judges.
pub(crate) fn judge(figures: &Figures) -> Verdict {
    let full = |step: &Step| step.full.is_some_and(|share| share > FULL);
    let slowest = figures.steps.iter().rposition(full);
    let behind = figures.steps.iter().skip(slowest.unwrap_or_default());
    // The pipe before a stopped process fills later, if what comes before it is slow.
    let stopped = behind.rev().find_map(|step| {
        let worker = step.readers.iter().find(|worker| worker.stopped > MOSTLY)?;
        Some(of(worker, step.role, Cause::Stopped, worker.stopped))
    });
    match (stopped, slowest.and_then(|at| figures.steps.get(at))) {
        (Some(finding), _) => Verdict::Decided(finding),
        (None, Some(step)) if step.role == Role::Amandad => amandad(step, figures.sending),
        (None, Some(step)) if step.role == Role::Sendbackup => sendbackup(step, figures),
        (None, Some(step)) => worst(&step.readers, step.role),
        (None, None) => nothing_waits(figures),
    }
}

/// Amandad does not take the data: because of itself, the network or the server.
fn amandad(step: &Step, sending: Option<Sending>) -> Verdict {
    let own = worst(&step.readers, Role::Amandad);
    let busy = step.readers.iter().any(|worker| worker.busy > BUSY);
    let Some(sending) = sending else {
        return if waits(&own) {
            let (server, network) = outside(Sending::default());
            Verdict::Between(server, network)
        } else {
            own
        };
    };
    let (server, network) = outside(sending);
    let window = sending.window_full / sending.busy.max(f64::EPSILON);
    if sending.busy <= SENDING {
        own
    } else if window >= WINDOW {
        Verdict::Decided(server)
    } else if busy {
        own
    } else if window <= OPEN_WINDOW {
        Verdict::Decided(network)
    } else {
        Verdict::Between(server, network)
    }
}

/// sendbackup does not take the data: because of itself, or because of amandad. Without Amanda's patches, and with auth local,
/// shared memory may be between the two, of which nobody sees how full it is.
fn sendbackup(step: &Step, figures: &Figures) -> Verdict {
    let own = worst(&step.readers, Role::Sendbackup);
    let mut behind = figures.steps.iter().rev().take_while(|one| *one != step);
    match figures.steps.last() {
        Some(last)
            if last.role == Role::Amandad
                && waits(&own)
                && behind.all(|one| one.role != Role::Filter) =>
        {
            let beyond = amandad(last, figures.sending);
            if waits(&beyond) { own } else { beyond }
        }
        _ => own,
    }
}

/// No pipe is full, or none was seen: the data do not come.
fn nothing_waits(figures: &Figures) -> Verdict {
    let source = worst(&figures.source, figures.source_role);
    if !waits(&source) {
        return source;
    }
    let (server, network) = outside(figures.sending.unwrap_or_default());
    let silent = |finding| Finding {
        cause: Cause::Silent,
        share: 0.0,
        ..finding
    };
    match (figures.kind, source) {
        (Kind::Restore, _) => Verdict::Between(silent(server), silent(network)),
        (Kind::Dump, Verdict::Decided(program))
            if figures.steps.iter().all(|step| step.full.is_none()) =>
        {
            Verdict::Between(program, server)
        }
        (_, source) => source,
    }
}

fn waits(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Decided(finding) => finding.cause == Cause::Waits,
        Verdict::Between(..) => false,
        Verdict::Unknown => true,
    }
}

/// The server and the network as causes.
fn outside(sending: Sending) -> (Finding, Finding) {
    let finding = |stage, cause, share| Finding {
        stage,
        cause,
        share,
        pid: None,
        program: None,
    };
    (
        finding(Stage::Server, Cause::WindowFull, sending.window_full),
        finding(Stage::Network, Cause::Slow, sending.busy),
    )
}

/// What the one of these processes did that can least be expected to be ready.
fn worst(workers: &[Worker], role: Role) -> Verdict {
    let share = |worker: &Worker| {
        shares(worker)
            .into_iter()
            .fold(0.0, |most, (_, share)| share.max(most))
    };
    let worst = workers.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
    worst.map_or(Verdict::Unknown, |worker| of_worker(worker, role))
}

fn shares(worker: &Worker) -> [(Cause, f64); 4] {
    [
        (Cause::Stopped, worker.stopped),
        (Cause::Starved, worker.starved),
        (Cause::Disk, worker.disk),
        (Cause::Busy, worker.busy),
    ]
}

fn of_worker(worker: &Worker, role: Role) -> Verdict {
    let mut all = shares(worker);
    all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let [(cause, most), (second, less), ..] = all;
    let limit = if cause == Cause::Busy { BUSY } else { MOSTLY };
    let reads = matches!(role, Role::Program) && matches!(cause, Cause::Disk | Cause::Busy);
    if most + less <= MOSTLY {
        Verdict::Decided(of(worker, role, Cause::Waits, 0.0))
    } else if reads && worker.other_files > MOSTLY && worker.bytes_per_file < SMALL_FILE {
        Verdict::Decided(of(worker, role, Cause::SmallFiles, worker.other_files))
    } else if most > limit {
        Verdict::Decided(of(worker, role, cause, most))
    } else {
        Verdict::Between(
            of(worker, role, cause, most),
            of(worker, role, second, less),
        )
    }
}

fn of(worker: &Worker, role: Role, cause: Cause, share: f64) -> Finding {
    let stage = match role {
        Role::Program => Stage::Program,
        Role::Sendbackup => Stage::Sendbackup,
        Role::Filter => Stage::Filter,
        Role::Amandad => Stage::Amandad,
        Role::Restore => Stage::Restore,
        Role::Extraction => Stage::Extraction,
    };
    Finding {
        stage,
        cause,
        share,
        pid: Some(worker.pid),
        program: Some(worker.name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(pid: Pid, name: &str) -> Worker {
        Worker {
            pid,
            name: name.into(),
            stopped: 0.0,
            starved: 0.02,
            disk: 0.0,
            busy: 0.05,
            other_files: 0.0,
            bytes_per_file: f64::INFINITY,
        }
    }

    fn step(full: f64, role: Role, reader: Worker) -> Step {
        Step {
            full: Some(full),
            role,
            readers: vec![reader],
        }
    }

    /// A dump through two filters in which nothing is the matter. Its steps: sendbackup, gzip, openssl, sendbackup, amandad.
    fn dump() -> Figures {
        Figures {
            kind: Kind::Dump,
            source: vec![idle(1, "tar")],
            source_role: Role::Program,
            steps: vec![
                step(0.1, Role::Sendbackup, idle(2, "sendbackup")),
                step(0.1, Role::Filter, idle(3, "gzip")),
                step(0.1, Role::Filter, idle(4, "openssl")),
                step(0.1, Role::Sendbackup, idle(2, "sendbackup")),
                step(0.1, Role::Amandad, idle(5, "amandad")),
            ],
            sending: Some(Sending {
                busy: 0.2,
                ..Sending::default()
            }),
        }
    }

    fn restore() -> Figures {
        Figures {
            kind: Kind::Restore,
            source: vec![idle(5, "amandad")],
            source_role: Role::Amandad,
            steps: vec![step(0.1, Role::Extraction, idle(1, "tar"))],
            sending: None,
        }
    }

    /// The pipes up to that before the given step are full.
    fn held_at(last: usize) -> Figures {
        let mut figures = dump();
        for step in &mut figures.steps[..=last] {
            step.full = Some(0.98);
        }
        figures
    }

    fn sending(busy: f64, window_full: f64) -> Sending {
        Sending {
            busy,
            window_full,
            ..Sending::default()
        }
    }

    fn stage_and_cause(figures: &Figures) -> (Stage, Cause, Option<Pid>) {
        match judge(figures) {
            Verdict::Decided(finding) => (finding.stage, finding.cause, finding.pid),
            other => panic!("{other:?} of {figures:?}"),
        }
    }

    fn candidates(figures: &Figures) -> [(Stage, Cause); 2] {
        match judge(figures) {
            Verdict::Between(one, other) => [(one.stage, one.cause), (other.stage, other.cause)],
            other => panic!("{other:?} of {figures:?}"),
        }
    }

    type Change = fn(&mut Figures);

    #[test]
    fn a_backup_program_that_nothing_holds_back() {
        let table: [(Change, Cause); 7] = [
            (|dump| dump.source[0].disk = 0.9, Cause::Disk),
            (|dump| dump.source[0].busy = 0.95, Cause::Busy),
            (|dump| dump.source[0].starved = 0.8, Cause::Starved),
            (|dump| dump.source[0].stopped = 1.0, Cause::Stopped),
            (|_| {}, Cause::Waits),
            (
                |dump| {
                    dump.source[0].disk = 0.7;
                    dump.source[0].other_files = 0.9;
                    dump.source[0].bytes_per_file = 90e3;
                },
                Cause::SmallFiles,
            ),
            (
                // Another file each time, but large ones: more were opened than were seen.
                |dump| {
                    dump.source[0].busy = 0.9;
                    dump.source[0].other_files = 0.9;
                    dump.source[0].bytes_per_file = 9e6;
                },
                Cause::Busy,
            ),
        ];
        for (change, cause) in table {
            let mut figures = dump();
            change(&mut figures);
            assert_eq!(stage_and_cause(&figures), (Stage::Program, cause, Some(1)));
        }
    }

    #[test]
    fn what_reads_the_last_full_pipe_is_the_slowest() {
        let table = [
            (0, Stage::Sendbackup, 2),
            (1, Stage::Filter, 3),
            (2, Stage::Filter, 4),
            (3, Stage::Sendbackup, 2),
        ];
        for (last, stage, pid) in table {
            let mut figures = held_at(last);
            assert_eq!(stage_and_cause(&figures), (stage, Cause::Waits, Some(pid)));
            figures.steps[last].readers[0].busy = 0.99;
            assert_eq!(stage_and_cause(&figures), (stage, Cause::Busy, Some(pid)));
            figures.steps[last].readers[0].starved = 1.7;
            assert_eq!(
                stage_and_cause(&figures),
                (stage, Cause::Starved, Some(pid))
            );
        }
    }

    #[test]
    fn a_busy_program_before_a_full_pipe_is_not_to_blame() {
        let mut figures = held_at(1);
        figures.source[0].disk = 0.9;
        figures.source[0].stopped = 1.0;
        assert_eq!(stage_and_cause(&figures).0, Stage::Filter);
    }

    #[test]
    fn an_amandad_that_takes_nothing() {
        let table = [
            (sending(1.0, 0.97), Stage::Server, Cause::WindowFull, None),
            (sending(0.7, 0.65), Stage::Server, Cause::WindowFull, None),
            (sending(1.0, 0.1), Stage::Network, Cause::Slow, None),
            (sending(0.1, 0.1), Stage::Amandad, Cause::Waits, Some(5)),
        ];
        for (sending, stage, cause, pid) in table {
            let mut figures = held_at(4);
            figures.sending = Some(sending);
            assert_eq!(stage_and_cause(&figures), (stage, cause, pid));
        }
        let between = [
            (Stage::Server, Cause::WindowFull),
            (Stage::Network, Cause::Slow),
        ];
        for sending in [Some(sending(1.0, 0.6)), None] {
            let mut figures = held_at(4);
            figures.sending = sending;
            assert_eq!(candidates(&figures), between);
        }
    }

    #[test]
    fn a_sendbackup_that_hands_the_data_on_through_shared_memory() {
        let mut figures = held_at(3);
        // The messages of the backup program.
        let messages = step(0.0, Role::Sendbackup, idle(2, "sendbackup"));
        figures.steps.insert(4, messages);
        figures.sending = Some(sending(1.0, 0.97));
        assert_eq!(stage_and_cause(&figures).0, Stage::Server);
        figures.sending = Some(sending(0.1, 0.0));
        figures.steps[5].readers[0].starved = 0.9;
        assert_eq!(
            stage_and_cause(&figures),
            (Stage::Amandad, Cause::Starved, Some(5))
        );
        // What is before a filter does not wait for amandad.
        let mut figures = held_at(0);
        figures.sending = Some(sending(1.0, 0.97));
        assert_eq!(stage_and_cause(&figures).0, Stage::Sendbackup);
    }

    #[test]
    fn an_amandad_that_has_no_processor_or_needs_all_of_one() {
        for sending in [Some(sending(0.2, 0.0)), None] {
            let mut figures = held_at(4);
            figures.sending = sending;
            figures.steps[4].readers[0].starved = 0.9;
            assert_eq!(
                stage_and_cause(&figures),
                (Stage::Amandad, Cause::Starved, Some(5))
            );
        }
        let mut figures = held_at(4);
        figures.sending = Some(sending(0.95, 0.2));
        figures.steps[4].readers[0].busy = 0.9;
        assert_eq!(
            stage_and_cause(&figures),
            (Stage::Amandad, Cause::Busy, Some(5))
        );
    }

    #[test]
    fn a_stopped_process_is_found_before_the_pipe_to_it_is_full() {
        let mut figures = held_at(0);
        figures.steps[4].readers[0].stopped = 1.0;
        assert_eq!(
            stage_and_cause(&figures),
            (Stage::Amandad, Cause::Stopped, Some(5))
        );
        let mut figures = held_at(4);
        figures.sending = Some(sending(1.0, 1.0));
        figures.steps[2].readers[0].stopped = 1.0;
        assert_eq!(
            stage_and_cause(&figures).0,
            Stage::Server,
            "the filter is not the slowest"
        );
    }

    #[test]
    fn a_restore() {
        assert_eq!(
            candidates(&restore()),
            [
                (Stage::Server, Cause::Silent),
                (Stage::Network, Cause::Silent)
            ]
        );
        let mut held = restore();
        held.steps[0].full = Some(1.0);
        assert_eq!(
            stage_and_cause(&held),
            (Stage::Extraction, Cause::Waits, Some(1))
        );
        held.steps[0].readers[0].disk = 0.8;
        assert_eq!(
            stage_and_cause(&held),
            (Stage::Extraction, Cause::Disk, Some(1))
        );
        let mut stopped = restore();
        stopped.source[0].stopped = 1.0;
        assert_eq!(
            stage_and_cause(&stopped),
            (Stage::Amandad, Cause::Stopped, Some(5))
        );
    }

    #[test]
    fn several_processes_of_a_stage_are_judged_by_the_one_that_did_most() {
        let mut figures = dump();
        figures.source = vec![idle(1, "amgtar"), idle(7, "tar")];
        figures.source[1].disk = 0.9;
        assert_eq!(
            stage_and_cause(&figures),
            (Stage::Program, Cause::Disk, Some(7))
        );
    }

    #[test]
    fn two_things_that_share_the_time_are_both_named() {
        let mut figures = dump();
        figures.source[0].disk = 0.45;
        figures.source[0].busy = 0.4;
        assert_eq!(
            candidates(&figures),
            [(Stage::Program, Cause::Disk), (Stage::Program, Cause::Busy)]
        );
    }

    #[test]
    fn without_the_right_to_see_pipes_only_the_program_itself_decides() {
        let mut figures = dump();
        for step in &mut figures.steps {
            step.full = None;
        }
        assert_eq!(
            candidates(&figures),
            [
                (Stage::Program, Cause::Waits),
                (Stage::Server, Cause::WindowFull)
            ]
        );
        figures.source[0].stopped = 1.0;
        assert_eq!(
            stage_and_cause(&figures),
            (Stage::Program, Cause::Stopped, Some(1))
        );
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        let figures = Figures {
            kind: Kind::Estimate,
            source: Vec::new(),
            source_role: Role::Program,
            steps: Vec::new(),
            sending: None,
        };
        assert_eq!(judge(&figures), Verdict::Unknown);
    }
}
