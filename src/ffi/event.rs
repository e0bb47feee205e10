//! The event loop, as C sees it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{c_int, c_void};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use super::error::Failure;
use super::guard::guard;
use super::handle::{Handle, Marks, check_out, enter, free, publish};
use crate::event::{EventId, EventKind, EventLoop};

/// Kind of an event: its id is a descriptor; it fires when there is something to read, end of file, hang-up or an
/// error. On the writing end of a pipe it fires when the reader has gone.
pub const AMRELAY_EVENT_READ: u32 = 0;
/// Kind of an event: its id is a descriptor; it fires when there is room to write, on hang-up and on an error.
pub const AMRELAY_EVENT_WRITE: u32 = 1;
/// Kind of an event: its id is a number of milliseconds; it fires when they have passed, and again and again. With 0 it
/// fires in each turn.
pub const AMRELAY_EVENT_TIME: u32 = 2;
/// Kind of an event: its id is any number; it fires when `amrelay_event_wakeup` is called with it.
pub const AMRELAY_EVENT_WAIT: u32 = 3;

/// An event loop.
///
/// In a turn, events on descriptors fire first, then timers, each in the order of their activation. Callbacks may
/// create and release events, their own included, and turn the loop themselves.
///
/// A loop that has to renew its poller while the process is out of descriptors goes on with poll(2), and renews it as
/// soon as it can.
pub struct amrelay_loop {
    marks: Marks,
    events: EventLoop,
    /// The events that C made. Links and sinks have events, too, which C must not reach.
    made: RefCell<HashSet<EventId>>,
}

impl Handle for amrelay_loop {
    const NAME: &'static str = "loop";

    fn marks(&self) -> &Marks {
        &self.marks
    }
}

/// The number of an event; 0 is none. Numbers are not used again in the same loop.
pub type amrelay_event = libc::uintptr_t;

/// Called when an event fires, with the argument given to `amrelay_event_create`.
pub type amrelay_event_fn = Option<unsafe extern "C" fn(arg: *mut c_void)>;

/// Makes an event loop without events.
///
/// Ownership: `*out` is the caller's, to be freed with `amrelay_loop_free`; after a failure it is unchanged.
///
/// NULL: `out` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; -EMFILE, -ENFILE and -ENOMEM from the system.
///
/// Threads: any; the loop, its links and its sinks belong to it from then on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_loop_new(out: *mut *mut amrelay_loop) -> c_int {
    guard("amrelay_loop_new", || {
        check_out(out)?;
        let handle = amrelay_loop {
            marks: Marks::this_thread(),
            events: EventLoop::new()?,
            made: RefCell::default(),
        };
        // SAFETY: not NULL, so the caller's variable.
        unsafe { publish(handle, out) };
        Ok(0)
    })
}

/// Frees a loop. Its events are released, and an `amrelay_loop_run` further up the stack returns.
///
/// Ownership: `loop` and its events are gone. Links, streams and sinks on it stay the caller's, who still has to free
/// them; nothing moves in them any more, and none of their functions is called. `on_closed` is not called either,
/// whether the link is closed before or afterwards: the caller frees what it would have freed. What a closed link had
/// not written yet is lost: turn the loop until `on_closed` first.
///
/// NULL: does nothing.
///
/// Returns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_loop_free(r#loop: *mut amrelay_loop) {
    // SAFETY: the caller passes NULL or a loop that is not freed, and does not use it again.
    unsafe {
        free("amrelay_loop_free", r#loop, |handle| {
            handle.events.quit();
            handle.events.release_all();
        });
    }
}

