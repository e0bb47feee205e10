//! What a member's body costs: nothing where it is skipped, next to nothing where it has to be read.
//!
//! valgrind's callgrind counts the instructions of `amrelay-index`, so that the result is the same on a busy machine.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::c::compile;
use crate::support::index::{Header, Magic};
use crate::support::program::is_missing;

/// An archive with one member, whose body is a hole.
fn archive(size: u64) -> File {
    let mut file = tempfile::tempfile().unwrap();
    let header = Header::new(Magic::Gnu, b'0', b"./member", size).seal();
    file.write_all_at(&header, 0).unwrap();
    file.set_len(512 + size + 1024).unwrap();
    file.rewind().unwrap();
    file
}

fn start(index: &Path, input: Stdio) -> Child {
    Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(index)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The instructions that a run took.
fn instructions(run: Child) -> f64 {
    let output = run.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(output.stdout, b"/member\n");
    let count = told.split("Collected : ").nth(1).expect("a count");
    count.split_whitespace().next().unwrap().parse().unwrap()
}

/// Through a socket, which can be neither seeked nor spliced: every byte is read and pushed.
fn pushed(index: &Path, size: u64) -> f64 {
    let (mut writer, input) = UnixStream::pair().unwrap();
    let run = start(index, OwnedFd::from(input).into());
    let writing = thread::spawn(move || {
        let mut archive = archive(size);
        let mut piece = vec![0; 64 << 10];
        loop {
            match archive.read(&mut piece).unwrap() {
                0 => break,
                count => writer.write_all(&piece[..count]).unwrap(),
            }
        }
    });
    let count = instructions(run);
    writing.join().unwrap();
    count
}

#[test]
fn no_instruction_is_spent_on_a_byte_of_a_body() {
    if is_missing("valgrind") {
        return;
    }
    let index = compile("examples/amrelay-index.c");
    let seeked = |size| instructions(start(&index, archive(size).into()));
    // Both larger than what the first read takes along with the header.
    let (small, large) = (seeked(8 << 20), seeked(7 << 30));
    assert!((large - small).abs() < 1000.0, "skipped: {small}, {large}");

    // What is left are the calls, each for some KiB; the system decides for how many.
    let (small, large) = (pushed(&index, 1 << 20), pushed(&index, 65 << 20));
    let each = (large - small) / f64::from(64 << 20);
    assert!(each < 0.25, "pushed: {each} per byte");
}
