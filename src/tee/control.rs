//! How the threads of the host reach a tee that runs in a thread of its own: to end it, and to learn of its end.
//!
//! Both go over one pair of sockets, each direction shut down by one side. A shutdown reaches every process that has
//! inherited the socket; closing it would not be seen as long as a child of the host's, forked meanwhile, has it open.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::socket;

use super::flow::Stop;

/// The host's side. Any number of threads may use it.
#[derive(Debug)]
pub struct Control {
    cancelled: AtomicBool,
    socket: OwnedFd,
}

impl Control {
    /// Ends the tee soon, as if its output had failed with `ECANCELED`: whatever it waits for, and after an output
    /// callback or a write to a regular file that is under way. Nothing happens to a tee that has ended.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        socket::end_writing(self.socket.as_fd());
    }

    /// Becomes readable when the tee has ended: all that is left is to wait for its thread, which returns. To be
    /// polled only.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The side of a tee's own thread, which tells of the tee's end when it is dropped. Of no effect for a tee in the host's
/// thread.
#[derive(Debug, Default)]
pub(super) struct Interrupt(Option<Own>);

#[derive(Debug)]
struct Own {
    control: Arc<Control>,
    socket: OwnedFd,
}

/// Makes both sides.
pub(super) fn control() -> io::Result<(Arc<Control>, Interrupt)> {
    let (host, own) = socket::pair()?;
    let control = Arc::new(Control {
        cancelled: AtomicBool::new(false),
        socket: host,
    });
    let own = Own {
        control: Arc::clone(&control),
        socket: own,
    };
    Ok((control, Interrupt(Some(own))))
}

impl Interrupt {
    /// Whether the tee is to end.
    pub(super) fn is_set(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|own| own.control.cancelled.load(Ordering::Acquire))
    }

    /// Fails if the tee is to end.
    pub(super) fn check(&self) -> Result<(), Stop> {
        if self.is_set() {
            return Err(Stop::Output(rustix::io::Errno::CANCELED.into()));
        }
        Ok(())
    }

    /// What is readable as soon as the tee is to end, for a wait.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|own| own.socket.as_fd())
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            socket::end_writing(own.socket.as_fd());
        }
    }
}
