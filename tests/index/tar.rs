//! The index against real GNU tar: the same lines for the same bytes, and damage where tar says so.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use crate::support::index::damage::flip_bytes;
use crate::support::index::*;

/// A tree with everything that makes names and members awkward.
fn plant(root: &Path) {
    let file = |name: &[u8], body: &[u8]| {
        fs::write(root.join(std::ffi::OsStr::from_bytes(name)), body).unwrap();
    };
    for byte in (1..=255_u8).filter(|&byte| byte != b'/') {
        file(&[b'b', byte], b"");
        file(&[byte, b'7', byte], b"body");
    }
    for name in [
        &b"plain"[..],
        b".hidden",
        b"..two",
        b" space ",
        b"new\nline",
        b"back\\slash",
        b"\xc3\xa4",
    ] {
        file(name, &[b'x'; 1500]);
    }
    for length in [99, 100, 101, 155, 156, 200, 254, 255] {
        file(&vec![b'n'; length], b"long");
    }
    fs::create_dir(root.join("empty")).unwrap();
    let mut deep = root.join("deep");
    for level in 0..14 {
        let mut part = format!("{level}-");
        write!(part, "{:d<1$}", "", 18 * level).unwrap();
        deep.push(part);
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("leaf"), b"").unwrap();
    fs::hard_link(root.join("plain"), root.join("hard")).unwrap();
    fs::hard_link(root.join("n".repeat(255)), root.join("hard to a long name")).unwrap();
    symlink("plain", root.join("soft")).unwrap();
    symlink("t".repeat(300), root.join("soft and long")).unwrap();
    let fifo = command("mkfifo").arg(root.join("fifo")).status().unwrap();
    assert!(fifo.success());
    for pieces in [1, 4, 5, 24, 25, 26, 60] {
        let sparse = fs::File::create(root.join(format!("sparse{pieces}"))).unwrap();
        for piece in 0..pieces {
            sparse.write_all_at(b"data", piece * 65536).unwrap();
        }
        sparse.set_len(pieces * 65536 + (9 << 30)).unwrap();
    }
}

const FORMATS: [&[&str]; 10] = [
    &["--format=gnu"],
    &["--format=oldgnu"],
    &["--format=posix"],
    &[
        "--format=posix",
        "--xattrs",
        "--acls",
        "--pax-option=delete=atime",
    ],
    &["--format=posix", "--pax-option=comment=global,path:=./p"],
    &["--format=gnu", "--sparse"],
    &["--format=oldgnu", "--sparse"],
    &["--format=posix", "--sparse", "--sparse-version=0.0"],
    &["--format=posix", "--sparse", "--sparse-version=0.1"],
    &["--format=posix", "--sparse", "--sparse-version=1.0"],
];

#[test]
fn trees_in_every_format() {
    let tree = tempfile::tempdir().unwrap();
    plant(tree.path());
    let mut archives = Vec::new();
    let mut made_by = Vec::new();
    for format in FORMATS {
        let holes: &[&str] = if format.contains(&"--sparse") {
            &[]
        } else {
            &["--exclude=./sparse*"]
        };
        for more in [&[][..], &["--label=.a\nlabel"], &["--blocking-factor=1"]] {
            let arguments = [&["-cf", "-"][..], format, more, holes, &["."]].concat();
            archives.push(tar(tree.path(), &arguments));
            made_by.push(arguments);
        }
    }
    for format in ["v7", "ustar"] {
        // Longer names than these formats hold are refused.
        let arguments = [
            "-cf",
            "-",
            "--format",
            format,
            "--exclude=*nnnn*",
            "--exclude=./deep",
            "--exclude=*long*",
            "--exclude=./sparse*",
            "--exclude=./fifo",
            ".",
        ];
        archives.push(tar(tree.path(), &arguments));
        made_by.push(arguments.to_vec());
    }
    assert!(
        list(&archives[0])
            .lines
            .windows(6)
            .any(|line| line == b"/fifo\n")
    );
    assert_same(&archives, &|index| format!("{:?}", made_by[index]));
}

