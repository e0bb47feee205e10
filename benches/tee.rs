//! Throughput and processor time of a tee between two pipes, beside upstream's arrangement.
//!
//! `cargo bench --bench tee` prints, for each round and tab-separated, wall-clock speed and the processor time per GiB
//! of what stands between writer and reader; these two are the same for all and not counted. The stream is a tar
//! archive of 64 KiB files, written in tar's records as fast as the pipe takes them. The smaller pipes keep their
//! sizes, as they do once a user has used up his share of pipe memory; "zero copy" then copies, too. "upstream" is what Amanda
//! 3.5.4 does in client-src/sendbackup.c: the process of `start_index` copies every byte into `tar -tf - | sed` and into
//! a pipe, and `handle_crc_thread` copies from there to the output. "read+write" only copies, and with "nothing" the
//! reader has the writer's pipe: no arrangement is faster than that.
//!
//! `AMRELAY_BENCH_ROUNDS` is the number of rounds, of [`SAMPLES`] each; `AMRELAY_BENCH_QUICK=yes` measures once a round,
//! with a quarter of the data.
#![allow(clippy::print_stdout, reason = "a measurement prints its result")]
#![allow(clippy::cast_precision_loss, reason = "speeds need no exactness")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crc_fast::{CrcAlgorithm, Digest};

use amrelay::inspect::Index;
use amrelay::stats::Method;
use amrelay::tee::{Config, Output, Prepared};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

const FILES: usize = 64;
const FILE_SIZE: usize = 64 << 10;
/// How often the archive's members are repeated in one run: 1 GiB in all.
const REPEATS: usize = 256;

/// How often each arrangement is measured a round, in turn: with small pipes everything has several speeds, by which
/// processors the system chooses, and a few samples would let chance decide.
const SAMPLES: usize = 3;

/// Stands between two pipes that hold so many bytes each.
type Arrangement = fn(OwnedFd, OwnedFd, usize);

/// None: the reader has the writer's pipe, which is as fast as anything between them can be.
const ARRANGEMENTS: [(&str, Option<Arrangement>); 5] = [
    ("zero copy", Some(tee_zero_copy)),
    ("copy", Some(tee_copy)),
    ("read+write", Some(read_and_write)),
    ("upstream", Some(upstream)),
    ("nothing", None),
];

fn main() {
    let members = Arc::new(members());
    let quick = std::env::var_os("AMRELAY_BENCH_QUICK").is_some_and(|value| value == "yes");
    let repeats = if quick { REPEATS / 4 } else { REPEATS };
    let rounds = std::env::var("AMRELAY_BENCH_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    let samples = if quick { rounds } else { rounds * SAMPLES };
    // Through one page at a time, a GiB takes most of a minute.
    let sizes = [
        ("1 MiB", 1 << 20, repeats),
        ("64 KiB", 64 << 10, repeats),
        ("4 KiB", 4 << 10, repeats / 16),
    ];
    for (label, size, repeats) in sizes {
        let total = (members.len() * repeats) as f64;
        for _ in 0..samples {
            for (name, arrangement) in ARRANGEMENTS {
                let (wall, processor) = measure(&members, repeats, size, arrangement);
                let print = |metric, value| {
                    println!("tee\t{label} pipes\t{name}\t{metric}\t{value:.3}");
                };
                print("GB/s", total / wall.as_secs_f64() / 1e9);
                if arrangement.is_some() {
                    let per_gib = f64::from(1 << 30) / total;
                    print("CPU s/GiB", processor.as_secs_f64() * per_gib);
                }
            }
        }
    }
}

/// A tar archive without its end mark.
fn members() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        let name = directory.path().join(format!("file{number}"));
        std::fs::write(name, vec![b'x'; FILE_SIZE]).unwrap();
    }
    let output = Command::new("tar")
        .args(["--create", "--file=-", "--directory"])
        .arg(directory.path())
        .arg(".")
        .output()
        .unwrap();
    let length = output.stdout.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    output.stdout[..length.next_multiple_of(512)].to_vec()
}

