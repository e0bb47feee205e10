//! A host of the C ABI that makes one call after another, right ones and wrong ones, and checks what comes back.
//!
//! What the header leaves undefined it does not do: it uses no handle that was freed, and lies about no length. `given`
//! has what calls are given, `callbacks` what the library calls; here are the handles and the calls.

mod callbacks;
mod given;
mod relay;
mod tee;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, null_mut};
use std::rc::Rc;

use amrelay::ffi::error::{
    AMRELAY_E_PANIC, AMRELAY_E_POISONED, AMRELAY_E_THREAD, amrelay_error, amrelay_strerror,
};
use amrelay::ffi::event::{
    amrelay_event_activate, amrelay_event_create, amrelay_event_release, amrelay_event_wait,
    amrelay_event_wakeup, amrelay_loop, amrelay_loop_free, amrelay_loop_new, amrelay_loop_quit,
    amrelay_loop_turns,
};
use amrelay::ffi::index::{
    amrelay_index, amrelay_index_finish, amrelay_index_free, amrelay_index_message,
    amrelay_index_new, amrelay_index_options, amrelay_index_push, amrelay_index_result,
    amrelay_index_skip, amrelay_index_skippable,
};
use amrelay::ffi::link::{amrelay_link, amrelay_link_close, amrelay_link_free};
use amrelay::ffi::log::amrelay_set_log;
use amrelay::ffi::sink::{amrelay_sink, amrelay_sink_free};
use amrelay::ffi::stream::{amrelay_stream, amrelay_stream_free};
use amrelay::ffi::tee::{amrelay_tee, amrelay_tee_free};
use arbitrary::Arbitrary;

use callbacks::Context;
use given::{Bank, Buffer, Fd, Size};

/// More handles of a kind are not made.
const MOST: usize = 6;
/// No event has this number: so many are not made.
const NO_EVENT: usize = 99_999;
/// How deep callbacks may turn a loop.
const MOST_NESTED: usize = 3;

/// A call, or a few that belong together. Handles are chosen among those there are, and NULL.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Call {
    LoopNew {
        out: bool,
    },
    LoopFree(u8),
    EventCreate {
        event_loop: u8,
        kind: u8,
        id: Fd,
        number: i8,
        called: bool,
        out: bool,
    },
    EventActivate {
        event_loop: u8,
        event: u8,
    },
    EventRelease {
        event_loop: u8,
        event: u8,
    },
    Wakeup {
        event_loop: u8,
        number: i8,
    },
    Turn {
        event_loop: u8,
    },
    Quit {
        event_loop: u8,
    },
    Relay(relay::Call),
    Tee(tee::Call),
    IndexNew {
        format: u8,
        size: Size,
        out: bool,
    },
    IndexPush {
        index: u8,
        bytes: Buffer,
        called: bool,
    },
    IndexSkip {
        index: u8,
        count: u16,
        allowed: bool,
    },
    IndexFinish {
        index: u8,
        size: Size,
    },
    IndexFree(u8),
    /// Moves bytes at the other ends.
    Fill(u8),
    Drain(u8),
    Strerror(i16),
    /// Whether there is a function for log lines from now on. It calls the library, and fails.
    Log(bool),
    /// For an event that there is not: for any other the loop might wait for ever.
    Wait {
        event_loop: u8,
    },
    /// From a thread that has none of the handles.
    Elsewhere(u8),
}

/// An event, and the loop that has it.
#[derive(Clone, Copy)]
struct Event {
    event_loop: *mut amrelay_loop,
    number: usize,
    context: *const Context,
}

/// Everything that was made and not freed yet.
pub struct Host {
    bank: Bank,
    loops: RefCell<Vec<*mut amrelay_loop>>,
    links: RefCell<Vec<(*mut amrelay_link, *const Context)>>,
    streams: RefCell<Vec<(*mut amrelay_stream, *const Context)>>,
    sinks: RefCell<Vec<(*mut amrelay_sink, *const Context)>>,
    indexes: RefCell<Vec<*mut amrelay_index>>,
    tees: RefCell<Vec<*mut amrelay_tee>>,
    events: RefCell<Vec<Event>>,
    /// Kept to the end: a callback for what is gone must be seen, and not crash.
    contexts: RefCell<Vec<Rc<Context>>>,
    reactions: RefCell<VecDeque<Option<Call>>>,
    nested: Cell<usize>,
}

