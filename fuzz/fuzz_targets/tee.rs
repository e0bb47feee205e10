//! A tee between descriptors of every kind, whose writer and readers take their time, leave, or fail: the output gets the
//! begin of the input, all of it unless a failure is told; CRC and index are those of the bytes; lent descriptors stay
//! as they were.
//!
//! Run with scripts/fuzz.sh, or with cargo-fuzz (`cargo +nightly fuzz run tee`).
#![no_main]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amrelay::index::TarIndex;
use amrelay::inspect::{Index, IndexEnd};
use amrelay::stats::Method;
use amrelay::sys::Descriptor;
use amrelay::tee::{Config, Output, Prepared, Report, Tee};
use amrelay_fuzz::archive::{list, member};
use amrelay_fuzz::pattern;
use amrelay_fuzz::program::{Amount, Sequence, ignore_sigpipe};
use amrelay_fuzz::wire::{self, Got, Wire, get, open_descriptors, put, set_nonblocking};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};

/// CRC-32C, by another hand.
const CASTAGNOLI: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
enum From {
    Wire(Wire),
    File,
    /// Reading it fails.
    Folder,
    /// The wrong end of a pipe.
    Writing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
enum To {
    Wire(Wire),
    Null,
    Full,
    /// The wrong end of a pipe.
    Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
enum Outlet {
    To(To),
    /// A function that takes so many bytes and then fails.
    Function(Amount),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Action {
    Write(Amount),
    Read(Amount),
    ReadIndex(Amount),
    ReaderLeaves,
    IndexReaderLeaves,
    Cancel,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Piece {
    Member { name: u8, body: Amount },
    Noise(Amount),
    End,
}

#[derive(Debug, Arbitrary)]
struct Program {
    from: From,
    to: Outlet,
    index: Option<To>,
    /// Whether a command makes the index, a copy of the stream: in one program of 32, since it is a process.
    by_command: u8,
    crc: bool,
    zero_copy: bool,
    small_pipes: bool,
    lent: bool,
    nonblocking: bool,
    pieces: [Piece; 4],
    actions: Sequence<Action>,
}

impl Program {
    fn is_by_command(&self) -> bool {
        self.by_command % 32 == 31
    }

    fn archive(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, piece) in self.pieces.iter().enumerate() {
            match *piece {
                Piece::Member { name, body } => {
                    let name = vec![b'a' + name % 26; 1 + usize::from(name % 99)];
                    bytes.extend(member(b'0', &name, &pattern::bytes(number, 0, body.0)));
                }
                Piece::Noise(count) => bytes.extend(pattern::bytes(number, 0, count.0)),
                Piece::End => bytes.resize(bytes.len() + 1024, 0),
            }
        }
        bytes
    }
}

/// A descriptor of the tee's: its own, or one that is still here afterwards, in the mode it had.
struct Given {
    kept: Option<(OwnedFd, OFlags)>,
}

impl Given {
    fn new(fd: OwnedFd, lent: bool) -> (Self, Descriptor) {
        if lent {
            // SAFETY: it is kept until the tee has been waited for.
            let descriptor = unsafe { Descriptor::lend(fd.as_raw_fd()) };
            let flags = fcntl_getfl(&fd).unwrap();
            (
                Self {
                    kept: Some((fd, flags)),
                },
                descriptor,
            )
        } else {
            (Self { kept: None }, Descriptor::from(fd))
        }
    }

    fn check(self) {
        if let Some((fd, flags)) = self.kept {
            assert_eq!(fcntl_getfl(&fd).unwrap(), flags, "another mode");
        }
    }
}

/// What one side of a tee got.
#[derive(Default)]
struct Reader {
    fd: Option<OwnedFd>,
    bytes: Vec<u8>,
    left: bool,
}

impl Reader {
    fn read(&mut self, count: usize) {
        if let Some(fd) = &self.fd {
            if get(fd.as_fd(), count, &mut self.bytes) == Got::End {
                self.fd = None;
            }
        }
    }

