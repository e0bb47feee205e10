//! How links and streams end: by the host's wish, by the source's end, by a failure of the connection.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use super::error::code_of;
use super::link::{Core, Events, LinkKind, Phase};
use super::outgoing::Outgoing;
use super::pump::Step;
use super::schedule::Key;
use super::stream;
use crate::sys::Descriptor;
use crate::sys::descriptor::duplicate;

impl Core {
    /// Takes everything away from the link but its streams, which the caller ends. Nothing is called.
    pub(super) fn end(&self, errno: i32) {
        let mut state = self.state.borrow_mut();
        state.phase = Phase::Ended(errno);
        state.fault = None;
        state.waiting = None;
        state.buffer = Vec::new();
        state.outgoing = Outgoing::default();
        let events = state.events;
        let deadline = state.deadline.take();
        let descriptor = state.descriptor.take();
        drop(state);
        events.release(&self.event_loop);
        if let Some(deadline) = deadline {
            deadline.release(&self.event_loop);
        }
        // The host may wait in its callback for what the peer does at the end of the connection.
        drop(descriptor);
    }

    /// The connection has failed: ends every stream with `code` (with `-ECANCELED` if closing), then tells the host.
    pub(super) fn fail(&self, code: i32) -> Step {
        if self.event_loop.is_given_up() {
            return Step::Stop;
        }
        let closing = self.state.borrow().phase == Phase::Closing;
        self.end(-code);
        self.end_streams(if closing { -libc::ECANCELED } else { code });
        self.call_on_error(code);
        if closing {
            self.call_on_closed();
        }
        Step::Stop
    }

    /// Ends the streams there are. Each stays the link's until its turn has come, for the host may free or close the
    /// link, or give up the loop, as soon as it hears of the first.
    fn end_streams(&self, code: i32) {
        while !self.event_loop.is_given_up() {
            let Some(stream) = self.take_stream() else {
                return;
            };
            stream.end(code);
        }
    }

    /// Ends the streams without a word.
    pub(super) fn abandon_streams(&self) {
        while let Some(stream) = self.take_stream() {
            stream.abandon();
        }
    }

    fn take_stream(&self) -> Option<Rc<stream::Core>> {
        let mut state = self.state.borrow_mut();
        state.streams.iter_mut().find_map(Option::take)
    }

    /// A stream has no more to give, or cannot be read.
    pub(super) fn end_stream(&self, key: Key, stream: &Rc<stream::Core>, code: i32) {
        self.detach(key);
        stream.end(code);
    }

    /// Takes a stream off the link. The frame of it that is in flight is completed without it.
    pub(super) fn detach(&self, key: Key) {
        let mut state = self.state.borrow_mut();
        let rescued = if state.outgoing.is_in_flight(key) {
            state.rescue()
        } else {
            Ok(())
        };
        let faulty = rescued.is_err();
        if let Err(error) = rescued {
            state.fault = Some(code_of(&error));
            state.waiting = None;
        }
        state.outgoing.remove(key);
        let stream = state.streams.get_mut(key).and_then(Option::take);
        drop(state);
        drop(stream);
        if faulty {
            self.defer_pump();
        }
    }

    /// Ends the streams and goes on writing what is queued.
    pub(super) fn begin_closing(self: &Rc<Self>) {
        if self.event_loop.is_given_up() {
            // Events made now would never be released, and keep link and connection for ever. What is to be done
            // without a word is done when the handle is dropped.
            return;
        }
        let phase = self.state.borrow().phase;
        if let Phase::Ended(errno) = phase {
            // In an `on_end` of the link's failure the others have not been told of it yet.
            self.end_streams(-errno);
            self.call_on_error(-errno);
            return self.call_on_closed();
        }
        if let Err(error) = self.prepare_closing() {
            self.fail(code_of(&error));
            return;
        }
        self.end_streams(-libc::ECANCELED);
        if !self.pumping.get() {
            self.finish_closing();
        }
    }

    /// Takes the streams out of the schedule, and makes the link independent of the host if anything is left to write.
    fn prepare_closing(self: &Rc<Self>) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.phase = Phase::Closing;
        state.rescue()?;
        for key in 0..state.streams.len() {
            state.outgoing.remove(key);
        }
        // A callback link may be sealing what it sends next.
        if state.outgoing.is_empty() && !matches!(self.kind, LinkKind::Callback(_)) {
            return Ok(());
        }
        drop(state);
        self.detach_from_host()
            .or_else(|error| self.write_out().ok_or(error))
    }

    /// Writes what the connection takes at once; `None` if something is left. It is all that can be done where no
    /// descriptor is left for a duplicate.
    fn write_out(self: &Rc<Self>) -> Option<()> {
        let mut state = self.state.borrow_mut();
        loop {
            state.waiting = None;
            let before = state.outgoing.taken();
            drop(state);
            self.pump();
            state = self.state.borrow_mut();
            if state.phase != Phase::Closing {
                return Some(());
            }
            if state.outgoing.taken() == before {
                return None;
            }
        }
    }

    /// Makes a closing link independent of the host: its events keep it in memory, and its descriptor is a duplicate.
    fn detach_from_host(self: &Rc<Self>) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let Some(descriptor) = &mut state.descriptor else {
            return Ok(());
        };
        if !matches!(self.kind, LinkKind::Callback(_)) {
            *descriptor = Descriptor::from(duplicate(descriptor.as_fd())?);
        }
        let core = Rc::clone(self);
        let fd = descriptor.as_raw_fd();
        let events = Events::create(&self.event_loop, fd, &move || Some(Rc::clone(&core)));
        let before = mem::replace(&mut state.events, events);
        state.waiting = None;
        drop(state);
        before.release(&self.event_loop);
        self.set_deadline();
        self.defer_pump();
        Ok(())
    }

    /// Ends a closing link that has nothing left to write.
    pub(super) fn finish_closing(&self) {
        let state = self.state.borrow();
        let finished = state.phase == Phase::Closing && state.outgoing.is_empty();
        drop(state);
        if finished {
            self.end(libc::ECANCELED);
            // Some are left where an `on_end` turns the loop while the link is being closed.
            self.end_streams(-libc::ECANCELED);
            self.call_on_closed();
        }
    }

    fn call_on_error(&self, code: i32) {
        let on_error = self.on_error.take();
        if let Some(on_error) = on_error.filter(|_| !self.event_loop.is_given_up()) {
            on_error(code);
        }
    }

    fn call_on_closed(&self) {
        drop(self.on_error.take());
        let on_closed = self.on_closed.take();
        if let Some(on_closed) = on_closed.filter(|_| !self.event_loop.is_given_up()) {
            on_closed();
        }
    }
}
