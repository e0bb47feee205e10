//! Two looks, and short ones between them: what changed, and what the processes and pipes were doing.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use procfs::process::Process as Entry;
use rustix::fd::AsRawFd;
use rustix::fs::{FileType, Mode, OFlags};

use crate::snapshot::{Pid, Snapshot, Target, open_files};

/// Between two short looks: short against an interval, so that it has many, and long against what a look costs.
const PAUSE: Duration = Duration::from_millis(20);

/// These read no files of a backup, and have so many descriptors that looking at them costs most.
const READ_NO_BACKUP: [&str; 5] = [
    "amandad",
    "amandad-log",
    "sendbackup",
    "sendsize",
    "restore",
];

/// What a process was seen doing in the short looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// How often it was looked at.
    pub(crate) looks: u32,
    /// How often it waited for a disk.
    pub(crate) disk: u32,
    /// How often it was stopped.
    pub(crate) stopped: u32,
    /// How often it had other files open than in the look before.
    pub(crate) other_files: u32,
    files: Vec<PathBuf>,
}

/// How full a pipe was in the short looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fill {
    looks: u32,
    sum: f64,
}

impl Fill {
    /// The mean, as a share of what the pipe can hold.
    pub(crate) fn mean(self) -> Option<f64> {
        (self.looks > 0).then(|| self.sum / f64::from(self.looks))
    }
}

/// What was seen in an interval.
#[derive(Debug)]
pub(crate) struct Observation {
    /// The look at its beginning.
    pub(crate) first: Snapshot,
    /// The look at its end.
    pub(crate) last: Snapshot,
    /// Its length in seconds.
    pub(crate) seconds: f64,
    /// What the processes of the first look did.
    pub(crate) tallies: BTreeMap<Pid, Tally>,
    /// How full their pipes were, by inode.
    pub(crate) fills: HashMap<u64, Fill>,
}

/// Observes for as long as told, or not at all if nothing of Amanda's client is running.
pub(crate) fn observe(interval: Duration) -> Observation {
    let first = Snapshot::take();
    let begin = Instant::now();
    let mut tallies = BTreeMap::new();
    let mut fills = HashMap::new();
    let pipes = readers(&first);
    while !first.family.is_empty() && begin.elapsed() < interval {
        for pid in &first.family {
            look_at(&first, *pid, tallies.entry(*pid).or_default());
        }
        for (inode, places) in &pipes {
            if let Some(share) = places.iter().find_map(|place| fill(*inode, *place)) {
                let fill: &mut Fill = fills.entry(*inode).or_default();
                fill.looks += 1;
                fill.sum += share;
            }
        }
        sleep(PAUSE.min(interval.saturating_sub(begin.elapsed())));
    }
    Observation {
        last: Snapshot::take(),
        seconds: begin.elapsed().as_secs_f64(),
        first,
        tallies,
        fills,
    }
}

/// Where each pipe of the client is open for reading.
fn readers(look: &Snapshot) -> HashMap<u64, Vec<(Pid, i32)>> {
    let mut found: HashMap<u64, Vec<(Pid, i32)>> = HashMap::new();
    for pid in &look.family {
        for descriptor in look.descriptors(*pid) {
            if let (Target::Pipe(inode), true) = (&descriptor.target, descriptor.reads) {
                found
                    .entry(*inode)
                    .or_default()
                    .push((*pid, descriptor.number));
            }
        }
    }
    found
}

fn look_at(first: &Snapshot, pid: Pid, tally: &mut Tally) {
    let Ok(entry) = Entry::new(pid) else { return };
    let Ok(stat) = entry.stat() else { return };
    let same = first
        .processes
        .get(&pid)
        .is_some_and(|process| process.started == stat.starttime);
    if !same {
        return;
    }
    tally.looks += 1;
    tally.disk += u32::from(stat.state == 'D');
    tally.stopped += u32::from(stat.state == 'T');
    if !READ_NO_BACKUP.contains(&stat.comm.as_str()) {
        let files = open_files(&entry);
        tally.other_files += u32::from(tally.looks > 1 && files != tally.files);
        tally.files = files;
    }
}

/// How full a pipe is, as a share of what it can hold. Opens its reading end for a moment, and no other file: not even one that
/// has got the descriptor's number meanwhile, for opening a tape would rewind it. An open writing end would hide the writer's end
/// from the reader.
fn fill(inode: u64, (pid, number): (Pid, i32)) -> Option<f64> {
    let named = |name: &str, flags| rustix::fs::open(name, flags | OFlags::CLOEXEC, Mode::empty());
    let place = named(&format!("/proc/{pid}/fd/{number}"), OFlags::PATH).ok()?;
    let found = rustix::fs::fstat(&place).ok()?;
    if found.st_ino != inode || FileType::from_raw_mode(found.st_mode) != FileType::Fifo {
        return None;
    }
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    let pipe = named(&again, OFlags::RDONLY | OFlags::NONBLOCK).ok()?;
    let held = rustix::io::ioctl_fionread(&pipe).ok()?;
    let most = rustix::pipe::fcntl_getpipe_size(&pipe).ok()?;
    Some(share(held, u64::try_from(most).ok()?))
}

/// A part of a whole; 0 of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    // Neither bytes nor ticks lose anything that counts here.
    #[allow(clippy::cast_precision_loss)]
    let share = part as f64 / whole.max(1) as f64;
    share
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    fn pipe() -> (File, File) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        (reader.into(), writer.into())
    }

    #[test]
    fn a_pipes_level_is_its_share_of_what_it_can_hold() {
        let (reader, mut writer) = pipe();
        let most = rustix::pipe::fcntl_getpipe_size(&reader).unwrap();
        writer.write_all(&vec![0; most / 4]).unwrap();
        let inode = rustix::fs::fstat(&reader).unwrap().st_ino;
        let own = Pid::try_from(std::process::id()).unwrap();
        let place = (own, reader.as_raw_fd());
        assert_eq!(fill(inode, place), Some(0.25));
        assert_eq!(fill(inode + 1, place), None, "another file than the pipe");
    }

    #[test]
    fn looking_at_a_pipe_takes_nothing_and_leaves_nothing_open() {
        let (mut reader, mut writer) = pipe();
        writer.write_all(b"data").unwrap();
        let inode = rustix::fs::fstat(&reader).unwrap().st_ino;
        let own = Pid::try_from(std::process::id()).unwrap();
        fill(inode, (own, reader.as_raw_fd())).unwrap();
        let mut data = [0; 4];
        reader.read_exact(&mut data).unwrap();
        assert_eq!(&data, b"data");
        drop(reader);
        assert!(
            writer.write_all(b"more").is_err(),
            "the pipe has another reader"
        );
    }
}
