//! What both ways of moving the bytes share: the two ends, waiting for them, sending.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use crate::inspect::Inspector;
use crate::stats::{Meter, Wait};
use crate::sys::poll::{PollFd, PollFlags, wait};
use crate::sys::read::Reader;
use crate::sys::write::Writer;
use crate::sys::{Descriptor, Errno};

use super::config::{Callback, Output};
use super::control::Interrupt;

/// Why the stream did not come to its end.
#[derive(Debug)]
pub(super) enum FlowError {
    /// The input cannot be read.
    Input(io::Error),
    /// The output takes no more.
    Output(io::Error),
}

/// The output, ready to be written to.
enum Destination {
    Writer(Writer),
    Callback(Callback),
}

impl Destination {
    fn new(output: Output) -> Self {
        match output {
            Output::Descriptor(descriptor) => Self::Writer(Writer::new(descriptor)),
            Output::Callback(callback) => Self::Callback(callback),
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Writer(writer) => Some(writer.as_fd()),
            Self::Callback(_) => None,
        }
    }
}

/// A stream on its way.
pub(super) struct Flow {
    input: Reader,
    output: Destination,
    inspector: Inspector,
    meter: Meter,
    interrupt: Interrupt,
}

/// What a poll found.
struct Found {
    awaited: bool,
    output_broken: Option<io::Error>,
}

impl Flow {
    pub(super) fn new(
        input: Descriptor,
        output: Output,
        inspector: Inspector,
        interrupt: Interrupt,
    ) -> Self {
        Self {
            input: Reader::new(input),
            output: Destination::new(output),
            inspector,
            meter: Meter::start(),
            interrupt,
        }
    }

    /// Fails if the host wants the tee to end.
    pub(super) fn check(&self) -> Result<(), FlowError> {
        self.interrupt.check().map_err(FlowError::Output)
    }

    /// Closes both ends if they are owned.
    pub(super) fn close(self) -> (Inspector, Meter, Interrupt) {
        (self.inspector, self.meter, self.interrupt)
    }

    pub(super) fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// The output, if it is a descriptor.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.descriptor()
    }

    /// How many of the next bytes neither the CRC nor the index needs.
    pub(super) fn skippable(&self) -> u64 {
        self.inspector.skippable()
    }

    /// Counts bytes that have reached the output unseen.
    pub(super) fn passed_unseen(&mut self, count: usize) {
        self.inspector.skip(count as u64);
        self.passed(count);
    }

    /// Counts bytes that have reached the output.
    pub(super) fn passed(&mut self, count: usize) {
        self.meter.passed(count as u64);
    }

    /// Shows the next bytes to the CRC. It sees all that is read, even after the output has failed.
    pub(super) fn sum(&mut self, bytes: &[u8]) {
        self.inspector.sum(bytes);
    }

    /// Shows bytes that the CRC has seen to the index; waits if too much waits for its reader.
    pub(super) fn list(&mut self, bytes: &[u8]) -> Result<(), FlowError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            while self.inspector.is_full() {
                self.wait(Wait::Index)?;
            }
            let seen = self.inspector.list(rest);
            rest = &rest[seen..];
        }
        Ok(())
    }

    /// Reads input as soon as there is some; 0 is its end.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, FlowError> {
        loop {
            self.check()?;
            match self.input.read(buffer) {
                Err(error) if would_wait(&error) => self.wait(Wait::Writer)?,
                result => return result.map_err(FlowError::Input),
            }
        }
    }

    /// Sends what the output takes at once, and returns how many bytes that was. A callback takes all.
    pub(super) fn offer(&mut self, bytes: &[u8]) -> Result<usize, FlowError> {
        let count = match &mut self.output {
            Destination::Writer(writer) => match writer.write(bytes) {
                Err(error) if would_wait(&error) => 0,
                result => result.map_err(FlowError::Output)?,
            },
            Destination::Callback(callback) => {
                self.meter.wait_for(Wait::Output);
                let result = callback(bytes);
                self.meter.resume();
                // "Later" is no answer either: there is nothing to wait for.
                result.map_err(FlowError::Output)?;
                bytes.len()
            }
        };
        self.passed(count);
        Ok(count)
    }

    /// Sends all.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<(), FlowError> {
        while !bytes.is_empty() {
            let count = self.offer(bytes)?;
            bytes = &bytes[count..];
            if count == 0 {
                self.wait(Wait::Output)?;
            }
        }
        Ok(())
    }

    /// Sleeps, so that the input fills.
    pub(super) fn nap(&mut self, time: Duration) {
        self.meter.wait_for(Wait::Writer);
        thread::sleep(time);
        self.meter.resume();
    }

    /// Waits for one side. Meanwhile the index goes on, and a broken output and the host's wish to end are noticed.
    pub(super) fn wait(&mut self, awaited: Wait) -> Result<(), FlowError> {
        self.meter.wait_for(awaited);
        loop {
            let found = self.poll(awaited).map_err(|error| match awaited {
                Wait::Writer | Wait::Index => FlowError::Input(error),
                Wait::Output => FlowError::Output(error),
            })?;
            self.check()?;
            self.inspector.drain();
            // First what was waited for: an output whose reader left after the last byte has not failed if the input
            // ends here.
            if found.awaited {
                break;
            }
            if let Some(error) = found.output_broken {
                return Err(FlowError::Output(error));
            }
        }
        self.meter.resume();
        Ok(())
    }

    fn poll(&self, awaited: Wait) -> io::Result<Found> {
        let index = self.inspector.pending();
        let wanted = |wait, flags| {
            if awaited == wait {
                flags
            } else {
                PollFlags::empty()
            }
        };
        let mut entries = Vec::with_capacity(4);
        entries.extend(index.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
        entries.extend(
            self.output()
                .map(|fd| PollFd::from_borrowed_fd(fd, wanted(Wait::Output, PollFlags::OUT))),
        );
        if awaited == Wait::Writer {
            entries.push(PollFd::from_borrowed_fd(self.input(), PollFlags::IN));
        }
        // After the others, whose answers are told apart by their order. It is checked separately.
        let others = entries.len();
        let interrupt = self.interrupt.descriptor();
        entries.push(PollFd::from_borrowed_fd(interrupt, PollFlags::IN));
        wait(&mut entries)?;

        let mut found = entries[..others].iter().map(PollFd::revents);
        let index = index.and_then(|_| found.next());
        let output = self
            .output()
            .and_then(|_| found.next())
            .unwrap_or(PollFlags::empty());
        let input = found.next().unwrap_or(PollFlags::empty());
        Ok(Found {
            awaited: match awaited {
                Wait::Writer => !input.is_empty(),
                Wait::Output => !output.is_empty(),
                Wait::Index => index.is_none_or(|events| !events.is_empty()),
            },
            output_broken: broken(output).filter(|_| awaited != Wait::Output),
        })
    }
}

/// What a write would say, while there is nothing to write.
fn broken(events: PollFlags) -> Option<io::Error> {
    if events.contains(PollFlags::NVAL) {
        Some(Errno::BADF.into())
    } else if events.intersects(PollFlags::ERR | PollFlags::HUP) {
        Some(Errno::PIPE.into())
    } else {
        None
    }
}

/// Whether an error only says that nothing can be done at once.
pub(super) fn would_wait(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
