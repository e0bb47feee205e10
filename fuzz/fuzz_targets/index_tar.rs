//! The index parser against the system's tar, which has to be GNU tar 1.34 or 1.35: the same lines and the
//! same judgement on any bytes, valid or damaged, but where 1.34 is known to differ.
//!
//! scripts/fuzz.sh gives it what `index_parser` has found new; it also runs with cargo-fuzz (`cargo +nightly fuzz run
//! index_tar`).
//! docs/tar-index.md lists the differences that are allowed for here.
#![no_main]

#[path = "../../tests/support/index/version.rs"]
mod version;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::Command;

use amrelay::index::{Fault, Outcome};
use amrelay_fuzz::archive::{list, mutate};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};

/// What a pipe takes at once, so that nobody needs to write while tar reads.
const MOST: usize = 60 << 10;

fuzz_mutator!(|data: &mut [u8], length: usize, most: usize, seed: u32| {
    mutate(data, length, most, seed)
});

fuzz_target!(|archive: &[u8]| {
    if archive.len() > MOST {
        return;
    }
    let (lines, _, outcome) = list(archive, archive.len().max(1), false);
    match outcome {
        Outcome::Omitted { .. }
        | Outcome::Damaged { omitted: 1.., .. }
        | Outcome::Damaged {
            what: Fault::SparseMapTooLarge,
            ..
        } => return,
        _ => {}
    }
    let (listed, complaints, success) = tar(archive);
    let complains_of = |what: &str| complaints.contains(what);
    if complains_of("memory exhausted") {
        return;
    }
    // Whether an owner's number counts depends on the names the machine knows.
    let machine = complains_of("uid_t") || complains_of("gid_t");
    let complete = matches!(outcome, Outcome::Complete { .. });
    let same = lines == listed && (complete == success || machine);
    if !same && version::tar_is_older() && version::explains(archive, outcome, &lines, &listed) {
        return;
    }
    assert!(
        lines == listed,
        "ours:\n{}\ntar:\n{}",
        show(&lines),
        show(&listed)
    );
    assert!(
        complete == success || machine,
        "{outcome:?}, tar: {complaints}"
    );
});

fn show(lines: &[u8]) -> String {
    String::from_utf8_lossy(lines).into_owned()
}

/// What Amanda's `tar -tf - | sed -e 's/^\.//'` prints, what tar complains of, and whether it succeeds.
fn tar(archive: &[u8]) -> (Vec<u8>, String, bool) {
    let (input, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    File::from(writer).write_all(archive).unwrap();
    let mut output = File::from(memfd_create("listing", MemfdFlags::CLOEXEC).unwrap());
    let mut errors = File::from(memfd_create("complaints", MemfdFlags::CLOEXEC).unwrap());
    let status = Command::new("tar")
        .args(["-tf", "-"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(input)
        .stdout(output.try_clone().unwrap())
        .stderr(errors.try_clone().unwrap())
        .status()
        .unwrap();
    let read = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    // Each name is one line, whose first dot sed takes away.
    let lines = read(&mut output)
        .split_inclusive(|&byte| byte == b'\n')
        .flat_map(|line| line.strip_prefix(b".").unwrap_or(line))
        .copied()
        .collect();
    let complaints = String::from_utf8_lossy(&read(&mut errors)).into_owned();
    (lines, complaints, status.success())
}