impl Host {
    // Boxed, since contexts point to it.
    pub fn new(reactions: impl IntoIterator<Item = Option<Call>>) -> Box<Self> {
        Box::new(Self {
            bank: Bank::new(),
            loops: RefCell::default(),
            links: RefCell::default(),
            streams: RefCell::default(),
            sinks: RefCell::default(),
            indexes: RefCell::default(),
            tees: RefCell::default(),
            events: RefCell::default(),
            contexts: RefCell::default(),
            reactions: RefCell::new(reactions.into_iter().collect()),
            nested: Cell::new(0),
        })
    }

    pub fn make(&self, call: Call) {
        match call {
            Call::LoopNew { out } => self.new_loop(out),
            Call::LoopFree(choice) => self.free_loop(choice),
            Call::Wakeup { .. } | Call::Turn { .. } | Call::Quit { .. } => self.turn(call),
            Call::EventCreate { .. } | Call::EventActivate { .. } | Call::EventRelease { .. } => {
                self.event(call);
            }
            Call::Relay(call) => self.relay(call),
            Call::Tee(call) => self.tee(call),
            Call::IndexNew { .. }
            | Call::IndexPush { .. }
            | Call::IndexSkip { .. }
            | Call::IndexFinish { .. }
            | Call::IndexFree(_) => self.index(call),
            Call::Fill(choice) => self.bank.fill(choice),
            Call::Drain(choice) => self.bank.drain(choice),
            Call::Strerror(code) => has_text(code.into()),
            Call::Log(wanted) => set_log(wanted),
            Call::Wait { event_loop } => {
                // SAFETY: NULL, or a loop that is not freed; any number will do for an event.
                let code = unsafe { amrelay_event_wait(get(&self.loops, event_loop), NO_EVENT) };
                assert!(check(code) < 0);
            }
            Call::Elsewhere(choice) => self.elsewhere(choice),
        }
    }

    /// What a callback does.
    fn react(&self) {
        let reaction = self.reactions.borrow_mut().pop_front().flatten();
        if let Some(call) = reaction {
            self.make(call);
        }
    }

    /// What the functions of one handle are given: it knows whether they may still be called.
    fn context(&self) -> *const Context {
        let context = Rc::new(Context::new(self));
        let pointer = Rc::as_ptr(&context);
        self.contexts.borrow_mut().push(context);
        pointer
    }

    fn new_loop(&self, out: bool) {
        if self.loops.borrow().len() < MOST {
            // SAFETY: a variable, or NULL.
            let made = create(out, |place| unsafe { amrelay_loop_new(place) });
            self.loops.borrow_mut().extend(made);
        }
    }

    fn free_loop(&self, choice: u8) {
        let taken = take(&self.loops, choice);
        // SAFETY: NULL, or a loop that is not freed.
        unsafe { amrelay_loop_free(taken.unwrap_or(null_mut())) };
        // Its events went with it.
        self.events.borrow_mut().retain(|event| {
            let gone = Some(event.event_loop) == taken;
            if gone {
                Context::close(event.context);
            }
            !gone
        });
    }

    /// One of the events, or a number that is none's.
    fn choose_event(&self, choice: u8) -> Event {
        let events = self.events.borrow();
        events
            .get(usize::from(choice) % 8)
            .copied()
            .unwrap_or(Event {
                event_loop: null_mut(),
                number: NO_EVENT,
                context: ptr::null(),
            })
    }

