//! What the tests of the tee share: pipes, writers, readers, and the programs to compare with.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use amrelay::inspect::Index;
use amrelay::stats::Method;
use amrelay::tee::{Config, Output, Prepared, Report, Tee};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// Runs a test over both ways of moving the bytes.
pub(crate) fn both_ways(test: impl Fn(Method)) {
    for method in [Method::Splice, Method::Copy] {
        test(method);
    }
}

/// A pipe of the system's usual size: (reader, writer).
pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::CLOEXEC).unwrap()
}

/// A pipe of one page, as a user gets it who has used up his share of pipe memory.
pub(crate) fn one_page_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe();
    assert_eq!(fcntl_setpipe_size(&writer, 4096).unwrap(), 4096);
    (reader, writer)
}

/// A pipe for an index of lines: its reader, and the index that writes into it.
pub(crate) fn line_index() -> (OwnedFd, Index) {
    let (reader, writer) = pipe();
    (reader, Index::Tar(writer.into()))
}

/// A pipe for the index of a command: its reader, and the index that writes into it.
pub(crate) fn command_index(command: &str) -> (OwnedFd, Index) {
    let (reader, output) = pipe();
    let index = Index::Command {
        command: CString::new(command).unwrap(),
        output: output.into(),
        errors: None,
        started: None,
    };
    (reader, index)
}

/// A tee between two descriptors, with CRC.
pub(crate) fn config(input: OwnedFd, output: OwnedFd, index: Index, method: Method) -> Config {
    let output = Output::Descriptor(output.into());
    Config {
        index,
        ..config_to(input, output, method)
    }
}

/// A tee from a descriptor to any output, with CRC and without an index.
pub(crate) fn config_to(input: OwnedFd, output: Output, method: Method) -> Config {
    Config {
        input: input.into(),
        output,
        crc: true,
        index: Index::None,
        method,
        pipe_size: None,
    }
}

/// Starts a tee between two pipes: the tee, the writer of its input, the reader of its output.
pub(crate) fn start_between_pipes(index: Index, method: Method) -> (Tee, OwnedFd, OwnedFd) {
    let (input, writer) = pipe();
    let (reader, output) = pipe();
    let tee = start(config(input, output, index, method));
    (tee, writer, reader)
}

/// Writes all and closes, in a thread of its own.
pub(crate) fn feed(writer: OwnedFd, bytes: Vec<u8>) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || File::from(writer).write_all(&bytes))
}

/// Reads to the end, in a thread of its own.
pub(crate) fn collect(reader: OwnedFd) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || read_all(reader))
}

/// Reads to the end.
pub(crate) fn read_all(reader: OwnedFd) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::from(reader).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Returns once a pipe that nobody reads holds as much as it takes: its writer is stalled.
///
/// Short writes leave pages half empty, so that a full pipe may hold fewer bytes than its size.
pub(crate) fn wait_until_full(reader: &OwnedFd) {
    let mut before = 0;
    loop {
        let held = rustix::io::ioctl_fionread(reader).unwrap();
        let capacity = fcntl_getpipe_size(reader).unwrap() as u64;
        if held == before && held > capacity / 2 {
            return;
        }
        before = held;
        thread::sleep(Duration::from_millis(50));
    }
}

/// What a tee did with bytes written by a thread, all sides read at once.
pub(crate) struct Outcome {
    pub(crate) report: Report,
    pub(crate) output: Vec<u8>,
    pub(crate) index: Vec<u8>,
}

/// Feeds `bytes` through a tee with a tar index.
pub(crate) fn through_tee(bytes: &[u8], method: Method) -> Outcome {
    let (index_reader, index) = line_index();
    through(pipe(), pipe(), bytes, index, index_reader, method)
}

/// Feeds `bytes` through a tee between the pipes.
pub(crate) fn through(
    (input, writer): (OwnedFd, OwnedFd),
    (reader, output): (OwnedFd, OwnedFd),
    bytes: &[u8],
    index: Index,
    index_reader: OwnedFd,
    method: Method,
) -> Outcome {
    let (feeding, collecting) = (feed(writer, bytes.to_vec()), collect(reader));
    let indexing = collect(index_reader);
    let report = run(config(input, output, index, method));
    feeding.join().unwrap().unwrap();
    Outcome {
        report,
        output: collecting.join().unwrap(),
        index: indexing.join().unwrap(),
    }
}

