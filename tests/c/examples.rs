//! The programs of `examples/`, on archives of the system's tar.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;

use crate::support::c::{compile, program};
use crate::support::index::{Header, Magic};
use crate::support::tee::{reference_index, tree_archive};
use tempfile::TempDir;

/// An archive of the system's tar with everything that makes members awkward.
struct Archive {
    folder: TempDir,
    bytes: Vec<u8>,
    listing: Vec<u8>,
}

impl Archive {
    fn path(&self) -> PathBuf {
        self.folder.path().join("archive.tar")
    }
}

fn archive() -> &'static Archive {
    static ARCHIVE: OnceLock<Archive> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let bytes = tree_archive();
        let archive = Archive {
            folder: tempfile::tempdir().expect("a folder"),
            listing: reference_index(&bytes),
            bytes,
        };
        fs::write(archive.path(), &archive.bytes).expect("a file");
        archive
    })
}

/// Compiled once, since a program that runs cannot be written.
fn index_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("examples/amrelay-index.c"))
}

fn tee_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("examples/amrelay-tee.c"))
}

fn with_file(command: &mut Command, file: File) -> Output {
    command.stdin(file).output().expect("the program runs")
}

/// A program with a pipe at each of its standard descriptors; that of its input.
fn start_piped(command: &mut Command) -> (Child, ChildStdin) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let stdin = child.stdin.take().expect("a pipe");
    (child, stdin)
}

/// Gives a program its input through a pipe, which it may leave early.
fn with_pipe(command: &mut Command, input: &[u8]) -> Output {
    let (child, mut stdin) = start_piped(command);
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("the program ends")
    })
}

/// Gives a program its input through a socket, which can be neither seeked nor spliced from.
fn with_socket(command: &mut Command, input: &[u8]) -> Output {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a socket");
    command.stdin(std::os::fd::OwnedFd::from(theirs));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program runs");
    // The command keeps the other end open otherwise, and the writer would not see it go.
    command.stdin(Stdio::null());
    std::thread::scope(|scope| {
        scope.spawn(move || ours.write_all(input));
        child.wait_with_output().expect("the program ends")
    })
}

fn assert_listed(output: &Output) {
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stdout == archive().listing,
        "the lines are not those of tar"
    );
    assert_eq!(output.stderr, b"");
}

#[test]
fn index_of_a_file_a_pipe_and_a_socket_is_that_of_tar() {
    let index = index_program();
    let bytes = &archive().bytes;
    let listing = &archive().listing;
    assert!(listing.len() > 10_000, "tar listed the tree");
    let lines = listing.iter().filter(|&&byte| byte == b'\n');
    assert!(lines.count() > 300, "tar listed the tree");
    assert_listed(&with_file(
        &mut program(index),
        File::open(archive().path()).expect("the archive"),
    ));
    assert_listed(&with_pipe(&mut program(index), bytes));
    assert_listed(&with_socket(&mut program(index), bytes));
}

#[test]
fn damaged_archives_give_status_1_and_a_message() {
    let index = index_program();
    let bytes = &archive().bytes;
    let large = find(bytes, b"./large\0");
    let cut = &bytes[..large + 1_000_000];
    let path = archive().folder.path().join("cut.tar");
    fs::write(&path, cut).expect("a file");
    let file = File::open(&path).expect("the file");
    for output in [
        with_file(&mut program(index), file),
        with_pipe(&mut program(index), cut),
        with_socket(&mut program(index), cut),
        with_pipe(&mut program(index), b""),
        with_pipe(&mut program(index), &vec![b'x'; 100_000]),
    ] {
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).expect("text");
        assert!(message.starts_with("amrelay-index: "), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(archive().listing.starts_with(&output.stdout));
    }
}

#[test]
fn what_is_no_archive_is_refused_if_the_format_is_to_be_detected() {
    let index = index_program();
    let bytes = &archive().bytes;
    assert_listed(&with_pipe(program(index).arg("-d"), bytes));
    let behind_junk = [&[b'x'; 512], &bytes[..]].concat();
    let found = with_pipe(&mut program(index), &behind_junk);
    assert_eq!(found.status.code(), Some(1));
    assert!(found.stdout == archive().listing);
    let refused = with_pipe(program(index).arg("-d"), &behind_junk);
    assert_eq!(
        (refused.status.code(), &*refused.stdout),
        (Some(1), &b""[..])
    );
    let message = String::from_utf8(refused.stderr).expect("text");
    assert!(message.contains("not a tar archive"), "{message}");
    assert_eq!(
        with_pipe(program(index).arg("-x"), b"").status.code(),
        Some(2)
    );
}

#[test]
fn bodies_in_a_file_are_seeked_over() {
    let path = archive().folder.path().join("huge.tar");
    // A body of 1 TiB, all of it a hole. Reading it takes minutes of processor time, of which there are 20 seconds.
    let file = File::create(&path).expect("a file");
    file.write_all_at(&header_of("huge", 1 << 40), 0)
        .expect("a header");
    let end = 512 + (1 << 40);
    file.write_all_at(&header_of("after", 0), end)
        .expect("a header");
    file.set_len(end + 512 + 1024).expect("the end mark");
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -t 20; exec \"$0\""]);
    let output = with_file(
        shell.arg(index_program()),
        File::open(&path).expect("the file"),
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"huge\nafter\n");
}

