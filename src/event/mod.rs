//! The event loop: readiness of descriptors, timers, wait events and deferred work, in one thread.
//!
//! Its semantics are those Amanda's `common-src/event.h` promises and its callers have come to rely on, so that it can
//! stand under that interface in place of `GLib`. A callback may do anything with the loop: create, activate and
//! release events, its own included, fire wait events, and turn the loop itself. No state is borrowed while one runs.
//!
//! `event_loop` is the host's handle and makes the turns, `registry` knows the events, `watch_list` and `timers` what they
//! wait for, `kind` says what an event is.
#![forbid(unsafe_code)]

mod event_loop;
mod kind;
mod registry;
mod timers;
mod watch_list;

pub use event_loop::EventLoop;
pub(crate) use kind::Direction;
pub use kind::{EventId, EventKind};
