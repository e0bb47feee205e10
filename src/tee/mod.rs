//! The tee: passes a stream on while it computes the CRC-32C and the file index of it.
//!
//! It stands between the backup program (tar, dump) and the way to the server. In Amanda it replaces `start_index` of
//! client-src/sendbackup.c, which forks a process that copies every byte once more into `tar -tf - | sed`.
//!
//! What holds always, and in this order:
//! 1. The output gets exactly the bytes of the input. What goes wrong with the index ends the index, never the data.
//! 2. The input is read to its end, whatever the index makes of it: behind the end mark of a tar stream, too.
//! 3. A broken output ends the tee at once; the input is closed so that the writer notices.
//! 4. A slow reader of the index holds the data up only when [`INDEX_BUFFER`] bytes wait for it.
//! 5. No lent descriptor's open file is changed but in one thing: pipes may be enlarged.
//!
//! | file | subject |
//! |---|---|
//! | `mod.rs` | what a tee is asked for, and the choice of the way |
//! | `report.rs` | what came of it |
//! | `thread.rs` | a tee in a thread of its own |
//! | `control.rs` | how the host ends it, and learns of its end |
//! | `flow.rs` | what both ways share: the ends, waiting, sending |
//! | `pace.rs` | how soon to look again at an empty input |
//! | `zero_copy.rs` | tee(2) and splice(2): the data does not pass through user space |
//! | `copy.rs` | the portable way: read and write |
//! | `watch.rs` | the second use of the bytes: CRC and index |
//! | `index.rs` | the index side: tar reader or index command |
//! | `backlog.rs` | the bounded buffer before the reader of the index |
#![forbid(unsafe_code)]

mod backlog;
mod control;
mod copy;
mod flow;
mod index;
mod pace;
mod report;
mod thread;
mod watch;
mod zero_copy;

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::AsFd;

use crate::sys::signal::SigpipeGuard;
use crate::sys::{Descriptor, environment, pipe};

pub use backlog::INDEX_BUFFER;
pub use control::Control;
pub use report::{IndexEnd, Report, Way};
pub use thread::Tee;

use control::Interrupt;
use flow::{Flow, Sink, Stop};
use watch::Watch;
use zero_copy::SidePipe;

/// What a tee shall do. It owns its descriptors unless they are lent, and closes each as soon as that side has ended.
#[derive(Debug)]
pub struct Config {
    /// Where the stream comes from. The tee must be its only reader.
    pub input: Descriptor,
    /// Where the stream goes.
    pub output: Output,
    /// Whether to compute the CRC-32C.
    pub crc: bool,
    /// What index to make.
    pub index: Index,
    /// Which ways of moving the bytes are allowed.
    pub method: Method,
    /// What the data pipes are enlarged to where the system allows it, in bytes. None: 1 MiB.
    pub pipe_size: Option<usize>,
}

/// Takes all the bytes, waiting as long as it must, or fails; called in the tee's thread.
pub type Callback = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// Where the stream goes.
pub enum Output {
    /// Into a pipe, a socket or a file, in blocking or in non-blocking mode.
    Descriptor(Descriptor),
    /// Through a function of the host's. Its first error ends the tee.
    Callback(Callback),
}

impl fmt::Debug for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptor(descriptor) => {
                out.debug_tuple("Descriptor").field(descriptor).finish()
            }
            Self::Callback(_) => out.write_str("Callback"),
        }
    }
}

/// Is told the process id of an index command as soon as it runs; called in the tee's thread.
pub type Started = Box<dyn FnOnce(u32) + Send>;

/// What index to make of the stream.
pub enum Index {
    /// None.
    None,
    /// The stream is a tar archive: its names, as [`TarIndex`](crate::index::TarIndex) lists them, to this descriptor.
    Tar(Descriptor),
    /// An external program reads a copy of the stream and writes the index itself.
    Command {
        /// For `sh -c`.
        command: CString,
        /// The command's standard output.
        output: Descriptor,
        /// The command's standard error; the host's if there is none.
        errors: Option<Descriptor>,
        /// For a host that waits for its children itself, and might come before the tee.
        started: Option<Started>,
    },
}

impl fmt::Debug for Index {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.write_str("None"),
            Self::Tar(output) => out.debug_tuple("Tar").field(output).finish(),
            Self::Command {
                command, output, ..
            } => out
                .debug_struct("Command")
                .field("command", command)
                .field("output", output)
                .finish_non_exhaustive(),
        }
    }
}

