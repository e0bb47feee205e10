//! What an observation says about one dump, restore or estimate.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::Read;

use rustix::fs::{Mode, OFlags};

use crate::chain::{Job, Kind, Role};
use crate::connections::Connection;
use crate::observation::{Observation, share};
use crate::snapshot::{Counters, Descriptor, Pid, Process, Target};
use crate::verdict::{Figures, Sending, Step, Worker};

/// The lines with disk and level are among the first of a debug file.
const BEGINNING: u64 = 64 << 10;

/// One dump, restore or estimate in an interval.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The disk's name in the disk list, or its folder; `None` if neither can be read.
    pub(crate) disk: Option<String>,
    /// The dump's level.
    pub(crate) level: Option<u32>,
    /// Its amandad; the service again if that is amrecover.
    pub(crate) amandad: Pid,
    /// The process that amandad has started for it, or amrecover.
    pub(crate) service: Pid,
    /// How much the backup program has written so far, or the extraction read; `None` if that cannot be seen.
    pub(crate) bytes: Option<u64>,
    /// The same in the interval, by the second.
    pub(crate) rate: Option<f64>,
    /// What the verdict is a function of.
    pub(crate) figures: Figures,
    /// What could not be seen, and why.
    pub(crate) unseen: Vec<String>,
}

/// What can be said about a job; `None` if it has ended in the interval.
pub(crate) fn report(job: &Job, seen: &Observation) -> Option<Report> {
    seen.last.same(job.service, &seen.first)?;
    let moved = moved(job, seen);
    let (disk, level) = name(job, seen);
    Some(Report {
        disk,
        level,
        amandad: job.amandad,
        service: job.service,
        bytes: moved.map(|moved| moved.total),
        rate: moved.map(|moved| per_second(moved.lately, seen.seconds)),
        figures: figures(job, seen),
        unseen: unseen(job, seen),
    })
}

fn figures(job: &Job, seen: &Observation) -> Figures {
    let workers = |pids: &[Pid]| pids.iter().filter_map(|pid| worker(*pid, seen)).collect();
    let steps = job.steps.iter().map(|step| Step {
        full: seen.fills.get(&step.pipe).and_then(|fill| fill.mean()),
        role: step.role,
        readers: workers(&step.readers),
    });
    Figures {
        kind: job.kind,
        source: workers(&job.source),
        source_role: job.source_role(),
        steps: steps.collect(),
        sending: connection(job, seen).map(|(first, last)| sending(first, last, seen.seconds)),
    }
}

fn worker(pid: Pid, seen: &Observation) -> Option<Worker> {
    let last = seen.last.same(pid, &seen.first)?;
    let first = seen.first.processes.get(&pid)?;
    let tally = seen.tallies.get(&pid)?;
    let of_looks = |count: u32| share(count.into(), tally.looks.into());
    let of_interval = |part: u64, second: u64| share(part, second) / seen.seconds;
    Some(Worker {
        pid,
        name: last.name.clone(),
        stopped: of_looks(tally.stopped),
        disk: of_looks(tally.disk),
        starved: of_interval(last.delay.saturating_sub(first.delay), 1_000_000_000),
        busy: of_interval(
            last.ticks.saturating_sub(first.ticks),
            procfs::ticks_per_second(),
        ),
        other_files: of_looks(tally.other_files),
        bytes_per_file: match tally.other_files {
            0 => f64::INFINITY,
            files => share(difference(first, last, |io| io.read).lately, files.into()),
        },
    })
}

/// Bytes until now, and of these in the interval.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    total: u64,
    lately: u64,
}

fn difference(first: &Process, last: &Process, which: fn(Counters) -> u64) -> Moved {
    let total = last.io.map_or(0, which);
    Moved {
        total,
        lately: total.saturating_sub(first.io.map_or(0, which)),
    }
}

