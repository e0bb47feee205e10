//! The index on archives of other programs: bsdtar, busybox, cpio and Python's tarfile over random
//! trees, whole and damaged, against GNU tar on the same bytes; those of GNU tar itself as well.
//!
//! A missing program fails the tests. `AMRELAY_INDEX_SEED` changes the trees, `AMRELAY_INDEX_TREES` and
//! `AMRELAY_INDEX_CASES` how many trees there are and how many damaged copies of each archive.

use std::path::Path;

use crate::support::index::damage::damaged;
use crate::support::index::tree::plant_at_random;
use crate::support::index::*;
use crate::support::program::is_missing;

/// A shell's script that makes an archive of the working directory on its standard output.
struct Maker {
    script: &'static str,
    /// Whether it may leave out names its format cannot hold, and then ends with another status.
    refuses: bool,
}

const fn complete(script: &'static str) -> Maker {
    Maker {
        script,
        refuses: false,
    }
}

const fn refusing(script: &'static str) -> Maker {
    Maker {
        script,
        refuses: true,
    }
}

/// One archive on standard output in the format that the argument names. Names that the format
/// cannot hold are left out.
const PYTHON: &str = r#"
import os, sys, tarfile
formats = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT,
           "global": tarfile.PAX_FORMAT}
kind = sys.argv[1]
pax = {"comment": "for all", "GNU.volume.label": "label"} if kind == "global" else None
archive = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=formats[kind], encoding="utf-8",
                       errors="surrogateescape", pax_headers=pax)
for folder, folders, files in os.walk("."):
    for name in folders + files:
        path = os.path.join(folder, name)
        try:
            archive.add(path, recursive=False)
        except ValueError:
            pass
archive.close()
"#;

const FOREIGN: [Maker; 13] = [
    refusing("bsdtar -cf - --format gnutar ."),
    refusing("bsdtar -cf - --format pax ."),
    refusing("bsdtar -cf - --format ustar ."),
    refusing("bsdtar -cf - --format v7tar ."),
    refusing("bsdtar -b 1 -cf - --format pax --options hdrcharset=BINARY ."),
    complete("busybox tar -cf - ."),
    refusing("find . -print0 | cpio --quiet -0 -o -H ustar"),
    refusing("find . -print0 | cpio --quiet -0 -o -H tar"),
    complete("python3 -c \"$PYTHON\" ustar"),
    complete("python3 -c \"$PYTHON\" gnu"),
    complete("python3 -c \"$PYTHON\" pax"),
    complete("python3 -c \"$PYTHON\" global"),
    refusing("cd .. && bsdtar -cf - --format ustar tree/* tree/.[!.]*"),
];

const GNU: [Maker; 12] = [
    complete("tar -cf - --format=gnu ."),
    complete("tar -cf - --format=oldgnu --sparse ."),
    complete("tar -cf - --format=posix ."),
    complete("tar -cf - --format=posix --sparse --sparse-version=0.0 ."),
    complete("tar -cf - --format=posix --sparse --sparse-version=0.1 ."),
    complete("tar -cf - --format=posix --sparse --sparse-version=1.0 ."),
    complete("tar -cf - --format=gnu --incremental ."),
    complete("tar -cf - --format=posix --listed-incremental=../snapshot --label=.l ."),
    complete("tar -b1 -cf - --format=posix --pax-option=path:=./all,comment=c ."),
    complete("tar -cf - --absolute-names --transform=s,^,/, ."),
    refusing("tar -cf - --format=ustar ."),
    refusing("tar -cf - --format=v7 ."),
];

/// The status of a shell that has not found a program.
const NOT_FOUND: Option<i32> = Some(127);

impl Maker {
    fn archive(&self, tree: &Path) -> Vec<u8> {
        let script = self.script;
        let output = command("sh")
            .current_dir(tree)
            .args(["-c", script])
            .env("PYTHON", PYTHON)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() || self.refuses && output.status.code() != NOT_FOUND,
            "{script}: {stderr}"
        );
        assert!(output.stdout.len() >= 1024, "{script}: {stderr}");
        output.stdout
    }
}