/// Makes an event. It does not fire before `amrelay_event_activate`.
///
/// Ownership: `*out` names an event of the loop's, which lives until `amrelay_event_release`; after a failure it is
/// unchanged. `arg` is passed to `fn` unchanged. A descriptor stays the caller's; it may be closed before the event is
/// released.
///
/// NULL: `loop` and `out` NULL are refused; `fn` NULL makes an event without a callback; `arg` may be NULL.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_ARGUMENT` if `kind` is not one of `AMRELAY_EVENT_`, a descriptor or a number
/// of milliseconds is negative, or a descriptor is more than `INT_MAX`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_event_create(
    r#loop: *mut amrelay_loop,
    kind: u32,
    id: i64,
    r#fn: amrelay_event_fn,
    arg: *mut c_void,
    out: *mut amrelay_event,
) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed, and NULL or a variable for the event.
    unsafe {
        enter("amrelay_event_create", r#loop, |handle| {
            check_out(out)?;
            let kind = event_kind(kind, id)?;
            let callback: Rc<dyn Fn()> = match r#fn {
                // SAFETY: the host gave function and argument for this.
                Some(function) => Rc::new(move || function(arg)),
                None => Rc::new(|| ()),
            };
            let event = handle.events.create(kind, callback);
            handle.made.borrow_mut().insert(event);
            out.write(event.get().get());
            Ok(0)
        })
    }
}

/// Lets an event fire from now on. An active event stays as it is.
///
/// A descriptor is watched as the file it names at this moment: after closing it and opening another file under the
/// same number, release the event and make a new one.
///
/// Ownership: nothing changes hands.
///
/// NULL: `loop` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if the loop has no such event; -EBADF if the event's descriptor is
/// not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_event_activate(
    r#loop: *mut amrelay_loop,
    event: amrelay_event,
) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed.
    unsafe {
        enter("amrelay_event_activate", r#loop, |handle| {
            handle.events.activate(handle.find(event)?)?;
            Ok(0)
        })
    }
}

/// Ends an event: its callback is not called any more. One that is running goes on to its end.
///
/// Ownership: the event is gone. Its descriptor, which may have been closed before, stays the caller's.
///
/// NULL: `loop` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if the loop has no such event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_event_release(
    r#loop: *mut amrelay_loop,
    event: amrelay_event,
) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed.
    unsafe {
        enter("amrelay_event_release", r#loop, |handle| {
            let event = handle.find(event)?;
            handle.made.borrow_mut().remove(&event);
            handle.events.release(event);
            Ok(0)
        })
    }
}

/// Fires the active `AMRELAY_EVENT_WAIT` events with this id, before it returns. Events that their callbacks activate
/// are not among them.
///
/// Ownership: nothing changes hands.
///
/// NULL: `loop` NULL is refused.
///
/// Returns: how many events fired, 0 if none; `AMRELAY_E_NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_event_wakeup(r#loop: *mut amrelay_loop, id: i64) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed.
    unsafe {
        enter("amrelay_event_wakeup", r#loop, |handle| {
            Ok(c_int::try_from(handle.events.wakeup(id)).unwrap_or(c_int::MAX))
        })
    }
}

/// Turns the loop until an event has fired (an `AMRELAY_EVENT_WAIT` event: until it is released). It also returns when
/// the event is released, and when nothing is left that keeps `amrelay_loop_turns` going.
///
/// Events whose callback is running do not fire in it.
///
/// Ownership: nothing changes hands.
///
/// NULL: `loop` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if the loop has no such event; -errno as `amrelay_loop_turns`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_event_wait(
    r#loop: *mut amrelay_loop,
    event: amrelay_event,
) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed.
    unsafe {
        enter("amrelay_event_wait", r#loop, |handle| {
            let event = handle.find(event)?;
            handle.events.wait(event)?;
            Ok(0)
        })
    }
}

/// Turns the loop as long as there is something to wait for. Events whose callback is running do not fire in it. There is
/// something to wait for while there is:
///
/// * an active event of any kind except `AMRELAY_EVENT_WAIT`, even if its descriptor has been closed meanwhile;
/// * a stream that has neither ended nor been freed;
/// * a link that has frames to write, and a closed link until `on_closed`;
/// * a sink that has bytes to write or a function to call.
///
/// An open link with nothing to write and an empty sink do not keep it going, nor does a tee.
///
/// With `nonblock` other than 0: makes one turn at most, and does not wait for anything.
///
/// Ownership: nothing changes hands.
///
/// NULL: `loop` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; -errno if the system refuses to wait: no event is lost, and the next call waits anew.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_loop_turns(r#loop: *mut amrelay_loop, nonblock: c_int) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed.
    unsafe {
        enter("amrelay_loop_turns", r#loop, |handle| {
            handle.events.turns(nonblock != 0)?;
            Ok(0)
        })
    }
}