/// The bytes that the backup program has written, or the extraction read. Of several processes, such as an application and the
/// tar it has started, the one that moved most.
fn moved(job: &Job, seen: &Observation) -> Option<Moved> {
    let readers = |role| {
        let steps = job.steps.iter().filter(move |step| step.role == role);
        steps
            .flat_map(|step| step.readers.clone())
            .collect::<Vec<_>>()
    };
    let own = match job.kind {
        Kind::Dump => most(&job.source, seen, |io| io.written),
        Kind::Restore => most(&readers(Role::Extraction), seen, |io| io.read),
        Kind::Estimate => return None,
    };
    own.or_else(|| {
        let (first, last) = connection(job, seen)?;
        let count = |one: &Connection| match job.kind {
            Kind::Restore => one.received,
            _ => one.acknowledged,
        };
        Some(Moved {
            total: count(last),
            lately: count(last).saturating_sub(count(first)),
        })
    })
}

fn most(pids: &[Pid], seen: &Observation, which: fn(Counters) -> u64) -> Option<Moved> {
    let all = pids.iter().filter_map(|pid| {
        let last = seen.last.same(*pid, &seen.first)?;
        last.io?;
        Some(difference(seen.first.processes.get(pid)?, last, which))
    });
    all.max_by_key(|moved| moved.total)
}

fn per_second(bytes: u64, seconds: f64) -> f64 {
    share(bytes, 1) / seconds.max(f64::EPSILON)
}

/// The connection that carries a job's data, at the beginning and at the end. Under bsd and bsdudp, amandad has several for each
/// dump, and nothing in the system says which is whose: the one whose bytes are nearest to those that the dump has produced.
fn connection<'a>(job: &Job, seen: &'a Observation) -> Option<(&'a Connection, &'a Connection)> {
    let (first, last) = (
        seen.first.connections.as_ref().ok()?,
        seen.last.connections.as_ref().ok()?,
    );
    let sockets = seen
        .first
        .descriptors(job.amandad)
        .iter()
        .filter_map(|one| match one.target {
            Target::Socket(inode) => Some(inode),
            _ => None,
        });
    // An inetd hands on the same socket as standard input and output.
    let sockets: HashSet<u64> = sockets.collect();
    let both = sockets
        .iter()
        .filter_map(|inode| Some((first.get(inode)?, last.get(inode)?)));
    if job.kind == Kind::Restore {
        return both.max_by_key(|(_, last)| last.received);
    }
    let Some(made) = produced(job, seen) else {
        return both.max_by_key(|(_, last)| (last.queued, last.acknowledged));
    };
    both.min_by_key(|(first, last)| {
        let sent = |one: &Connection| one.acknowledged + one.queued;
        let lately = sent(last).saturating_sub(sent(first));
        sent(last)
            .abs_diff(made.total)
            .saturating_add(lately.abs_diff(made.lately))
    })
}

/// What a dump has given to sendbackup's last stage: what its last filter has written, or the backup program.
fn produced(job: &Job, seen: &Observation) -> Option<Moved> {
    let filter = job.steps.iter().rfind(|step| step.role == Role::Filter);
    most(
        filter.map_or(&job.source, |step| &step.readers),
        seen,
        |io| io.written,
    )
}

fn sending(first: &Connection, last: &Connection, seconds: f64) -> Sending {
    let of_interval = |part: fn(&Connection) -> u64| {
        share(part(last).saturating_sub(part(first)), 1_000_000) / seconds.max(f64::EPSILON)
    };
    Sending {
        busy: of_interval(|one| one.busy),
        window_full: of_interval(|one| one.window_full),
        buffer_full: of_interval(|one| one.buffer_full),
        round_trip_ms: f64::from(last.round_trip) / 1000.0,
        retransmits: last.retransmits.saturating_sub(first.retransmits),
    }
}

