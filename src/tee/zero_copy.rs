//! The way without copying: tee(2) into a side pipe, splice(2) the original on, read the side pipe for CRC and index.
//!
//! One copy is left, the one into the buffer for CRC and index. Where neither needs the next bytes, that copy is left
//! out, too. What goes on are references to the writer's pages: only a host that knows the writer can allow it, see
//! [`Config::method`](super::Config::method).
//!
//! `EAGAIN` of these calls means an empty source or a full target. Here it is always clear which: the side pipe is
//! empty before each tee(2), so that only the input can be at fault; and before each splice(2) it is known how much
//! the input holds, so that only the output can be. For the same reason it is tee(2) alone that tells of the input's
//! end: a splice(2) to an output that is full or broken does not get to see it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::stats::Wait;
use crate::sys::pipe::{PIPE_SIZE, SPLICE_MINIMUM, capacity, enlarge, pipe, refused, splice, tee};
use crate::sys::read::{read, readable_bytes};

use super::copy;
use super::flow::{Flow, FlowError, would_wait};
use super::pace::Pace;

/// This many skippable bytes, or more, are spliced on unseen; fewer are cheaper to take along with the next bytes that
/// are needed.
const WORTH_SKIPPING: u64 = 64 << 10;

/// Holds a second reference to the pages that are on their way.
pub(super) struct SidePipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl SidePipe {
    /// Makes a side pipe for data pipes that hold `data_pipes` bytes. None if it, or they, would be too small to be
    /// worth it.
    pub(super) fn new(data_pipes: usize) -> Option<Self> {
        if data_pipes < SPLICE_MINIMUM {
            return None;
        }
        let (reader, writer) = pipe().ok()?;
        let large_enough = enlarge(writer.as_fd(), PIPE_SIZE) >= SPLICE_MINIMUM;
        large_enough.then_some(Self { reader, writer })
    }
}

/// How the way without copying ended without a failure.
pub(super) enum Ended {
    /// All has been passed on.
    Input,
    /// The system refuses the calls. Nothing is lost; the rest must be copied.
    Refused,
}

/// Passes the stream on to its end, or until the system refuses.
pub(super) fn run(flow: &mut Flow, side: &SidePipe, buffer: &mut [u8]) -> Result<Ended, FlowError> {
    let mut pace = Pace::new(capacity(flow.input()).unwrap_or(0));
    loop {
        flow.check()?;
        let skippable = flow.skippable();
        let held = if skippable >= WORTH_SKIPPING {
            readable_bytes(flow.input()).map_err(FlowError::Input)?
        } else {
            0
        };
        let step = if held > 0 {
            pass_unseen(flow, &mut pace, skippable, held)?
        } else {
            pass_seen(flow, side, &mut pace, buffer)?
        };
        if let Some(ended) = step {
            return Ok(ended);
        }
    }
}

/// Splices on some of the next `skippable` bytes, of an input that holds `held`.
fn pass_unseen(
    flow: &mut Flow,
    pace: &mut Pace,
    skippable: u64,
    held: usize,
) -> Result<Option<Ended>, FlowError> {
    let length = usize::try_from(skippable).map_or(held, |bytes| bytes.min(held));
    match to_output(flow, length) {
        Ok(count) => {
            flow.passed_unseen(count);
            if count == held {
                nap(flow, pace, count);
            }
        }
        Err(error) if would_wait(&error) => flow.wait(Wait::Output)?,
        Err(error) if refused(&error) => return Ok(Some(Ended::Refused)),
        Err(error) => return Err(FlowError::Output(error)),
    }
    Ok(None)
}

/// Passes on what the input holds, and shows it to CRC and index.
fn pass_seen(
    flow: &mut Flow,
    side: &SidePipe,
    pace: &mut Pace,
    buffer: &mut [u8],
) -> Result<Option<Ended>, FlowError> {
    let count = match tee(flow.input(), side.writer.as_fd(), PIPE_SIZE) {
        Ok(0) => return Ok(Some(Ended::Input)),
        Ok(count) => count,
        Err(error) if would_wait(&error) => {
            pace.came_to_nothing();
            flow.wait(Wait::Writer)?;
            return Ok(None);
        }
        Err(error) if refused(&error) => return Ok(Some(Ended::Refused)),
        Err(error) => return Err(FlowError::Input(error)),
    };
    // The output's reader works on its share while CRC and index are at it here.
    let mut left = count;
    let mut result = splice_some(flow, &mut left);
    show_side(flow, side, count, buffer)?;
    // While the output is waited for, the input fills anyway.
    if left == 0 {
        nap(flow, pace, count);
    }
    while left > 0 {
        match result {
            Ok(()) => {}
            Err(error) if would_wait(&error) => flow.wait(Wait::Output)?,
            Err(error) if refused(&error) => {
                copy::pass_seen(flow, left, buffer)?;
                return Ok(Some(Ended::Refused));
            }
            Err(error) => return Err(FlowError::Output(error)),
        }
        result = splice_some(flow, &mut left);
    }
    Ok(None)
}

/// All `taken` bytes that the input held have been passed on.
fn nap(flow: &mut Flow, pace: &mut Pace, taken: usize) {
    if let Some(time) = pace.nap(taken) {
        flow.nap(time);
    }
}

fn splice_some(flow: &mut Flow, left: &mut usize) -> io::Result<()> {
    let count = to_output(flow, *left)?;
    if count == 0 {
        // Somebody else has read what tee(2) has shown.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    flow.passed(count);
    *left -= count;
    Ok(())
}

/// Reads the `count` bytes that the side pipe holds: the CRC gets all of them, whatever stops the index.
fn show_side(
    flow: &mut Flow,
    side: &SidePipe,
    count: usize,
    buffer: &mut [u8],
) -> Result<(), FlowError> {
    let mut left = count;
    let mut listed = Ok(());
    while left > 0 {
        let piece = left.min(buffer.len());
        let bytes = read(side.reader.as_fd(), &mut buffer[..piece]).map_err(FlowError::Input)?;
        flow.sum(&buffer[..bytes]);
        if listed.is_ok() {
            listed = flow.list(&buffer[..bytes]);
        }
        left -= bytes;
    }
    listed
}

fn to_output(flow: &Flow, length: usize) -> io::Result<usize> {
    let output = flow.output().ok_or(io::ErrorKind::Unsupported)?;
    splice(flow.input(), output, length, false)
}
