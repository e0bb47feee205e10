//! How the threads of the host reach a tee that runs in a thread of its own: to end it, and to learn of its end.
//!
//! Both go over one pair of sockets, each direction shut down by one side. A shutdown reaches every process that has
//! inherited the socket; closing it would not be seen as long as a child of the host's, forked meanwhile, has it open.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::{Errno, socket};

thread_local! {
    /// In a tee's own thread, the control of that tee; null in all others.
    static OWN: Cell<*const Control> = const { Cell::new(ptr::null()) };
}

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
        socket::shut_down_writing(self.socket.as_fd());
    }

    /// Becomes readable when the tee has ended: all that is left is to wait for its thread, which returns. To be
    /// polled only.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether this is the tee's own thread, which cannot wait for itself.
    #[must_use]
    pub fn is_own_thread(&self) -> bool {
        OWN.get() == ptr::from_ref(self)
    }
}

/// The tee's own side. Dropping it tells the host that the tee has ended.
#[derive(Debug)]
pub(super) struct Interrupt {
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
    let interrupt = Interrupt {
        control: Arc::clone(&control),
        socket: own,
    };
    Ok((control, interrupt))
}

impl Interrupt {
    /// Makes this thread the tee's own.
    pub(super) fn claim_thread(&self) {
        OWN.set(Arc::as_ptr(&self.control));
    }

    /// Fails with `ECANCELED` if the host has cancelled the tee.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.control.cancelled.load(Ordering::Acquire) {
            return Err(Errno::CANCELED.into());
        }
        Ok(())
    }

    /// Becomes readable when the host cancels the tee.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        socket::shut_down_writing(self.socket.as_fd());
    }
}
