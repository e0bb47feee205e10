//! Sequences of actions, made of the fuzzer's bytes.

use std::sync::Once;

use arbitrary::{Arbitrary, Result, Unstructured};

/// All the actions that the bytes give. (`Vec` would end with every second one.)
#[derive(Debug)]
pub struct Sequence<T>(pub Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Sequence<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut actions = Vec::new();
        while !u.is_empty() {
            actions.push(u.arbitrary()?);
        }
        Ok(Self(actions))
    }
}

/// How many bytes to write, read or push at once: few mostly, and now and then what fills a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(pub usize);

impl<'a> Arbitrary<'a> for Amount {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (scale, count) = (u8::arbitrary(u)?, usize::from(u8::arbitrary(u)?));
        Ok(Self(match scale % 8 {
            0..4 => count,
            4 | 5 => count * 17,
            6 => 4096 + count - 128,
            _ => count * 521,
        }))
    }
}

/// One of those there are, NULL-like nothing if there is none.
pub fn pick<T>(all: &[T], choice: u8) -> Option<&T> {
    all.get(usize::from(choice) % all.len().max(1))
}

/// Has the process abort on a SIGPIPE: the library must raise none, and targets that call this raise none themselves.
pub fn forbid_sigpipe() {
    extern "C" fn raised(_: libc::c_int) {
        std::process::abort();
    }
    static ONCE: Once = Once::new();
    // SAFETY: the handler calls nothing but abort, which is safe in one.
    ONCE.call_once(|| unsafe {
        libc::signal(libc::SIGPIPE, raised as *const () as libc::sighandler_t);
    });
}

/// For targets whose writers cannot know when a pipe breaks.
pub fn ignore_sigpipe() {
    static ONCE: Once = Once::new();
    // SAFETY: a signal that is ignored runs no code.
    ONCE.call_once(|| unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    });
}