    fn turn(&self, call: Call) {
        if self.nested.get() >= MOST_NESTED {
            return;
        }
        self.nested.set(self.nested.get() + 1);
        // SAFETY: NULL, or loops that are not freed.
        unsafe {
            match call {
                Call::Wakeup { event_loop, number } => {
                    let code = amrelay_event_wakeup(get(&self.loops, event_loop), number.into());
                    check(code.min(0));
                }
                Call::Quit { event_loop } => {
                    check(amrelay_loop_quit(get(&self.loops, event_loop)));
                }
                Call::Turn { event_loop } => {
                    check(amrelay_loop_turns(get(&self.loops, event_loop), 1));
                }
                _ => unreachable!("no turn"),
            }
        }
        self.nested.set(self.nested.get() - 1);
    }

    fn event(&self, call: Call) {
        match call {
            Call::EventCreate {
                event_loop,
                kind,
                id,
                number,
                called,
                out,
            } => {
                let context = self.context();
                let id = if kind % 5 < 2 {
                    self.bank.number(id).into()
                } else {
                    i64::from(number)
                };
                let event_loop = get(&self.loops, event_loop);
                let function = called.then_some(callbacks::fired as _);
                let made = create(out, |place: *mut usize| {
                    let argument = context.cast_mut().cast();
                    // SAFETY: NULL, or a loop that is not freed, and a context that lives longer.
                    unsafe {
                        amrelay_event_create(
                            event_loop,
                            (kind % 5).into(),
                            id,
                            function,
                            argument,
                            place,
                        )
                    }
                });
                self.events.borrow_mut().extend(made.map(|number| Event {
                    event_loop,
                    number,
                    context,
                }));
            }
            Call::EventActivate { event_loop, event } => {
                let event = self.choose_event(event).number;
                // SAFETY: NULL, or a loop that is not freed; any number will do for an event.
                check(unsafe { amrelay_event_activate(get(&self.loops, event_loop), event) });
            }
            Call::EventRelease { event_loop, event } => {
                let event = self.choose_event(event);
                let event_loop = get(&self.loops, event_loop);
                // SAFETY: likewise.
                let code = unsafe { amrelay_event_release(event_loop, event.number) };
                if check(code) == 0 && event_loop == event.event_loop {
                    Context::close(event.context);
                }
            }
            _ => unreachable!("not of events"),
        }
    }

    fn index(&self, call: Call) {
        // SAFETY: NULL, or indexes that are not freed; the buffers are as long as is said.
        unsafe {
            match call {
                Call::IndexNew { format, size, out } if self.indexes.borrow().len() < MOST => {
                    let options = amrelay_index_options {
                        size: 0,
                        format: (format % 3).into(),
                    };
                    let made = create(out, |place| {
                        given::with_options(size, options, |options| {
                            amrelay_index_new(options, place)
                        })
                    });
                    self.indexes.borrow_mut().extend(made);
                }
                Call::IndexPush {
                    index,
                    bytes,
                    called,
                } => {
                    let function = called.then_some(callbacks::line as _);
                    let argument = ptr::from_ref(self).cast_mut().cast();
                    let index = get(&self.indexes, index);
                    let bytes = bytes.make();
                    check(amrelay_index_push(
                        index,
                        bytes.start,
                        bytes.length,
                        function,
                        argument,
                    ));
                }
                Call::IndexSkip {
                    index,
                    count,
                    allowed,
                } => {
                    let index = get(&self.indexes, index);
                    let most = amrelay_index_skippable(index);
                    let count = if allowed {
                        most.min(count.into())
                    } else {
                        count.into()
                    };
                    check(amrelay_index_skip(index, count));
                }
                Call::IndexFinish { index, size } => {
                    let index = get(&self.indexes, index);
                    given::with_result(size, |result: *mut amrelay_index_result| {
                        check(amrelay_index_finish(index, result))
                    });
                    CStr::from_ptr(amrelay_index_message(index))
                        .to_str()
                        .unwrap();
                }
                Call::IndexFree(choice) => {
                    amrelay_index_free(take(&self.indexes, choice).unwrap_or(null_mut()));
                }
                _ => {}
            }
        }
    }

