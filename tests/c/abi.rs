//! The programs of `c-tests/`, compiled and linked as a C user would, against the header and the shared library.
//!
//! `make check-valgrind` (`AMRELAY_VALGRIND=1`) runs them under valgrind: no leak, no invalid access.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::c::{WARNINGS, compile, compiler, library, program, root, succeed};

macro_rules! programs {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let path = compile(concat!("c-tests/", stringify!($name), ".c"));
                succeed(program(&path).current_dir(root()));
            }
        )*

        #[test]
        fn every_program_is_run() {
            let listed: BTreeSet<_> = [$(concat!(stringify!($name), ".c")),*].map(String::from).into();
            let present: BTreeSet<_> = fs::read_dir(root().join("c-tests"))
                .expect("c-tests")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
                .filter(|name| name.ends_with(".c"))
                .collect();
            assert_eq!(listed, present);
        }
    };
}

programs!(
    environment,
    event,
    index,
    layout,
    link,
    no_thread,
    sink,
    stream,
    tee,
    tee_end,
    tee_options,
    version
);

#[test]
fn header_is_c99_and_cxx() {
    let source = "c-tests/layout.c";
    let check = |compiler: &mut Command, standard: &[&str]| {
        succeed(
            compiler
                .args(standard)
                .args(WARNINGS)
                .args(["-fsyntax-only", source]),
        );
    };
    check(&mut compiler(false), &["-std=c99"]);
    check(&mut compiler(true), &["-x", "c++", "-std=c++11"]);
}

#[test]
fn exported_symbols_are_those_listed() {
    let output = succeed(
        Command::new("nm")
            .args(["-D", "--defined-only", "--format=posix"])
            .arg(library()),
    );
    let exported = String::from_utf8(output.stdout).expect("text");
    let exported: BTreeSet<_> = exported
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let listed = fs::read_to_string(root().join("tests/symbols.txt")).expect("the list");
    assert_eq!(exported, listed.lines().collect());
}
