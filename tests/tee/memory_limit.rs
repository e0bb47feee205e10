//! A process that may not use more memory: a tee without a buffer ends, and an index without room for its lines does so
//! alone.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::OwnedFd;

use amrelay::inspect::{Index, IndexEnd};
use amrelay::stats::Method;
use amrelay::tee::{Config, Prepared};

use crate::support::alone::is_alone;
use crate::support::index::{Magic, member};
use crate::support::memory::*;
use crate::support::tee::*;

/// What the process may use from now on.
const ROOM: u64 = 32 << 20;
/// Less than the buffer of a tee, in how large pieces memory is taken.
const PIECE: usize = 64 << 10;

/// A tee from a file with these bytes to nowhere.
fn config_for(bytes: &[u8], index: Index) -> Config {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(bytes).unwrap();
    let input = File::open(file.path()).unwrap();
    let output = File::create("/dev/null").unwrap();
    config(OwnedFd::from(input), output.into(), index, Method::Copy)
}

/// The thread of a tee, which takes its memory where this one does: what one hoards, the other cannot get.
fn prepare() -> Prepared {
    // SAFETY: the call takes numbers only (mallopt(3)).
    assert_eq!(unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) }, 1);
    Prepared::new().unwrap()
}

fn is_out_of_memory(error: &io::Error) -> bool {
    error.kind() == ErrorKind::OutOfMemory
}

/// An archive of empty files with long names: nearly a fifth of it is lines.
fn archive_of_names(members: usize) -> Vec<u8> {
    let name = |at| format!("{at:0>99}");
    (0..members)
        .flat_map(|at| member(Magic::Gnu, b'0', name(at).as_bytes(), b""))
        .chain([0; 1024])
        .collect()
}

#[test]
fn a_tee_without_a_buffer_ends() {
    if !is_alone(module_path!(), "a_tee_without_a_buffer_ends") {
        return;
    }
    let config = config_for(b"some bytes", Index::None);
    let tee = prepare();
    limit_memory(ROOM);
    let mut hoard = hoard(PIECE);
    // For what else is allocated, little as it is.
    hoard.pop();
    let report = tee.start(config).wait();
    drop(hoard);
    assert!(is_out_of_memory(&report.input.unwrap_err()));
    assert!(report.output.is_ok());
    assert_eq!((report.read, report.stats.bytes), (0, 0));
}

#[test]
fn an_index_without_room_for_its_lines_ends_alone() {
    if !is_alone(
        module_path!(),
        "an_index_without_room_for_its_lines_ends_alone",
    ) {
        return;
    }
    let archive = archive_of_names(20_000);
    // Nobody reads: the lines wait in memory.
    let (_reader, index) = line_index();
    let config = config_for(&archive, index);
    let tee = prepare();
    limit_memory(ROOM);
    let mut hoard = hoard(PIECE);
    hoard.truncate(hoard.len() - 4);
    let report = tee.start(config).wait();
    drop(hoard);
    assert_report(&report, &archive);
    match report.index {
        IndexEnd::Failed(error) => assert!(is_out_of_memory(&error), "{error}"),
        end => panic!("{end}"),
    }
}