    /// What belongs to this thread is refused in another.
    fn elsewhere(&self, choice: u8) {
        let event_loop = get(&self.loops, choice) as usize;
        if event_loop == 0 {
            return;
        }
        let codes = std::thread::spawn(move || {
            let event_loop = event_loop as *mut amrelay_loop;
            // SAFETY: the loop is not freed before this thread has ended.
            unsafe {
                amrelay_loop_free(event_loop);
                [
                    amrelay_loop_turns(event_loop, 1),
                    amrelay_loop_quit(event_loop),
                    amrelay_event_activate(event_loop, 1),
                ]
            }
        });
        assert_eq!(codes.join().unwrap(), [AMRELAY_E_THREAD; 3]);
    }

    /// Frees all there is, as a host that tidies up.
    pub fn end(&self) {
        self.reactions.borrow_mut().clear();
        // SAFETY: none of them has been freed, and none is used again.
        unsafe {
            for (stream, context) in self.streams.take() {
                Context::close(context);
                amrelay_stream_free(stream);
            }
            for (number, (link, context)) in self.links.take().into_iter().enumerate() {
                if number % 2 == 0 {
                    check(amrelay_link_close(link));
                } else {
                    Context::close(context);
                    amrelay_link_free(link);
                }
            }
            for (sink, context) in self.sinks.take() {
                Context::close(context);
                amrelay_sink_free(sink);
            }
            for tee in self.tees.take() {
                tee::stop(tee);
                amrelay_tee_free(tee);
            }
            for index in self.indexes.take() {
                amrelay_index_free(index);
            }
            for event_loop in self.loops.take() {
                check(amrelay_loop_turns(event_loop, 1));
                amrelay_loop_free(event_loop);
            }
        }
        self.bank.check();
        set_log(false);
    }
}

fn set_log(wanted: bool) {
    let function = wanted.then_some(callbacks::logged as _);
    // SAFETY: the function takes any argument.
    check(unsafe { amrelay_set_log(function, null_mut()) });
}

/// One of the handles, or NULL.
fn get<T>(handles: &RefCell<Vec<*mut T>>, choice: u8) -> *mut T {
    handles
        .borrow()
        .get(usize::from(choice) % (MOST + 1))
        .copied()
        .unwrap_or(null_mut())
}

/// Takes one of them out, to be freed.
fn take<T>(handles: &RefCell<Vec<*mut T>>, choice: u8) -> Option<*mut T> {
    let mut handles = handles.borrow_mut();
    let place = usize::from(choice) % (MOST + 1);
    (place < handles.len()).then(|| handles.remove(place))
}

/// Makes something; after a failure the variable for it must not have changed.
fn create<T: Copy>(out: bool, call: impl FnOnce(*mut T) -> c_int) -> Option<T> {
    let mut place = [0xaa_u8; 8];
    assert_eq!(size_of::<T>(), place.len());
    let code = call(if out {
        place.as_mut_ptr().cast()
    } else {
        null_mut()
    });
    assert!(out || code != 0, "NULL was taken for a variable");
    if check(code) != 0 {
        assert_eq!(place, [0xaa; 8], "a failed call wrote something");
        return None;
    }
    // SAFETY: the call has written it, and any bytes make a pointer or a number.
    Some(unsafe { place.as_ptr().cast::<T>().read_unaligned() })
}

/// Fails if a code says that the library has a defect; one of a failure has to have a text.
fn check(code: c_int) -> c_int {
    assert!(
        code != AMRELAY_E_PANIC && code != AMRELAY_E_POISONED,
        "{}",
        last_error()
    );
    assert!(
        (-7099..=-7000).contains(&code) || (-4095..=1).contains(&code),
        "{code}"
    );
    if code < 0 {
        assert!(last_error().contains(": "), "{code} without a text");
    }
    has_text(code);
    code
}

fn last_error() -> String {
    // SAFETY: a terminated text that lives as long as this thread.
    unsafe { CStr::from_ptr(amrelay_error()) }
        .to_str()
        .unwrap()
        .to_owned()
}

fn has_text(code: c_int) {
    // SAFETY: a terminated text.
    assert!(!unsafe { CStr::from_ptr(amrelay_strerror(code)) }.is_empty());
}

/// What a handle's functions are given.
fn argument(context: *const Context) -> *mut c_void {
    context.cast_mut().cast()
}