/// A tree of the generator's, with two files that every listing must name.
fn plant(dice: &mut Dice, tree: &Path) {
    std::fs::create_dir(tree).unwrap();
    std::fs::write(tree.join("plain"), b"body").unwrap();
    std::fs::write(tree.join(".hidden"), b"").unwrap();
    plant_at_random(dice, tree, 20);
}

/// Whether an archive of [`plant`]'s tree is complete and names a file of it, as its maker calls it.
fn lists_the_tree(archive: &[u8]) -> bool {
    let listing = list(archive);
    let is_known = |line: &[u8]| line == b"plain\n" || line == b"./all\n" || line == b"/all\n/";
    listing.complete && listing.lines.windows(6).any(is_known)
}

/// `cases` damaged copies of each archive, all of one behind those of the one before.
fn damaged_copies(dice: &mut Dice, made: &[Vec<u8>], cases: usize) -> Vec<Vec<u8>> {
    let mut copies = Vec::new();
    for archive in made {
        for _ in 0..cases {
            let other = &made[dice.roll(made.len())];
            copies.push(match dice.roll(20) {
                0 => [archive, &other[..]].concat(),
                _ => damaged(dice, archive, other),
            });
        }
    }
    copies
}

/// The same listing however an archive is cut, shown or skipped.
fn assert_any_pieces(dice: &mut Dice, archive: &[u8], what: &str) {
    let whole = list_in_pieces(archive, &[archive.len()], false);
    let lengths = [
        1 + dice.roll(600),
        1 + dice.roll(9),
        512,
        1 + dice.roll(20_000),
    ];
    for (lengths, skip) in [
        (&lengths[..], false),
        (&lengths[..], true),
        (&[1][..], true),
    ] {
        assert!(
            list_in_pieces(archive, lengths, skip) == whole,
            "{what}: pieces of {lengths:?}"
        );
    }
}

/// Archives by all of `makers`, and damaged copies, each compared with tar and in any pieces.
fn compare(makers: &[Maker], salt: u64) {
    let seed = setting("AMRELAY_INDEX_SEED", 1);
    let cases = usize::try_from(setting("AMRELAY_INDEX_CASES", 18)).unwrap();
    for number in 0..setting("AMRELAY_INDEX_TREES", 8) {
        let start = seed.wrapping_mul(1000).wrapping_add(number);
        let mut dice = Dice(start.wrapping_add(salt));
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        plant(&mut dice, &tree);
        let made: Vec<_> = makers.iter().map(|maker| maker.archive(&tree)).collect();
        assert!(
            made.iter().all(|archive| lists_the_tree(archive)),
            "seed {seed}, tree {number}: an archive lists nothing"
        );
        let copies = damaged_copies(&mut dice, &made, cases);
        let archives = [&made[..], &copies].concat();
        let what = |index: usize| {
            let maker = index
                .checked_sub(made.len())
                .map_or(index, |copy| copy / cases);
            format!(
                "AMRELAY_INDEX_SEED={seed}, tree {number}, archive {index} by {}",
                makers[maker].script
            )
        };
        assert_same(&archives, &what);
        for (index, archive) in archives.iter().enumerate() {
            assert_any_pieces(&mut dice, archive, &what(index));
        }
    }
}

#[test]
fn other_programs() {
    let missing = ["bsdtar", "busybox", "cpio", "python3"].map(|name| (name, is_missing(name)));
    let here = FOREIGN.into_iter().filter(|maker| {
        !missing
            .iter()
            .any(|(name, missing)| *missing && maker.script.contains(name))
    });
    compare(&here.collect::<Vec<_>>(), 0);
}

#[test]
fn gnu_tar() {
    compare(&GNU, 500);
}