/// Which ways of moving the bytes are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Through a buffer in user space, as on any POSIX system: what is sent is what CRC and index have seen, whatever
    /// the writer does.
    #[default]
    Copy,
    /// Without copying where input and output are pipes large enough for that to be faster, else by copying. The
    /// environment variable `AMRELAY_TEE=copy` turns this into `Copy`, but for set-uid programs.
    ///
    /// It is a promise: whoever writes into the input's pipe uses write(2) and its like for all of the stream. Such bytes
    /// lie in pages that belong to the pipe. A writer with sendfile(2), splice(2) or vmsplice(2) shows pages of a file,
    /// or its own; references are passed on, and when the pages change, the output's reader gets other bytes than CRC and
    /// index have seen.
    ZeroCopy,
}

impl Method {
    /// Applies the environment variable. Call it in the host's thread: the environment is the host's to change.
    fn or_environment(self) -> Self {
        if environment::variable("AMRELAY_TEE").is_some_and(|way| way == "copy") {
            Self::Copy
        } else {
            self
        }
    }
}

/// What the data pipes are enlarged to, if the system allows: Linux's `/proc/sys/fs/pipe-max-size` for users.
const PIPE_SIZE: usize = 1 << 20;

/// With smaller pipes splicing is no faster than copying (measured: the same from 64 to 128 KiB), and worse where short
/// writes leave the few pages half empty. `cargo bench --bench tee` compares the ways.
const ZERO_COPY_MINIMUM: usize = 256 << 10;

/// The one buffer through which bytes are copied or looked at: large enough to make system calls rare, small enough for
/// the second look (CRC, index) to find them in the processor's cache.
const BUFFER_SIZE: usize = 128 << 10;

/// Runs a tee in this thread until input and index have ended, or the output has failed.
///
/// SIGPIPE is kept from this thread meanwhile.
#[must_use]
pub fn run(config: Config) -> Report {
    let _guard = SigpipeGuard::new();
    let method = config.method.or_environment();
    run_method(config, method, Interrupt::default())
}

fn run_method(config: Config, method: Method, interrupt: Interrupt) -> Report {
    let side_pipe = enlarge_pipes(&config)
        .filter(|_| method == Method::ZeroCopy)
        .and_then(SidePipe::new);
    let watch = Watch::start(config.crc, config.index);
    let mut flow = Flow::new(config.input, Sink::new(config.output), watch, interrupt);
    let (way, end) = match pipe::check_readable(flow.input()) {
        Ok(()) => pass(&mut flow, side_pipe.as_ref()),
        Err(error) => (Way::Copy, Err(Stop::Input(error))),
    };
    finish(flow, end, way)
}

/// Passes the stream on, in the way that the system and its pipes allow.
fn pass(flow: &mut Flow, side_pipe: Option<&SidePipe>) -> (Way, Result<(), Stop>) {
    let mut buffer = match new_buffer() {
        Ok(buffer) => buffer,
        Err(error) => return (Way::Copy, Err(Stop::Input(error))),
    };
    if let Some(side_pipe) = side_pipe {
        match zero_copy::run(flow, side_pipe, &mut buffer) {
            Ok(zero_copy::Ended::Input) => return (Way::ZeroCopy, Ok(())),
            Ok(zero_copy::Ended::Refused) => {}
            Err(stop) => return (Way::ZeroCopy, Err(stop)),
        }
    }
    (Way::Copy, copy::run(flow, &mut buffer))
}

/// Where memory is short the tee ends, and not the process.
fn new_buffer() -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(BUFFER_SIZE)?;
    buffer.resize(BUFFER_SIZE, 0);
    Ok(buffer)
}

/// Enlarges the pipes on both sides; returns what the smaller one holds, nothing if one side is no pipe.
fn enlarge_pipes(config: &Config) -> Option<usize> {
    let wanted = config.pipe_size.unwrap_or(PIPE_SIZE);
    let input = pipe::enlarge(config.input.as_fd(), wanted);
    let Output::Descriptor(output) = &config.output else {
        return None;
    };
    let smaller = input.min(pipe::enlarge(output.as_fd(), wanted));
    (smaller > 0).then_some(smaller)
}

fn finish(flow: Flow, end: Result<(), Stop>, way: Way) -> Report {
    let (input, output) = match end {
        Ok(()) => (Ok(()), Ok(())),
        Err(Stop::Input(error)) => (Err(error), Ok(())),
        Err(Stop::Output(error)) => (Ok(()), Err(error)),
    };
    let (watch, mut meter, interrupt) = flow.close();
    let (read, crc) = (watch.read(), watch.crc());
    let (index, entries) = if output.is_ok() {
        watch.finish(&mut meter, &interrupt)
    } else {
        watch.abandon()
    };
    meter.end();
    let stats = meter.stats();
    Report {
        bytes: stats.bytes,
        read,
        crc,
        entries,
        input,
        output,
        index,
        way,
        stats,
    }
}
