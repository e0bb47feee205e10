//! Writers that put pages into the pipe which are not its own: they can change after the tee has looked at them. The
//! output gets what CRC and index have seen. Each test runs alone: a fork in another one makes memory copy-on-write, and
//! the pipe keeps the old pages.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use amrelay::inspect::Index;
use amrelay::stats::Method;
use amrelay::tee::{Config, Report};
use rustix::pipe::{IoSliceRaw, SpliceFlags, fcntl_setpipe_size, splice, vmsplice};

use crate::support::alone::is_alone;
use crate::support::tee::*;

/// What the tests send fits into a pipe of this size, so that writer, tee and reader can come one after the other.
const PIPE: usize = 1 << 20;

/// How the bytes get into the pipe.
#[derive(Debug, Clone, Copy)]
enum Writer {
    /// As busybox cat, pv and newer GNU cat do.
    Splice,
    Sendfile,
    /// Of the writer's own memory.
    Vmsplice,
}

/// What else the tee has to do, in all the ways that bytes may need a look or none.
#[derive(Debug, Clone, Copy)]
enum Work {
    Crc,
    CrcAndIndex,
    /// Nobody looks at the bytes.
    Nothing,
    /// Nobody looks at the bodies.
    Index,
    Command,
}

const WORKS: [Work; 5] = [
    Work::Crc,
    Work::CrcAndIndex,
    Work::Nothing,
    Work::Index,
    Work::Command,
];

/// The bytes, where a writer has them.
enum Source {
    File(File),
    Memory(&'static mut [u8]),
}

impl Source {
    fn new(writer: Writer, bytes: &[u8]) -> Self {
        if matches!(writer, Writer::Vmsplice) {
            // For ever: the pipe may show these pages longer than the test lasts.
            return Self::Memory(bytes.to_vec().leak());
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Self::File(file)
    }

    /// Writes all into a pipe with room for it.
    fn write(&self, writer: Writer, pipe: &OwnedFd) {
        match self {
            Self::Memory(bytes) => {
                // SAFETY: the pages live for ever, and that they are changed is what is tested.
                let taken = unsafe {
                    vmsplice(pipe, &[IoSliceRaw::from_slice(bytes)], SpliceFlags::empty()).unwrap()
                };
                assert_eq!(taken, bytes.len());
            }
            Self::File(file) => {
                let mut offset = 0;
                let length = file.metadata().unwrap().len();
                while offset < length {
                    let left = usize::try_from(length - offset).unwrap();
                    let sent = if matches!(writer, Writer::Sendfile) {
                        rustix::fs::sendfile(pipe, file, Some(&mut offset), left).unwrap()
                    } else {
                        let flags = SpliceFlags::empty();
                        splice(file, Some(&mut offset), pipe, None, left, flags).unwrap()
                    };
                    assert_ne!(sent, 0);
                }
            }
        }
    }

    /// Turns all bytes into others, in place.
    fn change(&mut self) {
        match self {
            Self::Memory(bytes) => bytes.fill(b'Z'),
            Self::File(file) => {
                let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
                file.write_all_at(&vec![b'Z'; length], 0).unwrap();
            }
        }
    }
}

fn large_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe();
    fcntl_setpipe_size(&writer, PIPE).unwrap();
    (reader, writer)
}

/// What came of a tee whose input changed as soon as it had ended.
struct Passed {
    report: Report,
    output: Vec<u8>,
    index: Vec<u8>,
}

fn pass(writer: Writer, work: Work, bytes: &[u8], method: Method) -> Passed {
    let (input, input_writer) = large_pipe();
    let (reader, output) = large_pipe();
    let mut source = Source::new(writer, bytes);
    source.write(writer, &input_writer);
    drop(input_writer);
    let (index_reader, index) = match work {
        Work::Crc | Work::Nothing => (None, Index::None),
        Work::Index | Work::CrcAndIndex => {
            let (reader, index) = line_index();
            (Some(reader), index)
        }
        Work::Command => {
            let (reader, index) = command_index("cat");
            (Some(reader), index)
        }
    };
    let indexing = index_reader.map(collect);
    let report = run(Config {
        crc: matches!(work, Work::Crc | Work::CrcAndIndex),
        ..config(input, output, index, method)
    });
    source.change();
    Passed {
        report,
        output: read_all(reader),
        index: indexing.map_or(Vec::new(), |reading| reading.join().unwrap()),
    }
}

/// A member with a body that is worth skipping, and all of it fits into a pipe.
fn archive() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("body"), noise(PIPE / 2)).unwrap();
    tar(directory.path())
}

#[test]
fn output_crc_and_index_are_of_the_same_bytes_though_the_writers_pages_change() {
    if !is_alone(
        module_path!(),
        "output_crc_and_index_are_of_the_same_bytes_though_the_writers_pages_change",
    ) {
        return;
    }
    let archive = archive();
    for writer in [Writer::Splice, Writer::Sendfile, Writer::Vmsplice] {
        for work in WORKS {
            let passed = pass(writer, work, &archive, Method::default());
            let what = format!("{writer:?}, {work:?}");
            assert_eq!(passed.report.stats.method, Method::Copy, "{what}");
            assert!(
                passed.output == archive,
                "{what}: what was sent has changed"
            );
            if let Some(crc) = passed.report.crc {
                assert_eq!(crc, reference_crc(&passed.output), "{what}");
            }
            let expected = match work {
                Work::Crc | Work::Nothing => Vec::new(),
                Work::Index | Work::CrcAndIndex => reference_index(&archive),
                Work::Command => archive.clone(),
            };
            assert!(passed.index == expected, "{what}: the index differs");
        }
    }
}

/// Or the test above would prove nothing.
#[test]
fn without_a_copy_the_output_has_what_the_pages_became() {
    if !is_alone(
        module_path!(),
        "without_a_copy_the_output_has_what_the_pages_became",
    ) {
        return;
    }
    let archive = archive();
    for writer in [Writer::Splice, Writer::Sendfile, Writer::Vmsplice] {
        for work in WORKS {
            // The fork that starts the command makes memory copy-on-write: the pipe keeps the old pages.
            if matches!((writer, work), (Writer::Vmsplice, Work::Command)) {
                continue;
            }
            let passed = pass(writer, work, &archive, Method::Splice);
            assert_eq!(passed.report.stats.method, Method::Splice);
            assert!(passed.output != archive, "{writer:?}, {work:?}");
        }
    }
}

/// Its pages are the pipe's own: that is what the promise is about.
#[test]
fn a_writer_with_write_may_change_its_memory() {
    if !is_alone(module_path!(), "a_writer_with_write_may_change_its_memory") {
        return;
    }
    let archive = archive();
    let (input, input_writer) = large_pipe();
    let (reader, output) = large_pipe();
    let mut memory = archive.clone();
    File::from(input_writer).write_all(&memory).unwrap();
    memory.fill(b'Z');
    let report = run(config(input, output, Index::None, Method::Splice));
    assert_eq!(report.stats.method, Method::Splice);
    assert_report(&report, &archive);
    assert!(read_all(reader) == archive);
}