    fn leave(&mut self) {
        self.left |= self.fd.take().is_some();
    }
}

/// The writer, the tee and the readers.
struct Scene {
    archive: Vec<u8>,
    input: Option<OwnedFd>,
    written: usize,
    output: Reader,
    index: Reader,
    /// What the function took.
    taken: Arc<AtomicUsize>,
    given: Vec<Given>,
    cancelled: bool,
    tee: Tee,
}

impl Scene {
    fn new(program: &Program) -> Self {
        let archive = program.archive();
        let mut given = Vec::new();
        let mut give = |fd: OwnedFd| {
            set_nonblocking(&fd, program.nonblocking);
            let (kept, descriptor) = Given::new(fd, program.lent);
            given.push(kept);
            descriptor
        };
        let (reading, input) = open_input(program.from, &archive);
        let taken = Arc::new(AtomicUsize::new(0));
        let (to, output) = match program.to {
            Outlet::To(to) => {
                let (writing, reader) = open_output(to);
                (Output::Descriptor(give(writing)), reader)
            }
            Outlet::Function(Amount(most)) => (function(most, &taken), Reader::default()),
        };
        let (to_index, index) = match program.index {
            Some(to) => {
                let (writing, reader) = open_output(to);
                let output = give(writing);
                let index = if program.is_by_command() {
                    Index::Command {
                        command: c"exec cat 2>/dev/null".into(),
                        output,
                        errors: None,
                        started: None,
                    }
                } else {
                    Index::Tar(output)
                };
                (index, reader)
            }
            None => (Index::None, Reader::default()),
        };
        let config = Config {
            input: give(reading),
            output: to,
            crc: program.crc,
            index: to_index,
            method: if program.zero_copy {
                Method::Splice
            } else {
                Method::Copy
            },
            pipe_size: program.small_pipes.then_some(4096),
        };
        Self {
            archive,
            input,
            written: 0,
            output,
            index,
            taken,
            given,
            cancelled: false,
            tee: Prepared::new().unwrap().start(config),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Write(Amount(count)) => self.write(count),
            Action::Read(Amount(count)) => self.output.read(count),
            Action::ReadIndex(Amount(count)) => self.index.read(count),
            Action::ReaderLeaves => self.output.leave(),
            Action::IndexReaderLeaves => self.index.leave(),
            Action::Cancel => {
                self.cancelled = true;
                self.tee.control().cancel();
            }
        }
    }

    fn write(&mut self, count: usize) {
        if let Some(input) = &self.input {
            let rest = &self.archive[self.written..];
            self.written += put(input.as_fd(), &rest[..count.min(rest.len())]);
            if self.written == self.archive.len() {
                self.input = None;
            }
        }
    }

    /// Writes and reads all, until the tee has ended.
    fn settle(&mut self) {
        while !self.wait() {
            // A broken pipe of a tee that is ending takes nothing, and says so at once.
            self.write(usize::MAX);
            self.output.read(1 << 18);
            self.index.read(1 << 18);
        }
        self.input = None;
    }

    /// Waits for the next thing to happen, and says whether that is the tee's end.
    fn wait(&self) -> bool {
        let ended = self.tee.control().ended();
        let mut entries = vec![PollFd::new(&ended, PollFlags::IN)];
        let readers = [&self.output.fd, &self.index.fd].into_iter().flatten();
        entries.extend(readers.map(|fd| PollFd::new(fd, PollFlags::IN)));
        entries.extend(self.input.iter().map(|fd| PollFd::new(fd, PollFlags::OUT)));
        let limit = Timespec {
            tv_sec: 30,
            tv_nsec: 0,
        };
        // The fuzzer's own alarm may ring.
        let moved = rustix::io::retry_on_intr(|| poll(&mut entries, Some(&limit)));
        assert!(moved.unwrap() > 0, "nobody moves");
        !entries[0].revents().is_empty()
    }

    /// Whether the output may have taken no more.
    fn may_fail(&self, program: &Program) -> bool {
        let sound = matches!(program.to, Outlet::To(To::Null | To::Wire(_)));
        self.cancelled || self.output.left || !sound
    }

