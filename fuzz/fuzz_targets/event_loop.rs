//! The event loop, as a sequence of actions, in callbacks too: no dead or inactive event fires, what is ready is told in
//! every turn and in the order of activation, what is not ready never, and the loop does not spin.
//!
//! Run with scripts/fuzz.sh, or with cargo-fuzz (`cargo +nightly fuzz run event_loop`).
#![no_main]

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use amrelay::event::{EventId, EventKind, EventLoop};
use amrelay_fuzz::program::{Sequence, forbid_sigpipe, pick};
use amrelay_fuzz::wire::{self, Wire, get, open_descriptors, put, set_nonblocking};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const MOST_ENDS: usize = 12;
const MOST_EVENTS: usize = 24;
const MOST_NESTED: usize = 3;
const MOST_REACTIONS: usize = 50;
/// The turns that a loop may make while nothing happens: to notice and replace stale registrations, and where its timer
/// wakes it a moment early. One that spins makes thousands.
const QUIET: u64 = 8;

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Kind {
    Read(u8),
    Write(u8),
    /// One that is due in each turn.
    Soon,
    /// One that is never due.
    Late,
    Wait(bool),
    Deferred,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Open {
    Wire(Wire),
    /// Never blocks, and is refused by epoll.
    File,
    Null,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Action {
    Open(Open),
    /// With whatever events there are on it.
    Close(u8),
    /// As a child does that was forked: the open file outlives its number.
    Hold(u8),
    LetGo(u8),
    Put(u8),
    Fill(u8),
    Drain(u8),
    Create(Kind),
    Activate(u8),
    Deactivate(u8),
    Release(u8),
    Wakeup(bool),
    /// What the event's callback does from now on.
    React(u8, Reaction),
    Turn,
    WaitForDeferred,
}

/// What a callback does.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Reaction {
    Nothing,
    Close(u8),
    Drain(u8),
    Create(Kind),
    Activate(u8),
    Deactivate(u8),
    Release(u8),
    /// Releases the event itself, after its descriptor was closed.
    CloseAndRelease(u8),
    Wakeup(bool),
    Turn,
}

#[derive(Debug, Arbitrary)]
struct Program {
    /// One in sixteen ends with a wait, to see whether it is one.
    waits: u8,
    actions: Sequence<Action>,
}

/// One end of a pipe or socket, or a file.
struct End {
    number: RawFd,
    file: RefCell<Option<OwnedFd>>,
    held: RefCell<Option<OwnedFd>>,
    /// Whether the last activation of an event on this number was after the file got it.
    watched: Cell<bool>,
}

struct Event {
    id: EventId,
    kind: Kind,
    end: Option<Rc<End>>,
    alive: Cell<bool>,
    active: Cell<Option<u64>>,
    running: Cell<usize>,
    reaction: Cell<Reaction>,
}

impl Event {
    fn is_wait(&self) -> bool {
        matches!(self.kind, Kind::Wait(_))
    }

    /// What poll(2) says of the file that the event was made for; None if that is closed.
    fn is_ready(&self) -> Option<bool> {
        self.would_find_ready(self.end.as_ref()?)
    }

    fn would_find_ready(&self, end: &End) -> Option<bool> {
        let file = end.file.borrow();
        let wanted = match self.kind {
            Kind::Read(_) => PollFlags::IN,
            _ => PollFlags::OUT,
        };
        let mut entry = [PollFd::new(file.as_ref()?, wanted)];
        look(&mut entry);
        let broken = PollFlags::ERR | PollFlags::HUP;
        Some(entry[0].revents().intersects(wanted | broken))
    }
}

fn look(entries: &mut [PollFd<'_>]) {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::io::retry_on_intr(|| poll(entries, Some(&now))).unwrap();
}

struct World {
    event_loop: EventLoop,
    ends: RefCell<Vec<Rc<End>>>,
    events: RefCell<Vec<Rc<Event>>>,
    activations: Cell<u64>,
    fired: RefCell<Vec<Rc<Event>>>,
    /// How many actions there have been: what the poller said before may not hold after one.
    actions: Cell<usize>,
    nested: Cell<usize>,
    reactions: Cell<usize>,
}

impl World {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            event_loop: EventLoop::new().unwrap(),
            ends: RefCell::default(),
            events: RefCell::default(),
            activations: Cell::new(0),
            fired: RefCell::default(),
            actions: Cell::new(0),
            nested: Cell::new(0),
            reactions: Cell::new(0),
        })
    }

    fn end(&self, choice: u8) -> Option<Rc<End>> {
        pick(&self.ends.borrow(), choice).cloned()
    }

    fn event(&self, choice: u8) -> Option<Rc<Event>> {
        pick(&self.events.borrow(), choice).cloned()
    }

    fn act(self: &Rc<Self>, action: Action) {
        self.actions.set(self.actions.get() + 1);
        match action {
            Action::Open(open) => self.open(open),
            Action::Create(kind) => self.create(kind),
            Action::Wakeup(number) => self.wakeup(number),
            Action::Turn => self.turn(),
            Action::WaitForDeferred => self.wait_for_deferred(),
            Action::Close(end)
            | Action::Hold(end)
            | Action::LetGo(end)
            | Action::Put(end)
            | Action::Fill(end)
            | Action::Drain(end) => {
                if let Some(end) = self.end(end) {
                    act_on_end(&end, action);
                }
            }
            Action::Activate(event)
            | Action::Deactivate(event)
            | Action::Release(event)
            | Action::React(event, _) => {
                if let Some(event) = self.event(event) {
                    self.act_on_event(&event, action);
                }
            }
        }
    }

    fn open(&self, open: Open) {
        let files = match open {
            Open::Wire(wire) => {
                let (one, other) = wire.open();
                vec![one, other]
            }
            Open::File => vec![wire::file(b"some bytes")],
            Open::Null => vec![wire::device("null")],
        };
        let mut ends = self.ends.borrow_mut();
        for file in files {
            let number = file.as_raw_fd();
            if number < 0 || ends.len() >= MOST_ENDS {
                continue;
            }
            set_nonblocking(&file, true);
            ends.push(Rc::new(End {
                number,
                file: RefCell::new(Some(file)),
                held: RefCell::default(),
                watched: Cell::new(false),
            }));
        }
    }

    fn create(self: &Rc<Self>, kind: Kind) {
        if self.events.borrow().len() >= MOST_EVENTS {
            return;
        }
        let (what, end) = match kind {
            Kind::Read(choice) | Kind::Write(choice) => {
                let Some(end) = self.end(choice) else {
                    return;
                };
                let what = match kind {
                    Kind::Read(_) => EventKind::Read(end.number),
                    _ => EventKind::Write(end.number),
                };
                (what, Some(end))
            }
            Kind::Soon => (EventKind::Timer(Duration::ZERO), None),
            Kind::Late => (EventKind::Timer(Duration::from_secs(3600)), None),
            Kind::Wait(number) => (EventKind::Wait(number.into()), None),
            Kind::Deferred => (EventKind::Deferred, None),
        };
        let place = self.events.borrow().len();
        let world = Rc::downgrade(self);
        let callback = move || {
            if let Some(world) = world.upgrade() {
                let event = Rc::clone(&world.events.borrow()[place]);
                world.fire(&event);
            }
        };
        let event = Event {
            id: self.event_loop.create(what, Rc::new(callback)),
            kind,
            end,
            alive: Cell::new(true),
            active: Cell::new(None),
            running: Cell::new(0),
            reaction: Cell::new(Reaction::Nothing),
        };
        self.events.borrow_mut().push(Rc::new(event));
    }

    fn act_on_event(&self, event: &Rc<Event>, action: Action) {
        match action {
            Action::Activate(_) => self.activate(event),
            Action::Deactivate(_) => {
                self.event_loop.deactivate(event.id);
                event.active.set(None);
            }
            Action::Release(_) => {
                assert_eq!(self.event_loop.release(event.id), event.alive.get());
                event.alive.set(false);
                event.active.set(None);
            }
            Action::React(_, reaction) => event.reaction.set(reaction),
            _ => unreachable!("not an event's"),
        }
    }

    fn activate(&self, event: &Event) {
        let before = event.active.get();
        let open = event
            .end
            .as_ref()
            .is_none_or(|end| end.file.borrow().is_some());
        match self.event_loop.activate(event.id) {
            Ok(()) => {
                assert!(event.alive.get());
                if before.is_none() {
                    self.activations.set(self.activations.get() + 1);
                    event.active.set(Some(self.activations.get()));
                    self.watched(event);
                }
            }
            Err(error) => {
                assert!(!event.alive.get() || !open, "{error}");
                event.active.set(None);
            }
        }
    }

    /// The loop has looked at the number: what it watches there is the file that has it now.
    fn watched(&self, event: &Event) {
        if let Some(number) = event.end.as_ref().map(|end| end.number) {
            for end in self.ends.borrow().iter().filter(|end| end.number == number) {
                end.watched.set(end.file.borrow().is_some());
            }
        }
    }

    fn fire(self: &Rc<Self>, event: &Rc<Event>) {
        assert!(event.alive.get(), "a dead event fired");
        assert!(event.active.get().is_some(), "an inactive event fired");
        assert!(
            event.running.get() == 0 || event.is_wait(),
            "fired while it ran"
        );
        if matches!(event.kind, Kind::Deferred) {
            event.active.set(None);
        }
        self.fired.borrow_mut().push(Rc::clone(event));
        event.running.set(event.running.get() + 1);
        if self.reactions.get() < MOST_REACTIONS {
            self.reactions.set(self.reactions.get() + 1);
            self.react(event.reaction.get());
        }
        event.running.set(event.running.get() - 1);
    }

    fn react(self: &Rc<Self>, reaction: Reaction) {
        match reaction {
            Reaction::Nothing => {}
            Reaction::Close(end) => self.act(Action::Close(end)),
            Reaction::Drain(end) => self.act(Action::Drain(end)),
            Reaction::Create(kind) => self.act(Action::Create(kind)),
            Reaction::Activate(event) => self.act(Action::Activate(event)),
            Reaction::Deactivate(event) => self.act(Action::Deactivate(event)),
            Reaction::Release(event) => self.act(Action::Release(event)),
            Reaction::CloseAndRelease(choice) => {
                if let Some(end) = self.event(choice).and_then(|event| event.end.clone()) {
                    act_on_end(&end, Action::Close(0));
                }
                self.act(Action::Release(choice));
            }
            Reaction::Wakeup(number) => self.act(Action::Wakeup(number)),
            Reaction::Turn => self.act(Action::Turn),
        }
    }

    fn wakeup(&self, number: bool) {
        if self.nested.get() >= MOST_NESTED {
            return;
        }
        let waiting = |event: &&Rc<Event>| match event.kind {
            Kind::Wait(own) => own == number && event.active.get().is_some(),
            _ => false,
        };
        let expected = self.events.borrow().iter().filter(waiting).count();
        let actions = self.actions.get();
        self.nested.set(self.nested.get() + 1);
        let fired = self.event_loop.wakeup(number.into());
        self.nested.set(self.nested.get() - 1);
        assert!(fired <= expected);
        assert!(fired == expected || self.actions.get() > actions);
    }

    fn turn(&self) {
        if self.nested.get() >= MOST_NESTED {
            return;
        }
        let due: Vec<_> = self
            .events
            .borrow()
            .iter()
            .filter(is_due)
            .cloned()
            .collect();
        let actions = self.actions.get();
        let outermost = self.nested.get() == 0;
        self.fired.borrow_mut().clear();
        self.nested.set(self.nested.get() + 1);
        self.event_loop.turns(true).unwrap();
        self.nested.set(self.nested.get() - 1);
        if outermost && self.actions.get() == actions {
            self.check_fired(due);
        }
    }

    /// After a turn in which nobody did anything: what was due has fired, once and in order, and nothing else.
    fn check_fired(&self, mut due: Vec<Rc<Event>>) {
        // Descriptors, then deferred events, then timers; in the order of activation, which a deferred one has lost by now.
        let rank = |event: &Rc<Event>| match event.kind {
            Kind::Read(_) | Kind::Write(_) => (0, event.active.get()),
            Kind::Deferred => (1, None),
            _ => (2, event.active.get()),
        };
        due.sort_by_key(rank);
        let fired = self.fired.borrow();
        // Whoever activates an event on a closed number again may activate it anew.
        let known = |event: &&Rc<Event>| event.end.is_none() || event.is_ready().is_some();
        assert!(
            fired.iter().filter(known).is_sorted_by_key(rank),
            "out of order"
        );
        for event in &due {
            let times = fired
                .iter()
                .filter(|other| Rc::ptr_eq(other, event))
                .count();
            assert_eq!(times, 1, "{:?} was due", event.kind);
        }
        for event in &*fired {
            let times = fired
                .iter()
                .filter(|other| Rc::ptr_eq(other, event))
                .count();
            assert_eq!(times, 1, "{:?} fired again", event.kind);
            assert!(self.may_fire(event), "{:?} is not ready", event.kind);
            assert!(!matches!(event.kind, Kind::Late));
        }
    }

    /// Whether the file that has the event's number now is ready, whichever the event was made for.
    fn may_fire(&self, event: &Event) -> bool {
        let Some(own) = &event.end else {
            return true;
        };
        let ends = self.ends.borrow();
        let mut files = ends.iter().filter(|end| end.number == own.number);
        files.any(|end| event.would_find_ready(end) == Some(true))
    }

    fn wait_for_deferred(self: &Rc<Self>) {
        if self.nested.get() >= MOST_NESTED {
            return;
        }
        let done = Rc::new(Cell::new(false));
        let callback = {
            let done = Rc::clone(&done);
            move || done.set(true)
        };
        let id = self
            .event_loop
            .create(EventKind::Deferred, Rc::new(callback));
        self.event_loop.activate(id).unwrap();
        self.nested.set(self.nested.get() + 1);
        self.event_loop.wait(id).unwrap();
        self.nested.set(self.nested.get() - 1);
        assert!(done.get());
        assert!(self.event_loop.release(id));
    }

    /// Waits for a moment with nothing to do: a few turns at most.
    fn rest(self: &Rc<Self>) {
        let events = self.events.borrow().clone();
        for event in events.iter().filter(is_due) {
            self.act_on_event(event, Action::Deactivate(0));
        }
        for event in &events {
            // What is not known to rest has to go, too.
            if event.end.is_some() && !is_resting(event) {
                self.act_on_event(event, Action::Deactivate(0));
            }
        }
        let event_loop = self.event_loop.clone();
        let quit: Rc<dyn Fn()> = Rc::new(move || event_loop.quit());
        let id = self
            .event_loop
            .create(EventKind::Timer(Duration::from_millis(1)), quit);
        self.event_loop.activate(id).unwrap();
        let turns = self.event_loop.run().unwrap();
        assert!(turns <= QUIET, "{turns} turns with nothing to do");
        self.event_loop.release(id);
    }
}

