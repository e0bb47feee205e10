//! What makes the index: a tar reader that writes lines, or a command that is fed a copy.

use std::io;
use std::os::fd::BorrowedFd;

use crate::index::TarIndex;
use crate::sys::poll::{PollFd, PollFlags, is_readable, wait};
use crate::sys::write::Writer;

use super::backlog::Backlog;
use super::command::IndexCommand;
use super::end::IndexEnd;
use super::order::Index;

/// How much of the stream is shown to a tar reader at once. This much completes at most one header, and so gives at
/// most one line. A larger piece could give many long ones: a name in a global extended header (pax) is that of every
/// member after it.
const BLOCK: usize = 512;

/// How much of the stream is queued for a command at once.
const PIECE: usize = 32 << 10;

/// What makes the index, and its state.
pub(super) enum Indexer {
    /// None is wanted, or the command could not be started.
    Ended(IndexEnd),
    /// The lines of a tar reader.
    Tar {
        reader: Box<TarIndex>,
        lines: Backlog,
    },
    /// A command and its input.
    Command {
        command: IndexCommand,
        copy: Backlog,
    },
}

impl Indexer {
    /// Starts what the configuration asks for. A failure is part of the index's end, not of the data's.
    pub(super) fn start(index: Index) -> Self {
        match index {
            Index::None => Self::Ended(IndexEnd::NotWanted),
            Index::Tar(output) => Self::Tar {
                reader: Box::new(TarIndex::new()),
                lines: Backlog::new(Writer::new(output)),
            },
            Index::Command {
                command,
                output,
                errors,
                started,
            } => match IndexCommand::start(&command, &output, errors.as_ref()) {
                Ok((command, input)) => {
                    if let Some(started) = started {
                        started(command.id());
                    }
                    Self::Command {
                        command,
                        copy: Backlog::new(Writer::new(input.into())),
                    }
                }
                Err(error) => Self::Ended(IndexEnd::Failed(error)),
            },
        }
    }

    /// Shows some of the next bytes of the stream, and returns how many.
    pub(super) fn see(&mut self, bytes: &[u8]) -> usize {
        let skippable = usize::try_from(self.skippable()).unwrap_or(usize::MAX);
        if skippable > 0 {
            let count = skippable.min(bytes.len());
            self.skip(count as u64);
            return count;
        }
        match self {
            Self::Ended(_) => bytes.len(),
            Self::Tar { reader, lines } => {
                let count = BLOCK.min(bytes.len());
                reader.push(&bytes[..count], &mut |piece| lines.queue(piece));
                lines.drain_if_worth();
                count
            }
            Self::Command { copy, .. } => {
                let count = PIECE.min(bytes.len());
                copy.offer(&bytes[..count]);
                count
            }
        }
    }

    /// How many of the next bytes need not be shown.
    pub(super) fn skippable(&self) -> u64 {
        match self {
            Self::Tar { reader, lines } if lines.is_open() => reader.skippable(),
            Self::Command { copy, .. } if copy.is_open() => 0,
            _ => u64::MAX,
        }
    }

    /// Notes that `count` bytes passed unseen.
    pub(super) fn skip(&mut self, count: u64) {
        if let Self::Tar { reader, lines } = self {
            if lines.is_open() {
                reader.skip(count);
            }
        }
    }

    pub(super) fn backlog(&self) -> Option<&Backlog> {
        match self {
            Self::Ended(_) => None,
            Self::Tar { lines: backlog, .. } | Self::Command { copy: backlog, .. } => Some(backlog),
        }
    }

    pub(super) fn backlog_mut(&mut self) -> Option<&mut Backlog> {
        match self {
            Self::Ended(_) => None,
            Self::Tar { lines: backlog, .. } | Self::Command { copy: backlog, .. } => Some(backlog),
        }
    }