/// Disk and level, from what Amanda has written into the debug file that the service has open, or else from the arguments of the
/// backup program: at the end of the interval, for at its beginning the dump may have been a moment old.
fn name(job: &Job, seen: &Observation) -> (Option<String>, Option<u32>) {
    let (disk, level) = match job.kind {
        // sendsize has one file for all disks.
        Kind::Estimate => (None, None),
        Kind::Dump | Kind::Restore => in_debug_file(&debug_file(job.service, seen)),
    };
    if disk.is_some() {
        return (disk, level);
    }
    let programs = members(job)
        .into_iter()
        .filter_map(|pid| seen.last.processes.get(&pid));
    let named = programs.map(|process| in_arguments(&process.arguments));
    named
        .max_by_key(|(disk, level)| (disk.is_some(), level.is_some()))
        .unwrap_or_default()
}

/// The beginning of the debug file that a process has open; empty if there is none, or it cannot be read.
fn debug_file(pid: Pid, seen: &Observation) -> String {
    let is_debug_file = |one: &&Descriptor| match &one.target {
        Target::File(path) => path.extension().is_some_and(|end| end == "debug"),
        _ => false,
    };
    let found = seen.last.descriptors(pid).iter().find(is_debug_file);
    let mut bytes = Vec::new();
    // Through the descriptor, since the process may see other files under that name. What only looks like a debug file must not
    // make this wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |one: &Descriptor| {
        let path = format!("/proc/{pid}/fd/{}", one.number);
        rustix::fs::open(path, flags, Mode::empty()).ok()
    };
    if let Some(file) = found.and_then(open) {
        // As far as it could be read, it may name the disk.
        let _ = File::from(file).take(BEGINNING).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Source: `Parsed request as` in Amanda's `client-src/sendbackup.c`, and the header that `client-src/restore.pl` logs.
fn in_debug_file(text: &str) -> (Option<String>, Option<u32>) {
    let line_after = |before: &str| text.split_once(before)?.1.lines().next();
    let number = |text: &str| text.trim().parse().ok();
    if let Some(disk) = line_after("  disk `").and_then(|rest| rest.strip_suffix('\'')) {
        return (
            Some(disk.to_owned()),
            line_after("  level ").and_then(number),
        );
    }
    let header = line_after(" disk='").and_then(|rest| rest.rsplit_once("' dumplevel="));
    let Some((disk, rest)) = header else {
        return (None, None);
    };
    (
        Some(disk.to_owned()),
        rest.split(' ').next().and_then(number),
    )
}

/// Applications are told disk and level; tar is given the folder, and a list of files whose name ends in the level.
fn in_arguments(arguments: &[String]) -> (Option<String>, Option<u32>) {
    let after = |option: &str| {
        let at = arguments.iter().position(|word| word == option)?;
        arguments.get(at + 1)
    };
    let disk = after("--disk").or_else(|| after("--directory")).cloned();
    let list = || {
        after("--listed-incremental")?
            .trim_end_matches(".new")
            .rsplit('_')
            .next()
    };
    let level = after("--level").map(String::as_str).or_else(list);
    (disk, level.and_then(|level| level.parse().ok()))
}

/// The processes that have a part in a job.
fn members(job: &Job) -> BTreeSet<Pid> {
    let readers = job.steps.iter().flat_map(|step| &step.readers);
    readers
        .chain(&job.source)
        .chain([&job.amandad, &job.service])
        .copied()
        .collect()
}

/// What could not be seen of a job, and why.
fn unseen(job: &Job, seen: &Observation) -> Vec<String> {
    let known = |pid| Some((pid, seen.first.processes.get(&pid)?));
    let hidden = members(job).into_iter().filter_map(known);
    let hidden = hidden.filter(|(_, one)| one.descriptors.is_none() || one.io.is_none());
    let hidden: Vec<String> = hidden
        .map(|(pid, one)| format!("{} ({pid})", one.name))
        .collect();
    let mut all = Vec::new();
    if !hidden.is_empty() {
        let hidden = hidden.join(", ");
        // Source: proc_pid_fd(5) and proc_pid_io(5): both need PTRACE_MODE_READ.
        all.push(format!(
            "pipes and bytes of {hidden}: only root may see them (CAP_SYS_PTRACE)"
        ));
    }
    if let Err(error) = &seen.first.connections {
        all.push(format!("the connections: {error}"));
    } else if job.kind != Kind::Estimate && hidden.is_empty() && connection(job, seen).is_none() {
        all.push("amandad's connection: it has no TCP connection in this network namespace".into());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use std::collections::{BTreeMap, HashMap};

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn disk_and_level_are_found_in_sendbackups_debug_file() {
        let text = "sendbackup:   Parsed request as: program `GNUTAR'\n\
                    sendbackup:                      disk `/o'brien'\n\
                    sendbackup:                      device `/home'\n\
                    sendbackup:                      level 2\n";
        assert_eq!(in_debug_file(text), (Some("/o'brien".into()), Some(2)));
    }

    #[test]
    fn disk_and_level_are_found_in_restores_debug_file() {
        let text = "restore: Building type SPLIT_FILE header of 128-32768 bytes with name='localhost' disk='one' \
                    dumplevel=3 and blocksize=0\n";
        assert_eq!(in_debug_file(text), (Some("one".into()), Some(3)));
        assert_eq!(in_debug_file("restore: CTL << TARGET\n"), (None, None));
    }

    #[test]
    fn disk_and_level_are_found_in_arguments() {
        let tar = words(
            "tar --create --file - --directory /home --listed-incremental /var/lists/host_home_1.new .",
        );
        assert_eq!(in_arguments(&tar), (Some("/home".into()), Some(1)));
        let amgtar = words("amgtar backup --host h --disk big --device /data --level 0");
        assert_eq!(in_arguments(&amgtar), (Some("big".into()), Some(0)));
        assert_eq!(in_arguments(&words("tar --directory")), (None, None));
        assert_eq!(in_arguments(&words("dump --level x")), (None, None));
    }

    /// An amandad with the connections of two dumps, of which one has stopped at 40 MB. Both tars have written about as much.
    fn two_dumps() -> Observation {
        let look = |moving: u64| {
            let mut look = Snapshot::default();
            let socket = |inode| Descriptor {
                number: 5,
                target: Target::Socket(inode),
                reads: true,
                writes: true,
            };
            let connection = |acknowledged, queued| Connection {
                acknowledged,
                queued,
                ..Connection::default()
            };
            let mut add = |pid, name: &str, written, descriptors| {
                let process = Process {
                    name: name.into(),
                    io: Some(Counters { read: 0, written }),
                    descriptors: Some(descriptors),
                    ..Process::default()
                };
                look.processes.insert(pid, process);
            };
            add(10, "amandad", 0, vec![socket(1), socket(2), socket(3)]);
            add(12, "tar", 42_000_000, Vec::new());
            add(22, "tar", 38_000_000 + moving, Vec::new());
            look.connections = Ok(HashMap::from([
                (1, connection(0, 0)),
                (2, connection(36_000_000, 4_000_000)),
                (3, connection(37_000_000 + moving, 0)),
            ]));
            look
        };
        Observation {
            first: look(0),
            last: look(4_000_000),
            seconds: 1.0,
            tallies: BTreeMap::new(),
            fills: HashMap::new(),
        }
    }

    #[test]
    fn each_dump_has_the_connection_whose_bytes_are_nearest_to_its_own() {
        let seen = two_dumps();
        for (tar, queued) in [(12, 4_000_000), (22, 0)] {
            let job = Job {
                kind: Kind::Dump,
                amandad: 10,
                service: 11,
                source: vec![tar],
                steps: Vec::new(),
            };
            let (_, last) = connection(&job, &seen).unwrap();
            assert_eq!(last.queued, queued, "{last:?} for {tar}");
            assert!(last.acknowledged > 0);
        }
    }
}
