//! The C ABI, as a sequence of calls with whatever the header allows or refuses: NULL, wrong sizes, unknown kinds and flags,
//! numbers that are no descriptors, calls at the wrong moment, in callbacks and from other threads. No call panics, a
//! failed one leaves its outputs alone and has a text, no callback comes for what has been freed, and descriptors are
//! neither lost nor, where they were lent, closed.
//!
//! Run with scripts/fuzz.sh, or with cargo-fuzz (`cargo +nightly fuzz run c_abi`).
#![no_main]

use amrelay_fuzz::abi::{Call, Host};
use amrelay_fuzz::program::{Sequence, ignore_sigpipe};
use amrelay_fuzz::wire::open_descriptors;
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Program {
    /// What callbacks call, in turn.
    reactions: [Option<Call>; 6],
    calls: Sequence<Call>,
}

fuzz_target!(|program: Program| {
    ignore_sigpipe();
    let before = open_descriptors();
    let host = Host::new(program.reactions);
    for call in &program.calls.0 {
        host.make(*call);
    }
    host.end();
    drop(host);
    assert_eq!(open_descriptors(), before);
});