#[test]
fn incremental_levels() {
    for format in ["gnu", "oldgnu", "posix"] {
        let work = tempfile::tempdir().unwrap();
        let tree = work.path().join("tree");
        fs::create_dir(&tree).unwrap();
        plant(&tree);
        let snapshot = work.path().join("snapshot");
        let arguments = [
            "-cf",
            "-",
            "--format",
            format,
            "--sparse",
            "--one-file-system",
            "--ignore-failed-read",
            "--totals",
            "--listed-incremental",
            snapshot.to_str().unwrap(),
            ".",
        ];
        let full = tar(&tree, &arguments);
        fs::remove_file(tree.join("plain")).unwrap();
        fs::rename(tree.join("deep"), tree.join("renamed")).unwrap();
        fs::create_dir(tree.join("new")).unwrap();
        fs::write(tree.join("new/file"), b"new").unwrap();
        let partial = tar(&tree, &arguments);
        let old_way = tar(
            &tree,
            &[
                "-cf",
                "-",
                "--format",
                format,
                "--sparse",
                "--incremental",
                ".",
            ],
        );
        assert_same(&[full, partial, old_way], &|index| {
            format!("{format}, archive {index}")
        });
    }
}

#[test]
fn volumes() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("before"), b"x").unwrap();
    fs::write(tree.path().join("large"), vec![b'l'; 50_000]).unwrap();
    for format in ["gnu", "oldgnu", "posix"] {
        let work = tempfile::tempdir().unwrap();
        let volumes: Vec<_> = (0..5)
            .map(|index| work.path().join(index.to_string()))
            .collect();
        let mut arguments = vec!["-cM", "-L", "20", "--format", format];
        for volume in &volumes {
            arguments.extend(["-f", volume.to_str().unwrap()]);
        }
        arguments.push(".");
        tar(tree.path(), &arguments);
        let archives: Vec<_> = volumes
            .iter()
            .filter_map(|volume| fs::read(volume).ok())
            .collect();
        assert!(archives.len() >= 3);
        assert_same(&archives, &|index| {
            format!("{format}, volume {}", index + 1)
        });
    }
}

/// A few small archives with every kind of member, to be damaged.
fn small_archives() -> Vec<Vec<u8>> {
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    fs::write(root.join("a file"), [b'a'; 700]).unwrap();
    fs::write(root.join("n".repeat(130)), b"body").unwrap();
    fs::create_dir(root.join("dir")).unwrap();
    symlink("t".repeat(130), root.join("dir/soft")).unwrap();
    fs::hard_link(root.join("a file"), root.join("hard")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    for piece in 0..7 {
        sparse.write_all_at(b"data", piece * 8192).unwrap();
    }
    let snapshot = tempfile::tempdir().unwrap();
    let snar = |name: &str| {
        format!(
            "--listed-incremental={}",
            snapshot.path().join(name).display()
        )
    };
    let (gnu, posix) = (snar("gnu"), snar("posix"));
    [
        &["--format=gnu", "--sparse", &gnu][..],
        &["--format=posix", "--sparse", "--label=L", &posix],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=ustar", "--exclude=nnn*", "--exclude=soft"],
    ]
    .iter()
    .map(|format| {
        tar(
            root,
            &[
                &["-b1", "-cf", "-", "--mtime=@1000000000.5"][..],
                format,
                &["."],
            ]
            .concat(),
        )
    })
    .collect()
}

#[test]
fn truncated_anywhere() {
    for archive in small_archives() {
        let cuts: Vec<_> = (0..archive.len())
            .filter(|at| matches!(at % 512, 0 | 1 | 511) || at % 127 == 0 && *at < 2048)
            .collect();
        let cut: Vec<_> = cuts.iter().map(|&at| archive[..at].to_vec()).collect();
        assert_same(&cut, &|index| format!("cut at {}", cuts[index]));
    }
}

#[test]
fn bytes_flipped_anywhere() {
    let seed = setting("AMRELAY_INDEX_SEED", 1);
    let cases = setting("AMRELAY_INDEX_CASES", 300);
    let mut dice = Dice(seed);
    for original in small_archives() {
        let damaged: Vec<_> = (0..cases)
            .map(|_| {
                let mut archive = original.clone();
                flip_bytes(&mut dice, &mut archive);
                archive
            })
            .collect();
        assert_same(&damaged, &|index| format!("seed {seed}, case {index}"));
    }
}
