//! One look at the processes of Amanda's client and at the machine's connections: proc(5).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use procfs::process::{FDInfo, FDPermissions, FDTarget, Io, Process as Entry, all_processes};
use procfs::{ProcError, ProcResult};

use crate::connections::{self, Connection};

/// The number of a process.
pub(crate) type Pid = i32;

/// The program that a client's dumps and estimates start from, and the restores that are asked for on the server.
pub(crate) const AMANDAD: &str = "amandad";
/// The program that restores are asked for with on the client.
pub(crate) const AMRECOVER: &str = "amrecover";

/// No real chain of parents is longer, and one that was read while processes came and went may be a circle.
const MOST_PARENTS: usize = 64;

/// What a descriptor leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A pipe, by its inode.
    Pipe(u64),
    /// A socket, by its inode.
    Socket(u64),
    /// A file or a device.
    File(PathBuf),
}

/// An open descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Its number.
    pub(crate) number: i32,
    /// What it leads to.
    pub(crate) target: Target,
    /// Whether it is open for reading.
    pub(crate) reads: bool,
    /// Whether it is open for writing.
    pub(crate) writes: bool,
}

/// A process. Only those of the family have more than the fields of /proc/PID/stat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Process {
    /// Its parent.
    pub(crate) parent: Pid,
    /// The name of its program, at most 15 bytes, of whatever bytes the program chose.
    pub(crate) name: String,
    /// A letter: D waits for a disk, T is stopped, Z has ended.
    pub(crate) state: char,
    /// When it began, in ticks since the system's start: tells it from another that gets its number.
    pub(crate) started: u64,
    /// Its processor time, in ticks.
    pub(crate) ticks: u64,
    /// Nanoseconds that its threads have waited for a processor while they could run.
    pub(crate) delay: u64,
    /// What it has read and written; `None` without the right to see it.
    pub(crate) io: Option<Counters>,
    /// Its open descriptors; `None` without the right to see them.
    pub(crate) descriptors: Option<Vec<Descriptor>>,
    /// Its arguments, of whatever bytes its parent chose.
    pub(crate) arguments: Vec<String>,
}

/// What a process has read and written, from any file. splice(2) and tee(2) do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Bytes read.
    pub(crate) read: u64,
    /// Bytes written.
    pub(crate) written: u64,
}

/// One look.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// All processes.
    pub(crate) processes: BTreeMap<Pid, Process>,
    /// The `amandad`s and `amrecover`s, and their descendants.
    pub(crate) family: BTreeSet<Pid>,
    /// The connections by the inodes of their sockets, or why they are not known.
    pub(crate) connections: Result<HashMap<u64, Connection>, String>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            processes: BTreeMap::new(),
            family: BTreeSet::new(),
            connections: Ok(HashMap::new()),
        }
    }
}

impl Snapshot {
    /// Looks. A process that ends meanwhile is left out, or lacks what it took with it.
    pub(crate) fn take() -> Self {
        // None is kept open: each would take a descriptor.
        let entries = all_processes().into_iter().flatten().flatten();
        let processes = entries.filter_map(|entry| Some((entry.pid, read(&entry)?)));
        let mut look = Self {
            processes: processes.collect(),
            ..Self::default()
        };
        look.family = family(&look.processes);
        for pid in &look.family {
            if let (Some(process), Ok(entry)) = (look.processes.get_mut(pid), Entry::new(*pid)) {
                add_details(process, &entry);
            }
        }
        if !look.family.is_empty() {
            look.connections = connections::all().map_err(|error| error.to_string());
        }
        look
    }

    /// The name of a process's program; empty if it is not there.
    pub(crate) fn name(&self, pid: Pid) -> &str {
        self.processes.get(&pid).map_or("", |process| &process.name)
    }

    /// The descriptors of a process; none without the right to see them.
    pub(crate) fn descriptors(&self, pid: Pid) -> &[Descriptor] {
        let process = self.processes.get(&pid);
        process
            .and_then(|process| process.descriptors.as_deref())
            .unwrap_or_default()
    }

    /// The process in this look if it is the same as in another, not one that has got its number.
    pub(crate) fn same(&self, pid: Pid, other: &Self) -> Option<&Process> {
        let process = self.processes.get(&pid)?;
        (process.started == other.processes.get(&pid)?.started).then_some(process)
    }

    /// The children of a process that have not ended.
    pub(crate) fn children(&self, parent: Pid) -> Vec<Pid> {
        let living = self
            .processes
            .iter()
            .filter(|(_, process)| process.state != 'Z');
        living
            .filter(|(_, process)| process.parent == parent)
            .map(|(pid, _)| *pid)
            .collect()
    }

    /// A process and its descendants, without those that have ended.
    pub(crate) fn tree(&self, root: Pid) -> BTreeSet<Pid> {
        let mut found = BTreeSet::new();
        let mut open = vec![root];
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.children(next));
            }
        }
        found
    }
}

