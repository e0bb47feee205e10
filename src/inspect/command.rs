//! Index commands: for streams of programs other than tar, an external program makes the list.
//!
//! Amanda's sendbackup names one for each (`restore -tvf -`, `xfsrestore -t …`, client-src/sendbackup-dump.c): a shell
//! command that reads the stream and prints the lines. It may leave before the stream's end. This is the only place
//! where the library forks.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitStatus};

use crate::sys::Descriptor;
use crate::sys::descriptor::duplicate;
use crate::sys::pipe::pipe;
use crate::sys::spawn::{inherit_only_standard, wait_unless};

/// A running index command.
#[derive(Debug)]
pub(crate) struct IndexCommand {
    child: Child,
}

impl IndexCommand {
    /// Starts `sh -c command` and returns the pipe to feed the stream into; closing that ends the command's input.
    ///
    /// The command writes the index to `output` and its complaints to `errors`; without one it shares the host's
    /// standard error. Both stay the caller's. The command has the host's environment, as with popen(3) in upstream's
    /// sendbackup.
    pub(crate) fn start(
        command: &CStr,
        output: &Descriptor,
        errors: Option<&Descriptor>,
    ) -> io::Result<(Self, OwnedFd)> {
        let (reader, input) = pipe()?;
        let mut shell = Command::new("/bin/sh");
        shell
            .arg("-c")
            .arg(OsStr::from_bytes(command.to_bytes()))
            .stdin(reader)
            .stdout(duplicate(output.as_fd())?);
        if let Some(errors) = errors {
            shell.stderr(duplicate(errors.as_fd())?);
        }
        inherit_only_standard(&mut shell);
        let child = spawn(shell)?;
        Ok((Self { child }, input))
    }

    /// The process id of the shell.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the command to end, or until `interrupt` is readable: none then. Its input must have been closed.
    ///
    /// A host that waits for any child of its process can be faster. It was told the process id and gets the status;
    /// success is reported here then.
    pub(crate) fn wait(
        &mut self,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> io::Result<Option<ExitStatus>> {
        let status = match interrupt {
            Some(interrupt) => wait_unless(&mut self.child, interrupt),
            None => self.child.wait().map(Some),
        };
        match status {
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                Ok(Some(ExitStatus::default()))
            }
            result => result,
        }
    }

    /// Ends the command at once: nobody wants its result any more.
    ///
    /// Kills the shell, unless it has ended: where the host has waited for it, its number may be another process's by
    /// now. The programs it started find their input closed; those that do not read it go on.
    pub(crate) fn kill(mut self) -> io::Result<()> {
        if let Ok(None) = self.child.try_wait() {
            self.child.kill()?;
        }
        self.wait(None)?;
        Ok(())
    }
}

/// Where exec fails and the host has waited for the child, or has its children waited for (SIGCHLD ignored), the standard
/// library does not find the child it expects, and panics. That must not end the data.
fn spawn(mut command: Command) -> io::Result<Child> {
    catch_unwind(AssertUnwindSafe(|| command.spawn()))
        .unwrap_or_else(|_| Err(io::Error::other("the index command cannot be run")))
}