impl Outcome {
    /// The data came through unharmed, and the checksum is that of the data.
    #[track_caller]
    pub(crate) fn assert_data(&self, bytes: &[u8]) {
        assert_report(&self.report, bytes);
        assert!(self.output == bytes, "the output differs from the input");
    }
}

/// The report speaks of exactly these bytes.
#[track_caller]
pub(crate) fn assert_report(report: &Report, bytes: &[u8]) {
    assert!(report.input.is_ok(), "{report:?}");
    assert!(report.output.is_ok(), "{report:?}");
    assert_eq!(report.stats.bytes, bytes.len() as u64);
    assert_eq!(report.read, report.stats.bytes);
    assert_eq!(report.crc, Some(reference_crc(bytes)));
}

/// CRC-32C by another implementation.
pub(crate) fn reference_crc(bytes: &[u8]) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(bytes)
}

/// The index as upstream's pipeline makes it (client-src/sendbackup-gnutar.c).
pub(crate) const INDEX_PIPELINE: &str = "LC_ALL=C tar -tf - 2>/dev/null | sed -e 's/^\\.//'";

/// What upstream's pipeline prints for the archive.
pub(crate) fn reference_index(archive: &[u8]) -> Vec<u8> {
    let mut child = Command::new("sh")
        .args(["-c", INDEX_PIPELINE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let feeding = feed(child.stdin.take().unwrap().into(), archive.to_vec());
    let output = child.wait_with_output().unwrap();
    // tar may leave before the end of what follows the archive.
    let _ = feeding.join().unwrap();
    output.stdout
}

/// Starts GNU tar, writing an archive of the directory.
pub(crate) fn start_tar(directory: &Path, output: OwnedFd) -> Child {
    Command::new("tar")
        .args([
            "--create",
            "--sparse",
            "--sort=name",
            "--file=-",
            "--directory",
        ])
        .arg(directory)
        .arg(".")
        .stdout(output)
        .spawn()
        .unwrap()
}

/// An archive of the directory, by GNU tar.
pub(crate) fn tar(directory: &Path) -> Vec<u8> {
    let (reader, writer) = pipe();
    let mut tar = start_tar(directory, writer);
    let archive = read_all(reader);
    assert!(tar.wait().unwrap().success());
    archive
}

/// A tree with awkward names, many small files, a large and a sparse one.
pub(crate) fn make_tree(directory: &Path) {
    for name in [
        "plain",
        "with space",
        "new\nline",
        "back\\slash",
        "\"quotes\"",
        "é",
        "\u{1}",
    ] {
        std::fs::write(directory.join(name), name).unwrap();
    }
    std::fs::write(
        directory.join("l".repeat(250)),
        b"a name too long for the old header",
    )
    .unwrap();
    let many = directory.join("many");
    std::fs::create_dir(&many).unwrap();
    for number in 0..300 {
        std::fs::write(
            many.join(format!("a file with a name of some length {number}")),
            noise(number * 37),
        )
        .unwrap();
    }
    std::fs::write(directory.join("large"), noise(9 << 20)).unwrap();
    let sparse = File::create(directory.join("sparse")).unwrap();
    sparse.write_all_at(b"end", 64 << 20).unwrap();
    std::os::unix::fs::symlink("plain", directory.join("link")).unwrap();
    std::fs::hard_link(directory.join("plain"), directory.join("hard")).unwrap();
}

/// The archive of [`make_tree`]'s tree.
pub(crate) fn tree_archive() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    make_tree(directory.path());
    tar(directory.path())
}

/// Bytes without a pattern, the same each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

/// Starts a tee.
pub(crate) fn start(config: Config) -> Tee {
    Prepared::new().unwrap().start(config)
}

/// Runs a tee to its end.
pub(crate) fn run(config: Config) -> Report {
    start(config).wait()
}
