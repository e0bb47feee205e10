//! Links and their streams, as a sequence of what hosts, writers and peers do, in callbacks too: each peer can take apart
//! what it gets, and finds what each stream was given, in order, ended only where it ended, and cut only where somebody
//! cut it.
//!
//! Run with scripts/fuzz.sh, or with cargo-fuzz (`cargo +nightly fuzz run link`).
#![no_main]

use amrelay_fuzz::program::{Sequence, forbid_sigpipe};
use amrelay_fuzz::relay::{Action, World};
use amrelay_fuzz::wire::open_descriptors;
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Program {
    /// What the callbacks do, in turn.
    reactions: [Option<Action>; 6],
    actions: Sequence<Action>,
}

fuzz_target!(|program: Program| {
    forbid_sigpipe();
    let before = open_descriptors();
    let world = World::new(program.reactions);
    for action in &program.actions.0 {
        world.act(*action);
        world.check_bounds();
    }
    world.settle();
    world.check_end();
    drop(world);
    assert_eq!(open_descriptors(), before);
});