/// The `amandad`s and `amrecover`s, and their descendants.
fn family(processes: &BTreeMap<Pid, Process>) -> BTreeSet<Pid> {
    let parent = |pid: &Pid| processes.get(pid).map(|process| process.parent);
    let of_amanda = |pid: &&Pid| {
        std::iter::successors(Some(**pid), parent)
            .take(MOST_PARENTS)
            .any(|pid| {
                processes
                    .get(&pid)
                    .is_some_and(|process| [AMANDAD, AMRECOVER].contains(&process.name.as_str()))
            })
    };
    processes.keys().filter(of_amanda).copied().collect()
}

/// What everybody may see of a process; `None` if it has gone.
fn read(entry: &Entry) -> Option<Process> {
    let stat = entry.stat().ok()?;
    Some(Process {
        parent: stat.ppid,
        name: stat.comm,
        state: stat.state,
        started: stat.starttime,
        ticks: stat.utime.saturating_add(stat.stime),
        ..Process::default()
    })
}

fn add_details(process: &mut Process, entry: &Entry) {
    // Another may have got the number.
    if entry.stat().map(|stat| stat.starttime).ok() != Some(process.started) {
        return;
    }
    process.delay = delay(entry).unwrap_or_default();
    process.io = allowed(entry.io().map(counters));
    process.descriptors = allowed(
        entry
            .fd()
            .map(|all| all.flatten().filter_map(|info| descriptor(&info)).collect()),
    );
    process.arguments = arguments(entry.pid);
}

/// `None` only without the right: what has gone with its process is empty.
fn allowed<T: Default>(result: ProcResult<T>) -> Option<T> {
    match result {
        Err(ProcError::PermissionDenied(_)) => None,
        other => Some(other.unwrap_or_default()),
    }
}

fn delay(entry: &Entry) -> ProcResult<u64> {
    let threads = entry.tasks()?.flatten();
    Ok(threads
        .filter_map(|thread| thread.schedstat().ok())
        .map(|times| times.run_delay)
        .sum())
}

fn counters(io: Io) -> Counters {
    Counters {
        read: io.rchar,
        written: io.wchar,
    }
}

fn descriptor(info: &FDInfo) -> Option<Descriptor> {
    let target = match &info.target {
        FDTarget::Pipe(inode) => Target::Pipe(*inode),
        FDTarget::Socket(inode) => Target::Socket(*inode),
        FDTarget::Path(path) => Target::File(path.clone()),
        _ => return None,
    };
    // Source: proc_pid_fd(5): the permissions of the link are how the file was opened.
    Some(Descriptor {
        number: info.fd,
        target,
        reads: info.mode().contains(FDPermissions::READ),
        writes: info.mode().contains(FDPermissions::WRITE),
    })
}

/// procfs gives none at all if one is not UTF-8.
fn arguments(pid: Pid) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0);
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// The files and directories that a process has open, apart from its three standard streams.
pub(crate) fn open_files(entry: &Entry) -> Vec<PathBuf> {
    let all = entry
        .fd()
        .into_iter()
        .flatten()
        .flatten()
        .filter(|info| info.fd > 2);
    all.filter_map(|info| match info.target {
        FDTarget::Path(path) => Some(path),
        _ => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn process(parent: Pid, name: &str) -> Process {
        Process {
            parent,
            name: name.into(),
            state: 'S',
            ..Process::default()
        }
    }

    #[test]
    fn only_amandas_programs_and_what_they_started_are_the_family() {
        let processes = BTreeMap::from([
            (1, process(0, "init")),
            (10, process(1, "amandad")),
            (11, process(10, "sendbackup")),
            (12, process(11, "tar")),
            (20, process(1, "tar")),
            (30, process(20, "amrecover")),
        ]);
        assert_eq!(family(&processes), BTreeSet::from([10, 11, 12, 30]));
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let processes = BTreeMap::from([(2, process(3, "a")), (3, process(2, "b"))]);
        assert!(family(&processes).is_empty());
        let look = Snapshot {
            processes,
            ..Snapshot::default()
        };
        assert_eq!(look.tree(2), BTreeSet::from([2, 3]));
    }

    #[test]
    fn this_process_is_seen_with_its_pipes() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let entry = Entry::myself().unwrap();
        let mut own = read(&entry).unwrap();
        add_details(&mut own, &entry);
        let pipes: Vec<_> = own.descriptors.unwrap();
        let of = |fd: i32| pipes.iter().find(|one| one.number == fd).unwrap();
        let (reading, writing) = (of(reader.as_raw_fd()), of(writer.as_raw_fd()));
        assert!(reading.reads && !reading.writes && writing.writes && !writing.reads);
        assert!(matches!(reading.target, Target::Pipe(_)) && reading.target == writing.target);
        assert!(own.io.is_some() && !own.arguments.is_empty());
    }
}