/// Whether the event has to fire in the next turn.
fn is_due(event: &&Rc<Event>) -> bool {
    event.active.get().is_some()
        && match event.kind {
            Kind::Read(_) | Kind::Write(_) => {
                let watched = event.end.as_ref().is_some_and(|end| end.watched.get());
                watched && event.is_ready() == Some(true)
            }
            Kind::Soon | Kind::Deferred => true,
            Kind::Late | Kind::Wait(_) => false,
        }
}

/// Whether the event's descriptor is open, watched and not ready.
fn is_resting(event: &Event) -> bool {
    let watched = event.end.as_ref().is_some_and(|end| end.watched.get());
    watched && event.is_ready() == Some(false)
}

fn act_on_end(end: &End, action: Action) {
    match action {
        Action::Close(_) => {
            drop(end.file.take());
            end.watched.set(false);
        }
        Action::LetGo(_) => drop(end.held.take()),
        _ => {}
    }
    let file = end.file.borrow();
    let Some(file) = &*file else {
        return;
    };
    match action {
        // Far from the numbers that are given out next.
        Action::Hold(_) => {
            let held = rustix::io::fcntl_dupfd_cloexec(file, 200).unwrap();
            drop(end.held.replace(Some(held)));
        }
        Action::Put(_) => try_put(file, 1),
        Action::Fill(_) => try_put(file, 1 << 18),
        Action::Drain(_) => try_drain(file),
        _ => {}
    }
}

/// Writes, unless that would break a pipe or change a file.
fn try_put(file: &OwnedFd, count: usize) {
    let mut entry = [PollFd::new(file, PollFlags::OUT)];
    look(&mut entry);
    let writable = rustix::fs::fcntl_getfl(file).unwrap() & rustix::fs::OFlags::RWMODE;
    if writable != rustix::fs::OFlags::RDONLY && entry[0].revents() == PollFlags::OUT {
        put(file.as_fd(), &vec![0; count]);
    }
}

fn try_drain(file: &OwnedFd) {
    let readable = rustix::fs::fcntl_getfl(file).unwrap() & rustix::fs::OFlags::RWMODE;
    if readable != rustix::fs::OFlags::WRONLY {
        get(file.as_fd(), 1 << 19, &mut Vec::new());
    }
}

fuzz_target!(|program: Program| {
    forbid_sigpipe();
    let before = open_descriptors();
    let world = World::new();
    for action in &program.actions.0 {
        world.act(*action);
    }
    if program.waits % 16 == 0 {
        world.rest();
    }
    world.event_loop.release_all();
    drop(world);
    assert_eq!(open_descriptors(), before);
});
