//! The programs of `c-tests/`, compiled and linked as a C user would, against the header and the shared library.
//!
//! `make check-valgrind` (`AMRELAY_VALGRIND=1`) runs them under valgrind: no leak, no invalid access.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn compiler(variable: &str, otherwise: &str) -> Command {
    let mut command = Command::new(env::var(variable).unwrap_or_else(|_| otherwise.into()));
    command.current_dir(root()).arg("-Iinclude");
    command
}

/// The shared library that cargo built along with this test.
fn library() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    test.parent().expect("a folder").join("libamrelay.so")
}

/// A folder with the names a linker and a loader look for.
fn library_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-abi");
        fs::create_dir_all(&folder).expect("a folder");
        for name in ["libamrelay.so", "libamrelay.so.0"] {
            let link = folder.join(name);
            let _ = fs::remove_file(&link);
            symlink(library(), &link).expect("a link");
        }
        folder
    })
}

fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn run(name: &str) {
    let folder = library_folder();
    let program = folder.join(name);
    succeed(
        compiler("CC", "cc")
            .args(["-std=c99", "-g", "-pthread"])
            .args(WARNINGS)
            .arg(format!("c-tests/{name}.c"))
            .arg("-o")
            .arg(&program)
            .arg(format!("-L{}", folder.display()))
            .arg(format!("-Wl,-rpath,{}", folder.display()))
            .arg("-lamrelay"),
    );
    let mut command = if env::var_os("AMRELAY_VALGRIND").is_some() {
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
        command.args(["--show-leak-kinds=all", "--errors-for-leak-kinds=all"]);
        command.arg(&program);
        command
    } else {
        Command::new(&program)
    };
    succeed(command.current_dir(root()));
}

macro_rules! programs {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
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

programs!(event, index, layout, link, sink, stream, tee, version);

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
    check(&mut compiler("CC", "cc"), &["-std=c99"]);
    check(&mut compiler("CXX", "c++"), &["-x", "c++", "-std=c++11"]);
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
