//! `include/amrelay.h` is what `src/ffi` says, is documented, and agrees with Cargo.toml.
//!
//! `make header` (`AMRELAY_UPDATE_HEADER=1 cargo test --test header`) writes the header anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files of `src/ffi` in the order the header has their parts.
const PARTS: [&str; 11] = [
    "version",
    "error",
    "log",
    "event",
    "stats",
    "link",
    "stream",
    "sink",
    "index",
    "tee_options",
    "tee",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn committed() -> PathBuf {
    root().join("include/amrelay.h")
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    let builder = PARTS.iter().fold(
        cbindgen::Builder::new().with_config(config),
        |builder, part| builder.with_src(root().join(format!("src/ffi/{part}.rs"))),
    );
    let mut text = Vec::new();
    builder
        .generate()
        .expect("src/ffi can be translated")
        .write(&mut text);
    String::from_utf8(text).expect("text")
}

#[test]
fn committed_header_is_current() {
    let generated = generate();
    if std::env::var_os("AMRELAY_UPDATE_HEADER").is_some() {
        fs::write(committed(), &generated).expect("include/amrelay.h can be written");
    }
    let current = fs::read_to_string(committed()).expect("include/amrelay.h");
    assert!(
        current == generated,
        "include/amrelay.h is not what src/ffi says: run `make header`"
    );
}

#[test]
fn every_part_of_the_ffi_room_is_in_the_header() {
    for entry in fs::read_dir(root().join("src/ffi")).expect("src/ffi") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a source file");
        let exports = text.contains("#[unsafe(no_mangle)]") || text.contains("#[repr(C)]");
        let part = path
            .file_stem()
            .expect("a name")
            .to_str()
            .expect("a plain name");
        assert_eq!(exports, PARTS.contains(&part), "{}", path.display());
    }
}

#[test]
fn version_macros_are_those_of_the_manifest() {
    let header = generate();
    for (macro_name, number) in [
        ("AMRELAY_VERSION_MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("AMRELAY_VERSION_MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("AMRELAY_VERSION_PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ] {
        let line = format!("#define {macro_name} {number}");
        assert!(header.lines().any(|other| other == line), "{line}");
    }
}

#[test]
fn packagers_are_told_the_same_version() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let versions: Vec<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("version = "))
        .collect();
    assert_eq!(versions, [concat!('"', env!("CARGO_PKG_VERSION"), '"'); 3]);
}

/// An item of the header and the comment before it.
struct Item {
    comment: String,
    text: String,
}

/// Cuts the part of the header between the first declaration and the end of `extern "C"` into items. A field of a
/// struct is an item of its own.
fn items() -> Vec<Item> {
    let mut items = Vec::new();
    let mut comment = String::new();
    let mut text = String::new();
    let mut in_comment = false;
    let header = generate();
    let (_, declarations) = header
        .split_once("#include <stdint.h>")
        .expect("the includes");
    for line in declarations.lines().map(str::trim) {
        if line.starts_with("/**") || in_comment {
            if !in_comment {
                comment.clear();
            }
            comment.push_str(line);
            comment.push('\n');
            in_comment = !line.ends_with("*/");
            continue;
        }
        let structural = line.is_empty()
            || line.starts_with('}')
            || line.starts_with("extern \"C\"")
            || (line.starts_with('#') && !line.starts_with("#define "));
        if structural {
            continue;
        }
        text.push_str(line);
        text.push(' ');
        if line.ends_with([';', '{']) || line.starts_with('#') {
            items.push(Item {
                comment: std::mem::take(&mut comment),
                text: std::mem::take(&mut text),
            });
        }
    }
    items
}

fn is_function(item: &Item) -> bool {
    let other = ["typedef", "#define"];
    item.text.contains('(')
        && !item.text.contains("(*")
        && !other.iter().any(|word| item.text.starts_with(word))
}

/// A function that nobody calls is better left out: it can be added later, but not taken away.
#[test]
fn every_function_has_a_user() {
    let files = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).expect("a folder");
        let read =
            |entry: io::Result<fs::DirEntry>| fs::read_to_string(entry.expect("an entry").path());
        entries
            .map(read)
            .collect::<Result<String, _>>()
            .expect("texts")
    };
    let users = files("examples") + &files("patches/amanda-3.5");
    let symbols = fs::read_to_string(root().join("tests/symbols.txt")).expect("the list");
    for symbol in symbols.lines() {
        assert!(
            users.contains(&format!("{symbol}(")),
            "nobody calls {symbol}"
        );
    }
}

#[test]
fn every_item_has_a_comment() {
    let items = items();
    assert!(
        items.len() > 50,
        "the header was not understood: {} items",
        items.len()
    );
    for item in items {
        assert!(!item.comment.is_empty(), "no comment: {}", item.text);
    }
}

#[test]
fn every_function_has_its_parts() {
    let functions: Vec<_> = items().into_iter().filter(is_function).collect();
    let symbols = fs::read_to_string(root().join("tests/symbols.txt")).expect("the list");
    assert_eq!(
        functions.len(),
        symbols.lines().count(),
        "the header was not understood"
    );
    for function in functions {
        let count = |part: &str| function.comment.matches(&format!("* {part}")).count();
        for part in ["Ownership:", "NULL:", "Returns:"] {
            assert_eq!(count(part), 1, "{part} in the comment of {}", function.text);
        }
        assert!(count("Threads:") <= 1, "{}", function.text);
        // What is so for all of them stands at the top.
        for code in [
            "AMRELAY_E_THREAD",
            "AMRELAY_E_POISONED",
            "the loop's thread",
        ] {
            assert!(
                !function.comment.contains(code),
                "{code} at {}",
                function.text
            );
        }
        assert!(
            !function.comment.starts_with("/**\n* Ownership:"),
            "what does {} do?",
            function.text
        );
    }
}
