//! An index never grows out of proportion to its archive: what the bounds leave out, and that they leave out nothing else.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::process::Stdio;

use crate::support::index::*;
use crate::support::program::is_missing;
use amrelay::index::{LINE_BYTES, MAX_NAME, Omission, Outcome, TarIndex};

/// An archive's end mark.
fn closed(pieces: &[Vec<u8>]) -> Vec<u8> {
    [&pieces.concat()[..], &[0; 1024]].concat()
}

/// The lines of an archive, which have to keep to the bound wherever it is cut, and its outcome.
fn bounded(archive: &[u8]) -> (Vec<u8>, Outcome) {
    let mut parser = TarIndex::new();
    let mut lines = Vec::new();
    for block in archive.chunks(512) {
        parser.push(block, &mut |piece| lines.extend_from_slice(piece));
        assert!(lines.len() as u64 <= LINE_BYTES * parser.offset());
    }
    (lines, parser.finish())
}

/// Every way to give a member, or the volume, a name of any length.
fn named(name: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let header = |flag, key: &[u8]| member(Magic::Ustar, flag, b"", &record(key, name));
    let posix = || member(Magic::Ustar, b'x', b"", &record(b"comment", b""));
    vec![
        ("L", member(Magic::Gnu, b'L', b"", name)),
        ("path in x", header(b'x', b"path")),
        ("GNU.sparse.name in x", header(b'x', b"GNU.sparse.name")),
        ("path in X", header(b'X', b"path")),
        ("path in g", header(b'g', b"path")),
        ("GNU.sparse.name in g", header(b'g', b"GNU.sparse.name")),
        (
            "label in g",
            [header(b'g', b"GNU.volume.label"), posix()].concat(),
        ),
        ("label in x", header(b'x', b"GNU.volume.label")),
    ]
}

#[test]
fn a_name_too_long_is_passed_over() {
    let before = || member(Magic::Gnu, b'0', b"./before", b"body");
    let header = member(Magic::Ustar, b'0', b"./short", b"body");
    let after = || {
        let own = member(Magic::Ustar, b'x', b"", &record(b"path", b"./after"));
        [own, member(Magic::Ustar, b'0', b"m", b"body")].concat()
    };
    for (way, long) in named(&vec![b'n'; MAX_NAME + 1]) {
        let at = (before().len() + long.len()) as u64;
        let archive = closed(&[before(), long, header.clone(), after()]);
        // A label, and a sparse name for all, do not stand for the one member alone.
        let expected: (&[u8], u64) = match way {
            "label in g" | "label in x" => (b"/before\n/short\n/after\n", 1),
            "GNU.sparse.name in g" => (b"/before\n", 2),
            _ => (b"/before\n/after\n", 1),
        };
        let (lines, outcome) = bounded(&archive);
        assert_eq!(lines, expected.0, "{way}");
        let (lines, why) = (expected.1, Omission::NameTooLong);
        let omitted = Outcome::Omitted {
            lines,
            why,
            offset: at,
            end_mark: true,
        };
        assert_eq!(outcome, omitted, "{way}");
        let tar = tar_reads(&archive);
        let left_out = tar
            .split(|&byte| byte == b'\n')
            .filter(|line| line.len() >= MAX_NAME);
        assert_eq!(left_out.count() as u64, lines, "{way}");
        for cut in [511, 1500] {
            assert_eq!(list_in_pieces(&archive, &[cut], true).1, omitted, "{way}");
        }
    }
}

/// What the system's tar prints for a sound archive.
fn tar_reads(archive: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("archive"), archive).unwrap();
    tar(folder.path(), &["-tf", "archive"])
}

#[test]
fn damage_and_lines_left_out_are_both_told() {
    let long = member(Magic::Gnu, b'L', b"", &vec![b'n'; MAX_NAME + 1]);
    let m = || member(Magic::Gnu, b'0', b"m", b"");
    let (lines, outcome) = bounded(&closed(&[m(), vec![b'j'; 512], long, m(), m()]));
    assert_eq!(lines, b"m\nm\n");
    assert!(matches!(
        outcome,
        Outcome::Damaged {
            offset: 512,
            omitted: 1,
            ..
        }
    ));
    let message = outcome.to_string();
    assert!(
        message.ends_with("(at byte 512); 1 line left out"),
        "{message}"
    );
}

#[test]
fn one_name_for_many_members_does_not_multiply() {
    for name in [
        vec![1; MAX_NAME - 1],
        vec![b'n'; MAX_NAME],
        vec![b'p'; 3000],
    ] {
        for key in [&b"path"[..], b"GNU.sparse.name"] {
            let global = member(Magic::Ustar, b'g', b"", &record(key, &name));
            let header = member(Magic::Ustar, b'0', b"m", b"");
            let archive = closed(&[global, header.repeat(1000)]);
            let (lines, outcome) = bounded(&archive);
            assert!(lines.len() >= name.len());
            let listed = lines.split_inclusive(|&byte| byte == b'\n').count() as u64;
            let Outcome::Omitted {
                lines: left_out,
                why: Omission::NameRepeated,
                end_mark: true,
                ..
            } = outcome
            else {
                panic!("{outcome:?}");
            };
            assert_eq!(listed + left_out, 1000);
        }
    }
}

