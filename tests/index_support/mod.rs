//! Shared by the index tests: real GNU tar as the oracle, hand-made headers, our own listing.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use amrelay::index::{Outcome, TarIndex};

/// What a pipeline or a parser made of an archive.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) lines: Vec<u8>,
    /// Whether tar's status was 0, or our outcome `Complete`.
    pub(crate) complete: bool,
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "complete: {}", self.complete)?;
        out.write_str(&String::from_utf8_lossy(&self.lines))
    }
}

/// A command with the environment Amanda gives its tar.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").env_remove("TAR_OPTIONS");
    command
}

/// Runs tar in `directory`; it has to succeed.
pub(crate) fn tar(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = command("tar")
        .current_dir(directory)
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tar {arguments:?}: {stderr}");
    output.stdout
}

/// What the pipeline of Amanda's client prints for each archive, and how tar ends.
///
/// One shell runs tar on every archive, through a pipe as Amanda does, and then one sed all the
/// listings (`-s` keeps them apart), because thousands of processes take their time.
pub(crate) fn oracle(archives: &[Vec<u8>]) -> Vec<Listing> {
    let directory = tempfile::tempdir().unwrap();
    for (index, archive) in archives.iter().enumerate() {
        fs::write(directory.path().join(format!("{index}.tar")), archive).unwrap();
    }
    let script = "i=0; while [ $i -lt $1 ]; do \
        tar -tf - <$i.tar >$i.list 2>/dev/null; echo $? >$i.status; i=$((i+1)); done; \
        find . -name '*.list' -print0 | xargs -0 sed -i -s -e 's/^\\.//'";
    let status = command("sh")
        .current_dir(directory.path())
        .args(["-c", script, "sh", &archives.len().to_string()])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let read = |index: usize, what: &str| {
        fs::read(directory.path().join(format!("{index}.{what}"))).unwrap()
    };
    (0..archives.len())
        .map(|index| Listing {
            lines: read(index, "list"),
            complete: read(index, "status") == b"0\n",
        })
        .collect()
}

/// Our listing of a whole archive in one piece.
pub(crate) fn list(archive: &[u8]) -> Listing {
    list_in_pieces(archive, &[archive.len()], false).0
}

/// Our listing, pushed in pieces of the given lengths (repeated as often as needed), with the
/// skippable bytes skipped or shown.
pub(crate) fn list_in_pieces(archive: &[u8], lengths: &[usize], skip: bool) -> (Listing, Outcome) {
    let mut parser = TarIndex::new();
    let mut lines = Vec::new();
    let mut rest = archive;
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        if skip {
            let unseen = usize::try_from(parser.skippable())
                .unwrap_or(usize::MAX)
                .min(rest.len());
            parser.skip(unseen as u64);
            rest = &rest[unseen..];
        }
        let length = (*lengths.next().unwrap())
            .clamp(1, rest.len().max(1))
            .min(rest.len());
        let (piece, tail) = rest.split_at(length);
        parser.push(piece, &mut |line| lines.extend_from_slice(line));
        rest = tail;
    }
    assert_eq!(parser.offset(), archive.len() as u64);
    let newlines = lines.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(parser.entries(), newlines as u64);
    let outcome = parser.finish();
    let complete = matches!(outcome, Outcome::Complete { .. });
    (Listing { lines, complete }, outcome)
}

/// Compares our listings with the oracle's, status included.
pub(crate) fn assert_same(archives: &[Vec<u8>], what: &dyn Fn(usize) -> String) {
    for (index, expected) in oracle(archives).into_iter().enumerate() {
        let ours = list(&archives[index]);
        if ours != expected {
            let kept = std::env::temp_dir().join("amrelay-index-mismatch.tar");
            fs::write(&kept, &archives[index]).unwrap();
            panic!(
                "{}: {}\nours: {ours:?}\ntar: {expected:?}",
                what(index),
                kept.display()
            );
        }
    }
}

/// The class of a hand-made header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Magic {
    V7,
    Gnu,
    Ustar,
    Star,
}

/// A hand-made header block.
#[derive(Clone)]
pub(crate) struct Header(pub(crate) [u8; 512]);

impl Header {
    pub(crate) fn new(magic: Magic, flag: u8, name: &[u8], size: u64) -> Self {
        let mut header = Self([0; 512]);
        header.put(0, name);
        header
            .put(100, b"0000644\0")
            .put(108, b"0000000\0")
            .put(116, b"0000000\0");
        header.put(124, format!("{size:011o}\0").as_bytes());
        header.put(136, b"00000000000\0");
        header.put(156, &[flag]);
        match magic {
            Magic::V7 => {}
            Magic::Gnu => drop(header.put(257, b"ustar  \0")),
            Magic::Ustar => drop(header.put(257, b"ustar\x0000")),
            Magic::Star => {
                header
                    .put(257, b"ustar\x0000")
                    .put(476, b"00000000001 00000000001 ");
            }
        }
        header
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The block with its checksum.
    pub(crate) fn seal(&self) -> Vec<u8> {
        let mut block = self.0;
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block.to_vec()
    }
}

/// A sealed header with a body padded to whole blocks.
pub(crate) fn member(magic: Magic, flag: u8, name: &[u8], body: &[u8]) -> Vec<u8> {
    with_body(&Header::new(magic, flag, name, body.len() as u64), body)
}

pub(crate) fn with_body(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut bytes = header.seal();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// One record of an extended header.
pub(crate) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// The probes behind a header under test: the first one listed tells where the next header was
/// looked for.
pub(crate) fn probes(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|index| member(Magic::V7, b'0', format!("d{index}").as_bytes(), b""))
        .collect()
}