/// Turns the loop until `amrelay_loop_quit`, even when no event is active.
///
/// Ownership: nothing changes hands.
///
/// NULL: `loop` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`; -errno as `amrelay_loop_turns`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_loop_run(r#loop: *mut amrelay_loop) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed.
    unsafe {
        enter("amrelay_loop_run", r#loop, |handle| {
            handle.events.run()?;
            Ok(0)
        })
    }
}

/// Lets every `amrelay_loop_run` on the stack return at the end of its turn. Meant for callbacks; does nothing if
/// there is no such call.
///
/// Ownership: nothing changes hands.
///
/// NULL: `loop` NULL is refused.
///
/// Returns: 0; `AMRELAY_E_NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amrelay_loop_quit(r#loop: *mut amrelay_loop) -> c_int {
    // SAFETY: the caller passes NULL or a loop that is not freed.
    unsafe {
        enter("amrelay_loop_quit", r#loop, |handle| {
            handle.events.quit();
            Ok(0)
        })
    }
}

impl amrelay_loop {
    /// The loop itself, for links and sinks on it.
    pub(super) fn events(&self) -> &EventLoop {
        &self.events
    }

    fn find(&self, event: amrelay_event) -> Result<EventId, Failure> {
        let id = NonZeroUsize::new(event).map(EventId::from);
        id.filter(|id| self.made.borrow().contains(id))
            .ok_or_else(|| Failure::state(format!("the loop has no event {event}")))
    }
}

fn event_kind(kind: u32, id: i64) -> Result<EventKind, Failure> {
    let descriptor = || match c_int::try_from(id) {
        Ok(fd) if fd >= 0 => Ok(fd),
        _ => Err(Failure::argument(format!("{id} is not a descriptor"))),
    };
    match kind {
        AMRELAY_EVENT_READ => Ok(EventKind::Read(descriptor()?)),
        AMRELAY_EVENT_WRITE => Ok(EventKind::Write(descriptor()?)),
        AMRELAY_EVENT_TIME => match u64::try_from(id) {
            Ok(milliseconds) => Ok(EventKind::Timer(Duration::from_millis(milliseconds))),
            Err(_) => Err(Failure::argument(format!(
                "{id} is not a number of milliseconds"
            ))),
        },
        AMRELAY_EVENT_WAIT => Ok(EventKind::Wait(id)),
        _ => Err(Failure::argument(format!("{kind} is not a kind of event"))),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::ptr;

    use super::*;
    use crate::ffi::error::{AMRELAY_E_PANIC, AMRELAY_E_POISONED, amrelay_error};

    #[test]
    fn times_are_milliseconds() {
        for (id, time) in [
            (0, Duration::ZERO),
            (1500, Duration::from_millis(1500)),
            (i64::MAX, Duration::from_millis(i64::MAX.unsigned_abs())),
        ] {
            let kind = event_kind(AMRELAY_EVENT_TIME, id).expect("a time");
            assert_eq!(kind, EventKind::Timer(time));
        }
        assert!(event_kind(AMRELAY_EVENT_TIME, -1).is_err());
    }

    #[test]
    fn a_panic_inside_the_loop_becomes_a_code_and_poisons_the_loop() {
        let mut handle = ptr::null_mut();
        // SAFETY: a variable for the loop.
        assert_eq!(unsafe { amrelay_loop_new(&raw mut handle) }, 0);
        // SAFETY: the loop was just made.
        let events = unsafe { (*handle).events.clone() };
        let defect = events.create(EventKind::Deferred, Rc::new(|| panic!("a defect")));
        events.activate(defect).expect("no descriptor is needed");

        // SAFETY: the loop is alive until the last of these calls.
        unsafe {
            assert_eq!(amrelay_loop_turns(handle, 0), AMRELAY_E_PANIC);
            assert_eq!(
                CStr::from_ptr(amrelay_error()),
                c"amrelay_loop_turns: a defect"
            );
            assert_eq!(amrelay_loop_turns(handle, 0), AMRELAY_E_POISONED);
            assert_eq!(amrelay_event_wakeup(handle, 1), AMRELAY_E_POISONED);
            amrelay_loop_free(handle);
        }
    }
}