/// A name for all that is no longer than a header's block, and long names that come with their members, are never left
/// out, though every byte of them be quoted.
#[test]
fn names_of_their_own_are_never_left_out() {
    let mut pieces = vec![member(Magic::Ustar, b'g', b"", &record(b"path", &[1; 511]))];
    pieces.extend(vec![member(Magic::Ustar, b'0', b"m", b""); 50]);
    // A `g` without a name takes the name for all away.
    pieces.push(member(Magic::Ustar, b'g', b"", &record(b"comment", b"")));
    for length in [512, 5000, MAX_NAME] {
        for (way, long) in named(&vec![1; length]) {
            if !way.ends_with('g') {
                pieces.push(long);
                pieces.push(member(Magic::Ustar, b'0', &[1; 100], b""));
            }
        }
    }
    let mut full = Header::new(Magic::Ustar, b'0', &[1; 100], 0);
    pieces.extend(vec![full.put(345, &[1; 155]).seal(); 50]);
    let archive = closed(&pieces);
    let (lines, outcome) = bounded(&archive);
    assert_eq!(outcome, Outcome::Complete { end_mark: true });
    assert_eq!(list(&archive).lines, lines);
    assert_same(&[archive], &|_| "own names".to_owned());
}

/// Archives put together at random, with names for all and labels of any length among them.
#[test]
fn no_archive_has_an_index_larger_than_its_bound() {
    let mut dice = Dice(setting("AMRELAY_INDEX_SEED", 1));
    let mut left_out = 0;
    for _ in 0..300 {
        let mut archive = Vec::new();
        for _ in 0..dice.roll(8) {
            if dice.roll(2) == 0 {
                let length = dice.pick(&[1, 500, 512, 3000, 50_000]);
                let mut ways = named(&vec![dice.pick(b"n\x01"); length]);
                archive.extend(ways.swap_remove(dice.roll(ways.len())).1);
            }
            let magic = dice.pick(&MAGICS);
            archive.extend(member(magic, b'0', b"m", b"").repeat(dice.roll(200)));
            archive.extend(random_archive(&mut dice));
            archive.truncate(archive.len() - 1024);
        }
        let (_, outcome) = bounded(&archive);
        left_out += match outcome {
            Outcome::Complete { .. } => 0,
            Outcome::Omitted { lines, .. } | Outcome::Damaged { omitted: lines, .. } => lines,
        };
    }
    assert!(left_out > 0);
}

/// Folders within folders, each entered by itself: no path of the system's leads to the last one.
const DEEP: &str = r#"
import os, sys
os.chdir(sys.argv[1])
open("0-before", "w").close()
top = os.open(".", os.O_RDONLY)
for level in range(1100):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
open("file", "w").close()
os.fchdir(top)
os.mkdir("z-after")
"#;

/// An archive by `script` of the tree in its working directory.
fn archive_of(tree: &Path, script: &str) -> File {
    let archive = tempfile::tempfile().unwrap();
    let status = command("sh")
        .current_dir(tree)
        .args(["-c", script])
        .stdout(archive.try_clone().unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
    archive
}

/// Our listing of an archive in a file.
fn listing_of(mut archive: &File) -> (Vec<u8>, Outcome) {
    archive.rewind().unwrap();
    let (mut parser, mut lines) = (TarIndex::new(), Vec::new());
    let mut piece = vec![0; 1 << 20];
    loop {
        match archive.read(&mut piece).unwrap() {
            0 => return (lines, parser.finish()),
            count => parser.push(&piece[..count], &mut |line| lines.extend_from_slice(line)),
        }
    }
}

/// Compares tar's lines with ours, one after the other; tells how many of tar's are too long, which we have not.
fn missing_in(lines: &[u8], mut archive: &File) -> u64 {
    archive.rewind().unwrap();
    let mut run = command("sh")
        .args(["-c", r"tar -tf - | sed -e 's/^\.//'"])
        .stdin(archive.try_clone().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut listed = BufReader::new(run.stdout.take().unwrap());
    let (mut rest, mut line, mut missing) = (lines, Vec::new(), 0);
    while listed.read_until(b'\n', &mut line).unwrap() > 0 {
        // The dot that sed has taken away makes up for the newline.
        if line.len() > MAX_NAME {
            missing += 1;
        } else {
            rest = rest.strip_prefix(&line[..]).expect("a line that tar has");
        }
        line.clear();
    }
    assert!(rest.is_empty() && run.wait().unwrap().success());
    missing
}

#[test]
fn folders_nested_too_deep_cost_only_their_own_lines() {
    let folder = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let status = command(program).args(arguments).arg(folder.path()).status();
        assert!(status.unwrap().success(), "{program}");
    };
    run("python3", &["-c", DEEP]);
    for (archiver, script) in [
        ("tar", "tar -cf - --format=gnu --sort=name ."),
        ("bsdtar", "bsdtar -cf - --format=pax ."),
    ] {
        if is_missing(archiver) {
            continue;
        }
        let archive = archive_of(folder.path(), script);
        let (lines, outcome) = listing_of(&archive);
        let Outcome::Omitted {
            lines: left_out,
            why: Omission::NameTooLong,
            end_mark: true,
            ..
        } = outcome
        else {
            panic!("{script}: {outcome:?}");
        };
        // 1044 names of folders, of a dot and 251 bytes each, and a slash, fit.
        assert_eq!(left_out, 1100 - 1044 + 1, "{script}");
        assert_eq!(missing_in(&lines, &archive), left_out, "{script}");
    }
    run("rm", &["-rf"]);
}