    /// The stream has ended: delivers what waits, waiting for the reader, and for the command to end. Abandons the index as
    /// soon as `interrupt` is readable.
    pub(super) fn finish(mut self, interrupt: Option<BorrowedFd<'_>>) -> (IndexEnd, u64) {
        if let Some(backlog) = self.backlog_mut() {
            if let Err(error) = deliver(backlog, interrupt) {
                backlog.fail(error);
            }
        }
        if interrupt.is_some_and(|fd| is_readable(fd).unwrap_or(false)) {
            return self.abandon();
        }
        match self {
            Self::Ended(end) => (end, 0),
            Self::Tar { reader, lines } => {
                let end = lines
                    .close()
                    .map_or_else(|| IndexEnd::Tar(reader.finish()), IndexEnd::Failed);
                (end, reader.entries())
            }
            Self::Command { mut command, copy } => {
                // A command that leaves early (EPIPE) may have all it needs: its exit status says so. A command that
                // was not given everything cannot know that.
                let withheld = copy
                    .close()
                    .filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
                let end = match (command.wait(interrupt), withheld) {
                    (Ok(Some(_)), Some(error)) | (Err(error), _) => IndexEnd::Failed(error),
                    (Ok(Some(status)), None) => IndexEnd::Command(status),
                    (Ok(None), _) => give_up(command),
                };
                (end, 0)
            }
        }
    }

    /// The stream does not reach its end, or the host does not want to wait any longer: the index ends where it is.
    pub(super) fn abandon(self) -> (IndexEnd, u64) {
        match self {
            Self::Ended(end) => (end, 0),
            Self::Tar { reader, lines } => {
                let end = lines.close().map_or(IndexEnd::Abandoned, IndexEnd::Failed);
                (end, reader.entries())
            }
            Self::Command { command, copy } => {
                drop(copy);
                (give_up(command), 0)
            }
        }
    }
}

fn give_up(command: IndexCommand) -> IndexEnd {
    command
        .kill()
        .map_or_else(IndexEnd::Failed, |()| IndexEnd::Abandoned)
}

/// Writes all that waits, unless `interrupt` becomes readable.
fn deliver(backlog: &mut Backlog, interrupt: Option<BorrowedFd<'_>>) -> io::Result<()> {
    backlog.drain();
    while let Some(fd) = backlog.pending() {
        let mut entries = Vec::with_capacity(2);
        entries.push(PollFd::from_borrowed_fd(fd, PollFlags::OUT));
        entries.extend(interrupt.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        wait(&mut entries)?;
        let interrupted = entries
            .get(1)
            .is_some_and(|entry| !entry.revents().is_empty());
        if interrupted {
            break;
        }
        backlog.drain();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::OwnedFd;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::backlog::INDEX_BUFFER;
    use super::*;
    use crate::sys::pipe::pipe;

    fn start_command(command: &CStr, output: OwnedFd) -> Indexer {
        Indexer::start(Index::Command {
            command: command.to_owned(),
            output: output.into(),
            errors: None,
            started: None,
        })
    }

    /// A command that sees the end of its input too early says that all is well; that is not taken for the index's end.
    #[test]
    fn a_command_that_was_not_given_all_has_no_whole_index() {
        let (_reader, output) = pipe().unwrap();
        let mut side = start_command(c"cat >/dev/null", output);
        side.see(b"some bytes");
        let copy = side.backlog_mut().unwrap();
        copy.fail(io::ErrorKind::OutOfMemory.into());
        let (end, _) = side.finish(None);
        assert!(
            matches!(end, IndexEnd::Failed(error) if error.kind() == io::ErrorKind::OutOfMemory)
        );
    }

    /// A command that could not take its bytes for a while gets them when it can, though nothing is waited for.
    #[test]
    fn a_command_is_fed_while_the_data_flows() {
        let (reader, output) = pipe().unwrap();
        let mut side = start_command(c"cat", output);
        let mut shown = 0;
        while shown < INDEX_BUFFER / 2 {
            shown += side.see(&vec![0; PIECE]);
        }
        let arrived = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&arrived);
        let reading = thread::spawn(move || {
            let (mut reader, mut buffer) = (File::from(reader), vec![0; PIECE]);
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                counted.fetch_add(count, Relaxed);
            }
        });
        let until = Instant::now() + Duration::from_secs(30);
        while arrived.load(Relaxed) + PIECE < shown {
            assert!(Instant::now() < until, "the command is not fed");
            thread::sleep(Duration::from_millis(1));
            shown += side.see(&[0]);
        }
        let (end, _) = side.finish(None);
        assert!(end.is_ok(), "{end}");
        reading.join().unwrap();
        assert_eq!(arrived.load(Relaxed), shown);
    }
}
