//! Throughput and processor time of a tee between two pipes, beside upstream's arrangement.
//!
//! `cargo bench --bench tee` prints medians: wall-clock speed, and the processor time that this process and its children
//! spend per GiB, the writer and the reader of the test included; they are the same for all. The stream is a tar archive of
//! 64 KiB files. The smaller pipes keep their sizes: the system refuses to enlarge them, as it does once a user has used
//! up his share of pipe memory; "auto" then copies. "upstream" copies every byte with read and write into the output and
//! into `tar -tf - | sed`, as `start_index` of client-src/sendbackup.c does; it computes no CRC.
#![allow(clippy::print_stdout, reason = "a measurement prints its result")]
#![allow(clippy::cast_precision_loss, reason = "speeds need no exactness")]

#[path = "../tests/tee_support/sandbox.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod sandbox;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sandbox::{Refusal, refusing};

use amrelay::tee::{Config, Index, Method, Output, run};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

const ROUNDS: usize = 5;
const FILES: usize = 64;
const FILE_SIZE: usize = 64 << 10;
/// How often the archive's members are repeated in one run: 1 GiB in all.
const REPEATS: usize = 256;

fn main() {
    let members = Arc::new(members());
    let total = (members.len() * REPEATS) as f64;
    for (label, size) in [("1 MiB", 1 << 20), ("64 KiB", 64 << 10), ("4 KiB", 4 << 10)] {
        for (name, arrangement) in [
            ("auto", &tee_auto as &(dyn Fn(OwnedFd, OwnedFd) + Sync)),
            ("copy", &tee_copy),
            ("upstream", &upstream),
        ] {
            let mut runs: Vec<_> = (0..ROUNDS)
                .map(|_| measure(&members, size, arrangement))
                .collect();
            runs.sort_unstable();
            let wall = runs[ROUNDS / 2].0.as_secs_f64();
            runs.sort_unstable_by_key(|run| run.1);
            let processor = runs[ROUNDS / 2].1.as_secs_f64();
            println!(
                "{label:>6} pipes  {name:8} {:6.2} GB/s {:6.3} CPU s/GiB",
                total / wall / 1e9,
                processor / total * f64::from(1 << 30)
            );
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

/// Wall-clock and processor time of one run.
fn measure(
    members: &Arc<Vec<u8>>,
    pipe_size: usize,
    arrangement: &(dyn Fn(OwnedFd, OwnedFd) + Sync),
) -> (Duration, Duration) {
    let (input, writer) = pipe(pipe_size);
    let (reader, output) = pipe(pipe_size);
    let members = Arc::clone(members);
    let (start, before) = (Instant::now(), processor_time());
    let writing = thread::spawn(move || {
        let mut writer = File::from(writer);
        for _ in 0..REPEATS {
            // As GNU tar writes: records of 10 KiB.
            for record in members.chunks(10 << 10) {
                writer.write_all(record).unwrap();
            }
        }
    });
    let reading = thread::spawn(move || count(reader));
    if pipe_size < 1 << 20 {
        refusing(&[Refusal::of_enlarging()], || arrangement(input, output));
    } else {
        arrangement(input, output);
    }
    writing.join().unwrap();
    reading.join().unwrap();
    (start.elapsed(), processor_time().saturating_sub(before))
}

fn tee_auto(input: OwnedFd, output: OwnedFd) {
    tee(input, output, Method::Auto);
}

fn tee_copy(input: OwnedFd, output: OwnedFd) {
    tee(input, output, Method::Copy);
}

fn tee(input: OwnedFd, output: OwnedFd, method: Method) {
    let (index_reader, index) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let indexing = thread::spawn(move || count(index_reader));
    let report = run(Config {
        input: input.into(),
        output: Output::Descriptor(output.into()),
        crc: true,
        index: Index::Tar(index.into()),
        method,
    });
    assert!(report.output.is_ok());
    indexing.join().unwrap();
}

fn upstream(input: OwnedFd, output: OwnedFd) {
    let mut lister = Command::new("sh")
        .args(["-c", "LC_ALL=C tar -tf - 2>/dev/null | sed -e 's/^\\.//'"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut copy = lister.stdin.take().unwrap();
    let (mut input, mut output) = (File::from(input), File::from(output));
    // BUFSIZ of glibc.
    let mut buffer = [0; 8192];
    loop {
        let count = input.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        copy.write_all(&buffer[..count]).unwrap();
        output.write_all(&buffer[..count]).unwrap();
    }
    drop((copy, output));
    lister.wait().unwrap();
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