/// Wall-clock time of one run, and the processor time of the arrangement alone.
fn measure(
    members: &Arc<Vec<u8>>,
    repeats: usize,
    pipe_size: usize,
    arrangement: Option<Arrangement>,
) -> (Duration, Duration) {
    let (input, writer) = pipe(pipe_size);
    let members = Arc::clone(members);
    let (start, before) = (Instant::now(), processor_time());
    let writing = thread::spawn(move || {
        let mut writer = File::from(writer);
        for _ in 0..repeats {
            // As GNU tar writes: records of 10 KiB.
            for record in members.chunks(10 << 10) {
                writer.write_all(record).unwrap();
            }
        }
        thread_time()
    });
    let read = |reader| {
        thread::spawn(move || {
            count(reader);
            thread_time()
        })
    };
    let reading = if let Some(arrangement) = arrangement {
        let (reader, output) = pipe(pipe_size);
        let reading = read(reader);
        arrangement(input, output, pipe_size);
        reading
    } else {
        read(input)
    };
    let others = writing.join().unwrap() + reading.join().unwrap();
    let all = processor_time().saturating_sub(before);
    (start.elapsed(), all.saturating_sub(others))
}

fn tee_zero_copy(input: OwnedFd, output: OwnedFd, pipe_size: usize) {
    tee(input, output, pipe_size, Method::Splice);
}

fn tee_copy(input: OwnedFd, output: OwnedFd, pipe_size: usize) {
    tee(input, output, pipe_size, Method::Copy);
}

fn read_and_write(input: OwnedFd, output: OwnedFd, _pipe_size: usize) {
    copy(input, output, 64 << 10, |_| {});
}

fn tee(input: OwnedFd, output: OwnedFd, pipe_size: usize, method: Method) {
    let (index_reader, index) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let indexing = thread::spawn(move || count(index_reader));
    let tee = Prepared::new().unwrap().start(Config {
        input: input.into(),
        output: Output::Descriptor(output.into()),
        crc: true,
        index: Index::Tar(index.into()),
        method,
        pipe_size: Some(pipe_size),
    });
    assert!(tee.wait().output.is_ok());
    indexing.join().unwrap();
}

fn upstream(input: OwnedFd, output: OwnedFd, pipe_size: usize) {
    let mut lister = Command::new("sh")
        .args(["-c", "LC_ALL=C tar -tf - 2>/dev/null | sed -e 's/^\\.//'"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut to_list = lister.stdin.take().unwrap();
    fcntl_setpipe_size(&to_list, pipe_size).unwrap();
    let (checked, to_check) = pipe(pipe_size);
    let checking = thread::spawn(move || {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        copy(checked, output, 32 << 10, |bytes| digest.update(bytes));
        digest.finalize()
    });
    // BUFSIZ of glibc.
    copy(input, to_check, 8192, |bytes| {
        to_list.write_all(bytes).unwrap();
    });
    drop(to_list);
    checking.join().unwrap();
    lister.wait().unwrap();
}

/// Copies all, in pieces of at most `piece` bytes, and shows each to `see`.
fn copy(input: OwnedFd, output: OwnedFd, piece: usize, mut see: impl FnMut(&[u8])) {
    let (mut input, mut output) = (File::from(input), File::from(output));
    let mut buffer = vec![0; piece];
    loop {
        let count = input.read(&mut buffer).unwrap();
        if count == 0 {
            return;
        }
        see(&buffer[..count]);
        output.write_all(&buffer[..count]).unwrap();
    }
}

fn count(reader: OwnedFd) -> usize {
    let mut reader = File::from(reader);
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => return total,
            count => total += count,
        }
    }
}

fn pipe(size: usize) -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    fcntl_setpipe_size(&writer, size).unwrap();
    (reader, writer)
}

/// The processor time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

/// User and system time of this process and of its children that have ended.
fn processor_time() -> Duration {
    let time = |time: libc::timeval| {
        let part = |value: i64| u64::try_from(value).unwrap();
        Duration::from_secs(part(time.tv_sec)) + Duration::from_micros(part(time.tv_usec))
    };
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .map(|who| {
            let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
            // SAFETY: getrusage fills in the structure and cannot fail with these arguments.
            let usage = unsafe {
                libc::getrusage(who, usage.as_mut_ptr());
                usage.assume_init()
            };
            time(usage.ru_utime) + time(usage.ru_stime)
        })
        .iter()
        .sum()
}
