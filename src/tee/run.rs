//! One run of a tee: the choice of the way, and the end.

use std::io;
use std::os::fd::AsFd;

use crate::inspect::Inspector;
use crate::stats::{Method, Wait};
use crate::sys::descriptor::check_readable;
use crate::sys::pipe::{self, PIPE_SIZE};

use super::config::{Config, Output};
use super::control::Interrupt;
use super::copy;
use super::flow::{Flow, FlowError};
use super::report::Report;
use super::zero_copy::{self, SidePipe};

/// The one buffer through which bytes are copied or looked at: large enough to make system calls rare, small enough for
/// the second look (CRC, index) to find them in the processor's cache.
const BUFFER_SIZE: usize = 128 << 10;

/// Runs a tee until input and index have ended, or the output has failed. SIGPIPE must be blocked in this thread.
pub(super) fn run(config: Config, interrupt: Interrupt) -> Report {
    let side_pipe = enlarge_pipes(&config)
        .filter(|_| config.method == Method::Splice)
        .and_then(SidePipe::new);
    let inspector = Inspector::start(config.crc, config.index);
    let mut flow = Flow::new(config.input, config.output, inspector, interrupt);
    let (method, end) = match check_readable(flow.input()) {
        Ok(()) => pass(&mut flow, side_pipe.as_ref()),
        Err(error) => (Method::Copy, Err(FlowError::Input(error))),
    };
    report(flow, end, method)
}

/// Passes the stream on by the method that the system and its pipes allow.
fn pass(flow: &mut Flow, side_pipe: Option<&SidePipe>) -> (Method, Result<(), FlowError>) {
    let mut buffer = match new_buffer() {
        Ok(buffer) => buffer,
        Err(error) => return (Method::Copy, Err(FlowError::Input(error))),
    };
    if let Some(side_pipe) = side_pipe {
        match zero_copy::run(flow, side_pipe, &mut buffer) {
            Ok(zero_copy::Ended::Input) => return (Method::Splice, Ok(())),
            Ok(zero_copy::Ended::Refused) => {}
            Err(stop) => return (Method::Splice, Err(stop)),
        }
    }
    (Method::Copy, copy::run(flow, &mut buffer))
}

/// Where memory is short the tee ends, and not the process.
fn new_buffer() -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(BUFFER_SIZE)?;
    buffer.resize(BUFFER_SIZE, 0);
    Ok(buffer)
}

/// Enlarges the pipes on both sides; returns what the smaller one holds, or none if one side is not a pipe.
fn enlarge_pipes(config: &Config) -> Option<usize> {
    let wanted = config.pipe_size.unwrap_or(PIPE_SIZE);
    let input = pipe::enlarge(config.input.as_fd(), wanted);
    let Output::Descriptor(output) = &config.output else {
        return None;
    };
    let smaller = input.min(pipe::enlarge(output.as_fd(), wanted));
    (smaller > 0).then_some(smaller)
}

fn report(flow: Flow, end: Result<(), FlowError>, method: Method) -> Report {
    let (input, output) = match end {
        Ok(()) => (Ok(()), Ok(())),
        Err(FlowError::Input(error)) => (Err(error), Ok(())),
        Err(FlowError::Output(error)) => (Ok(()), Err(error)),
    };
    let (inspector, mut meter, interrupt) = flow.close();
    let (read, crc) = (inspector.read(), inspector.crc());
    let (index, entries) = if output.is_ok() {
        meter.wait_for(Wait::Index);
        inspector.finish(Some(interrupt.descriptor()))
    } else {
        inspector.abandon()
    };
    meter.moved_by(method);
    meter.end();
    Report {
        read,
        crc,
        entries,
        input,
        output,
        index,
        stats: meter.stats(),
    }
}