    fn check(mut self, program: &Program) {
        let may_fail = self.may_fail(program);
        let report = self.tee.wait();
        let read = usize::try_from(report.read).unwrap();
        let seen = &self.archive[..read];
        assert!(report.stats.bytes <= report.read);
        assert_eq!(report.crc, program.crc.then(|| CASTAGNOLI.checksum(seen)));
        assert!(report.output.is_ok() || may_fail);
        if report.input.is_ok() && report.output.is_ok() {
            assert_eq!(
                (report.stats.bytes, read),
                (report.read, self.archive.len())
            );
        }
        let unreadable = matches!(program.from, From::Folder | From::Writing);
        assert!(report.input.is_err() == unreadable || self.cancelled && unreadable);
        check_index(&report, seen, program, self.cancelled);
        check_lines(&report, seen, program, &mut self.index);
        let bytes = usize::try_from(report.stats.bytes).unwrap();
        for given in self.given {
            given.check();
        }
        while self.output.fd.is_some() {
            self.output.read(1 << 20);
        }
        assert_eq!(self.output.bytes, self.archive[..self.output.bytes.len()]);
        match program.to {
            Outlet::To(To::Wire(_)) if !self.output.left => {
                assert_eq!(self.output.bytes.len(), bytes)
            }
            Outlet::To(_) => assert!(self.output.bytes.len() <= bytes),
            Outlet::Function(_) => assert_eq!(self.taken.load(Ordering::SeqCst), bytes),
        }
    }
}

fn open_input(from: From, archive: &[u8]) -> (OwnedFd, Option<OwnedFd>) {
    match from {
        From::Wire(wire) => {
            let (writing, reading) = wire.open();
            set_nonblocking(&writing, true);
            (reading, Some(writing).filter(|_| !archive.is_empty()))
        }
        From::File => (wire::file(archive), None),
        From::Folder => (std::fs::File::open("/").unwrap().into(), None),
        From::Writing => (Wire::Pipe.open().0, None),
    }
}

fn open_output(to: To) -> (OwnedFd, Reader) {
    match to {
        To::Wire(wire) => {
            let (writing, reading) = wire.open();
            set_nonblocking(&reading, true);
            let reader = Reader {
                fd: Some(reading),
                ..Reader::default()
            };
            (writing, reader)
        }
        To::Null => (wire::device("null"), Reader::default()),
        To::Full => (wire::device("full"), Reader::default()),
        To::Reading => (Wire::Pipe.open().1, Reader::default()),
    }
}

fn function(most: usize, taken: &Arc<AtomicUsize>) -> Output {
    let taken = Arc::clone(taken);
    Output::Callback(Box::new(move |bytes| {
        if taken.load(Ordering::SeqCst) + bytes.len() > most {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        taken.fetch_add(bytes.len(), Ordering::SeqCst);
        Ok(())
    }))
}

fn check_index(report: &Report, seen: &[u8], program: &Program, cancelled: bool) {
    let (_, entries, outcome) = list(seen, seen.len().max(1), false);
    match &report.index {
        IndexEnd::NotWanted => assert!(program.index.is_none()),
        IndexEnd::Tar(told) => {
            assert_eq!((told, report.entries), (&outcome, entries));
        }
        IndexEnd::Abandoned => assert!(report.output.is_err() || cancelled),
        IndexEnd::Failed(_) => assert!(program.index.is_some()),
        IndexEnd::Command(_) => assert!(program.is_by_command()),
    }
}

fn check_lines(report: &Report, seen: &[u8], program: &Program, index: &mut Reader) {
    let mut lines = Vec::new();
    if program.is_by_command() {
        lines.extend_from_slice(seen);
    } else {
        TarIndex::new().push(seen, &mut |piece| lines.extend_from_slice(piece));
    }
    while matches!(&index.fd, Some(fd) if matches!(get(fd.as_fd(), 1 << 18, &mut index.bytes), Got::Bytes(_)))
    {
    }
    assert!(lines.starts_with(&index.bytes), "other lines");
    let whole = match &report.index {
        IndexEnd::Tar(_) => true,
        IndexEnd::Command(status) => status.success(),
        _ => false,
    };
    let read = matches!(program.index, Some(To::Wire(_))) && !index.left;
    if whole && read {
        assert_eq!(lines.len(), index.bytes.len());
    }
}

fuzz_target!(|program: Program| {
    ignore_sigpipe();
    let before = open_descriptors();
    let mut scene = Scene::new(&program);
    for action in &program.actions.0 {
        scene.act(*action);
    }
    scene.settle();
    scene.check(&program);
    assert_eq!(open_descriptors(), before);
});
