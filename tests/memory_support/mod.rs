//! A process that may not use more memory. The limit is the whole process's: each test that sets one runs in its own.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Set in the process whose memory is limited.
const LIMITED: &str = "AMRELAY_TEST_MEMORY_LIMITED";

/// Runs the test once more in a process of its own; true in that one.
pub(crate) fn is_limited(test: &str) -> bool {
    if std::env::var_os(LIMITED).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(LIMITED, "yes")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    false
}

/// Limits the memory of this process to what it uses now, and `room` bytes.
pub(crate) fn limit_memory(room: u64) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let limit = Rlimit {
        current: Some(pages * rustix::param::page_size() as u64 + room),
        ..getrlimit(Resource::As)
    };
    setrlimit(Resource::As, limit).unwrap();
}

/// Takes memory in pieces of `size` bytes until there is none left for a further piece.
pub(crate) fn hoard(size: usize) -> Vec<Vec<u8>> {
    let mut hoard = Vec::with_capacity(1000);
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(size).is_err() {
            return hoard;
        }
        hoard.push(piece);
    }
}
