//! A model of links and streams: what a host, the writers and the peers do, and what must come of it.
//!
//! `carrier` is a link with its peer, `strand` a stream with its writer; the world has all of them and the event loop.

mod carrier;
mod strand;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use amrelay::event::EventLoop;
use arbitrary::Arbitrary;

use crate::program::{Amount, pick};
use crate::wire::Wire;
use carrier::Carrier;
use strand::Strand;

/// How many turns of the loop may be made inside each other.
const MOST_NESTED: usize = 3;
/// More of either are not made.
const MOST: usize = 12;

/// What a connection's bytes look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum Kind {
    Raw,
    Framed,
    /// Takes so many bytes at once, as far as the connection does.
    Callback {
        sealed: bool,
        takes: u8,
    },
}

/// What somebody does. Links and streams are chosen among those there are.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Action {
    Connect {
        kind: Kind,
        wire: Wire,
        small_frames: bool,
        lent: bool,
    },
    Start {
        link: u8,
        wire: Wire,
        bulk: bool,
        tapped: bool,
        lent: bool,
    },
    Write {
        stream: u8,
        amount: Amount,
    },
    CloseSource {
        stream: u8,
    },
    FreeStream {
        stream: u8,
    },
    Send {
        link: u8,
        amount: Amount,
    },
    Read {
        link: u8,
        amount: Amount,
    },
    PeerLeaves {
        link: u8,
    },
    Close {
        link: u8,
    },
    FreeLink {
        link: u8,
    },
    Turn,
}

/// Everything there is. No borrow is held while the library runs, since its callbacks come back here.
pub struct World {
    event_loop: EventLoop,
    links: RefCell<Vec<Rc<Carrier>>>,
    streams: RefCell<Vec<Rc<Strand>>>,
    reactions: RefCell<VecDeque<Option<Action>>>,
    nested: Cell<usize>,
}

impl World {
    pub fn new(reactions: impl IntoIterator<Item = Option<Action>>) -> Rc<Self> {
        Rc::new(Self {
            event_loop: EventLoop::new().unwrap(),
            links: RefCell::default(),
            streams: RefCell::default(),
            reactions: RefCell::new(reactions.into_iter().collect()),
            nested: Cell::new(0),
        })
    }

    fn link(&self, choice: u8) -> Option<Rc<Carrier>> {
        pick(&self.links.borrow(), choice).cloned()
    }

    fn stream(&self, choice: u8) -> Option<Rc<Strand>> {
        pick(&self.streams.borrow(), choice).cloned()
    }

    pub fn act(self: &Rc<Self>, action: Action) {
        match action {
            Action::Connect {
                kind,
                wire,
                small_frames,
                lent,
            } => self.connect(kind, wire, small_frames, lent),
            Action::Start {
                link,
                wire,
                bulk,
                tapped,
                lent,
            } => {
                if let Some(link) = self.link(link) {
                    self.start(&link, wire, bulk, tapped, lent);
                }
            }
            Action::Turn => self.turn(),
            Action::Write { stream, .. }
            | Action::CloseSource { stream }
            | Action::FreeStream { stream } => {
                if let Some(stream) = self.stream(stream) {
                    stream.act(action);
                }
            }
            Action::Send { link, .. }
            | Action::Read { link, .. }
            | Action::PeerLeaves { link }
            | Action::Close { link }
            | Action::FreeLink { link } => {
                if let Some(link) = self.link(link) {
                    link.act(action);
                }
            }
        }
    }

    /// What a callback does: the next of the reactions, and in its turn any other.
    fn react(self: &Rc<Self>) {
        let reaction = self.reactions.borrow_mut().pop_front().flatten();
        if let Some(action) = reaction {
            self.act(action);
        }
    }

    fn connect(self: &Rc<Self>, kind: Kind, wire: Wire, small_frames: bool, lent: bool) {
        if self.links.borrow().len() < MOST {
            let link = Carrier::new(self, kind, wire, small_frames, lent);
            self.links.borrow_mut().push(link);
        }
    }

    fn start(
        self: &Rc<Self>,
        link: &Rc<Carrier>,
        wire: Wire,
        bulk: bool,
        tapped: bool,
        lent: bool,
    ) {
        let number = self.streams.borrow().len();
        if number >= MOST {
            return;
        }
        if let Some(stream) = Strand::start(self, link, number, wire, bulk, tapped, lent) {
            self.streams.borrow_mut().push(stream);
        }
    }

    fn turn(&self) {
        if self.nested.get() < MOST_NESTED {
            self.nested.set(self.nested.get() + 1);
            self.event_loop.turns(true).unwrap();
            self.nested.set(self.nested.get() - 1);
        }
    }

    pub fn check_bounds(&self) {
        for link in &*self.links.borrow() {
            link.check_bounds();
        }
    }

    /// Ends all sources, and turns the loop until everybody has got what there is to get.
    pub fn settle(self: &Rc<Self>) {
        self.reactions.borrow_mut().clear();
        let streams = self.streams.borrow().clone();
        for stream in &streams {
            stream.act(Action::CloseSource { stream: 0 });
        }
        self.turn_until_quiet();
        for stream in &streams {
            stream.check_ended();
        }
        let links = self.links.borrow().clone();
        for link in &links {
            link.act(Action::Close { link: 0 });
        }
        self.turn_until_quiet();
    }

    /// Quiet is where, with all peers reading, some turns in a row move nothing.
    fn turn_until_quiet(&self) {
        let links = self.links.borrow().clone();
        let mut idle = 0;
        for turns in 0.. {
            self.turn();
            let moved = links.iter().filter(|link| link.drain()).count();
            idle = if moved > 0 { 0 } else { idle + 1 };
            if idle == 4 {
                return;
            }
            assert!(turns < 100_000, "no end of turns");
        }
    }

    /// What has to hold when everything has ended.
    pub fn check_end(&self) {
        let streams = self.streams.borrow();
        for link in &*self.links.borrow() {
            let own: Vec<_> = streams
                .iter()
                .filter(|stream| Rc::ptr_eq(&stream.link, link))
                .cloned()
                .collect();
            link.check_end(&own);
        }
    }
}
