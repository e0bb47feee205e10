//! `examples/amrelay-relay.c`: several commands over one connection, into as many files.

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use crate::support::c::{compile, program};
use crate::support::tee::{collect, noise, pipe, wait_until_full};
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_getpipe_size;
use tempfile::TempDir;

/// Compiled once, since a program that runs cannot be written.
fn relay() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    program(PROGRAM.get_or_init(|| compile("examples/amrelay-relay.c")))
}

/// A folder with what the commands print: `large` and `small`.
fn sources() -> (TempDir, Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (large, small) = (noise(20 << 20), noise(100_000));
    fs::write(folder.path().join("large"), &large).expect("a file");
    fs::write(folder.path().join("small"), &small).expect("a file");
    (folder, large, small)
}

const COMMANDS: [&str; 3] = ["dd if=large bs=64k status=none", "cat small", "echo done"];
const FILES: [&str; 3] = ["data", "list", "message"];

fn start_sender(folder: &Path, commands: &[&str], connection: impl Into<Stdio>) -> Child {
    let mut command = relay();
    command.arg("send").args(commands).current_dir(folder);
    command
        .stdout(connection)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs")
}

fn start_receiver(folder: &Path, files: &[&str], connection: impl Into<Stdio>) -> Child {
    let mut command = relay();
    command.arg("receive").args(files).current_dir(folder);
    command
        .stdin(connection)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs")
}

#[track_caller]
fn expect(output: &Output, status: i32, told: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{errors}");
    assert!(errors.contains(told), "{errors}");
    assert!(status != 0 || errors.is_empty(), "{errors}");
}

/// Waits for a program that has to end with this status and this message.
#[track_caller]
fn expect_end(child: Child, status: i32, told: &str) {
    expect(
        &child.wait_with_output().expect("the program ends"),
        status,
        told,
    );
}

/// Returns once the connection is full, as it has to be while nobody takes what it brings.
fn expect_stall(sender: &mut Child, connection: &OwnedFd) {
    let capacity = fcntl_getpipe_size(connection).expect("a pipe") as u64;
    let (mut held, mut before) = (0, 0);
    while held != before || held <= capacity / 2 {
        let ended = sender.try_wait().expect("a child");
        assert!(ended.is_none(), "it was not held up");
        thread::sleep(Duration::from_millis(50));
        before = held;
        held = ioctl_fionread(connection).expect("a pipe");
    }
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).expect("the file")
}

/// Two ends of a TCP connection.
fn tcp() -> (OwnedFd, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let near = TcpStream::connect(address).expect("a connection");
    let (far, _) = listener.accept().expect("its other end");
    (far.into(), near.into())
}

/// What the sender writes for [`COMMANDS`], without a receiver.
fn frames(folder: &Path) -> Vec<u8> {
    let (reader, writer) = pipe();
    let sender = start_sender(folder, &COMMANDS, writer);
    let frames = collect(reader).join().expect("the connection");
    expect_end(sender, 0, "");
    frames
}

/// Gives a receiver these bytes, and the end behind them.
fn receive(folder: &Path, files: &[&str], bytes: &[u8]) -> Output {
    let (reader, writer) = pipe();
    let receiver = start_receiver(folder, files, reader);
    thread::scope(|scope| {
        // A receiver that refuses leaves before the end.
        scope.spawn(move || File::from(writer).write_all(bytes));
        receiver.wait_with_output().expect("the program ends")
    })
}

#[test]
fn each_command_fills_its_file() {
    let (folder, large, small) = sources();
    let folder = folder.path();
    for (reader, writer) in [pipe(), tcp()] {
        let receiver = start_receiver(folder, &FILES, reader);
        let sender = start_sender(folder, &COMMANDS, writer);
        expect_end(sender, 0, "");
        expect_end(receiver, 0, "");
        assert!(read(folder, "data") == large);
        assert!(read(folder, "list") == small);
        assert_eq!(read(folder, "message"), b"done\n");
    }
}

#[test]
fn a_reader_that_takes_nothing_holds_up_its_sender_and_loses_nothing() {
    let (folder, large, small) = sources();
    let folder = folder.path();
    let (slow, into_slow) = pipe();
    let (reader, writer) = pipe();
    let seen = reader.try_clone().expect("a further descriptor");
    let stdout = ["/dev/stdout", "list", "message"];
    let mut command = relay();
    command.arg("receive").args(stdout).current_dir(folder);
    command
        .stdin(reader)
        .stdout(into_slow)
        .stderr(Stdio::piped());
    let receiver = command.spawn().expect("the program runs");
    // The command keeps the ends open otherwise.
    drop(command);
    let mut sender = start_sender(folder, &COMMANDS, writer);
    expect_stall(&mut sender, &seen);
    drop(seen);
    let data = collect(slow);
    expect_end(sender, 0, "");
    expect_end(receiver, 0, "");
    assert!(data.join().expect("the data") == large);
    assert!(read(folder, "list") == small);
    assert_eq!(read(folder, "message"), b"done\n");
}

#[test]
fn a_command_that_fails_is_told() {
    let (folder, ..) = sources();
    let folder = folder.path();
    let (reader, writer) = pipe();
    let receiver = start_receiver(folder, &FILES, reader);
    let sender = start_sender(folder, &["echo some; exit 3", "cat small", "true"], writer);
    expect_end(sender, 1, "echo some; exit 3: the command has failed");
    expect_end(receiver, 0, "");
    assert_eq!(read(folder, "data"), b"some\n");
}

#[test]
fn a_connection_that_is_lost_ends_the_sender() {
    let (folder, ..) = sources();
    let (reader, writer) = pipe();
    let sender = start_sender(folder.path(), &COMMANDS, writer);
    wait_until_full(&reader);
    drop(reader);
    expect_end(sender, 1, "Broken pipe");
}

#[test]
fn a_connection_that_is_cut_is_told_and_what_came_is_kept() {
    let (folder, large, small) = sources();
    let folder = folder.path();
    let whole = frames(folder);
    // Within a header, within a payload, and before the frame that ends the last stream.
    for length in [3, 1 << 20, whole.len() - 8] {
        let output = receive(folder, &FILES, &whole[..length]);
        expect(&output, 1, "the connection has ended too early");
        assert!(large.starts_with(&read(folder, "data")));
        assert!(small.starts_with(&read(folder, "list")));
    }
    expect(&receive(folder, &FILES, &whole), 0, "");
    assert!(read(folder, "data") == large);
}

#[test]
fn a_full_disk_costs_one_file() {
    let (folder, _, small) = sources();
    let folder = folder.path();
    let whole = frames(folder);
    let output = receive(folder, &["/dev/full", "list", "message"], &whole);
    expect(&output, 1, "/dev/full: No space left on device");
    assert!(read(folder, "list") == small);
    assert_eq!(read(folder, "message"), b"done\n");
}

#[test]
fn what_is_no_frame_of_these_streams_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let frame = |length: u32, number: u32| [length.to_be_bytes(), number.to_be_bytes()].concat();
    let too_long = receive(folder, &FILES, &frame((4 << 20) + 1, 1));
    expect(&too_long, 1, "no frame");
    for strange in [
        frame(1, 0),
        frame(1, 4),
        [frame(0, 1), frame(1, 1)].concat(),
    ] {
        let output = receive(folder, &FILES, &strange);
        expect(&output, 1, "a stream that has no file");
    }
}

#[test]
fn wrong_arguments_give_status_2() {
    for wrong in [&[][..], &["send"], &["receive"], &["other", "date"]] {
        let output = relay().args(wrong).output().expect("the program runs");
        expect(&output, 2, "usage: ");
    }
}