#[test]
fn bodies_in_a_pipe_do_not_pass_through_the_program() {
    const BODY: usize = 64 << 20;
    let mut child = program(index_program())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(&header_of("big", BODY as u64))
        .and_then(|()| stdin.write_all(&vec![1; BODY]))
        .expect("the program takes its input");
    // All but what the pipe holds has left it, and the program has not ended yet.
    let read = bytes_read(child.id());
    assert!(read < BODY as u64 / 2, "{read} bytes were read");
    stdin.write_all(&[0; 1024]).expect("the end mark");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"big\n");
}

/// What a process has got by read(2) and its like so far; splice(2) does not count.
fn bytes_read(process: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{process}/io")).expect("its counters");
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.and_then(|count| count.parse().ok()).expect("a number")
}

fn header_of(name: &str, size: u64) -> Vec<u8> {
    let mut header = Header::new(Magic::Gnu, b'0', name.as_bytes(), 0);
    header.put_large_size(size).seal()
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    let mut windows = bytes.windows(wanted.len());
    windows
        .position(|window| window == wanted)
        .expect("it is there")
}

#[test]
fn tee_passes_on_every_byte_and_tells_crc_and_counts() {
    let tee = tee_program();
    let index = archive().folder.path().join("index");
    let lines = String::from_utf8_lossy(&archive().listing).lines().count();
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&archive().bytes);
    for way in [None, Some("-z")] {
        let mut command = program(tee);
        command.args(way).arg("-i").arg(&index);
        let output = with_pipe(&mut command, &archive().bytes);
        let told = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(output.stdout == archive().bytes, "the data was changed");
        assert!(fs::read(&index).expect("the index") == archive().listing);
        for line in [
            format!("crc32c {crc:08x}"),
            format!("bytes {}", archive().bytes.len()),
            format!("entries {lines}"),
        ] {
            assert!(
                told.lines().any(|other| other == line),
                "no '{line}' in: {told}"
            );
        }
        if way.is_none() {
            assert!(told.contains("method copy\n"), "{told}");
        }
    }
}

#[test]
fn tee_writes_the_index_to_a_descriptor_and_lets_a_command_make_it() {
    let tee = tee_program();
    let mut shell = Command::new("sh");
    let folder = archive().folder.path();
    let script = "\"$0\" -d 3 3>by-tar >data && \
        \"$0\" -c 'LC_ALL=C tar -tf - | tail -n 1' -d 3 3>by-command >data <archive.tar";
    shell.args(["-c", script]).arg(tee).current_dir(folder);
    let output = with_pipe(&mut shell, &archive().bytes);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(fs::read(folder.join("by-tar")).expect("the index") == archive().listing);
    assert!(fs::read(folder.join("data")).expect("the data") == archive().bytes);
    let mut last = String::new();
    let mut by_command = File::open(folder.join("by-command")).expect("the index");
    by_command.read_to_string(&mut last).expect("text");
    let listing = String::from_utf8_lossy(&archive().listing).into_owned();
    let expected = listing.lines().last().expect("a line");
    assert_eq!(last, format!(".{expected}\n"));
}

#[test]
fn tee_leaves_a_descriptor_that_was_named_to_its_owner() {
    let folder = archive().folder.path();
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" -d 2 2>by-error >data"]);
    let output = with_pipe(
        shell.arg(tee_program()).current_dir(folder),
        &archive().bytes,
    );
    assert_eq!(output.status.code(), Some(0));
    let told = fs::read(folder.join("by-error")).expect("index and figures");
    let figures = told.strip_prefix(&archive().listing[..]);
    let figures = String::from_utf8_lossy(figures.expect("the index comes first"));
    assert!(figures.starts_with("crc32c "), "{figures}");
}

#[test]
fn tee_does_not_start_without_a_standard_descriptor() {
    let folder = archive().folder.path();
    for closed in ["<&-", ">&-", "2>&-"] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("\"$0\" -i in-its-place {closed}")]);
        let output = with_pipe(shell.arg(tee_program()).current_dir(folder), b"some bytes");
        assert_eq!(output.status.code(), Some(2), "{closed}");
        assert!(!folder.join("in-its-place").exists(), "{closed}");
    }
}

#[test]
fn tee_gives_up_when_its_time_is_over() {
    let (child, mut stdin) = start_piped(program(tee_program()).args(["-t", "1"]));
    stdin.write_all(b"some bytes").expect("a pipe takes them");
    let output = child.wait_with_output().expect("the program ends");
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(1), &b"some bytes"[..])
    );
    assert!(
        told.starts_with("amrelay-tee: amrelay_tee_wait: output: "),
        "{told}"
    );
    drop(stdin);
}

#[test]
fn tee_tells_a_damaged_index_from_lost_data() {
    let tee = tee_program();
    let index = archive().folder.path().join("damaged");
    let output = with_pipe(program(tee).arg("-i").arg(&index), b"no archive");
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(3), &b"no archive"[..])
    );
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let mut child = program(tee)
        .stdin(Stdio::piped())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"some bytes").expect("a pipe takes them");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("No space left on device"), "{told}");
    for wrong in [
        &["-x"][..],
        &["-c", "cat"],
        &["-d", "-1"],
        &["-d", "1"],
        &["-d", "3x"],
        &["-t", "0"],
        &["file"],
    ] {
        let output = with_pipe(program(tee).args(wrong), b"");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
