//! Shared by the index tests: real GNU tar as the oracle, hand-made headers, our own listing.

pub(crate) mod damage;
pub(crate) mod tree;
pub(crate) mod version;

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

/// What the pipeline of Amanda's client prints for each archive, how tar ends, and what it says.
///
/// One shell runs tar on every archive and then one sed all the listings (`-s` keeps them apart),
/// because thousands of processes take their time.
pub(crate) fn oracle(archives: &[Vec<u8>]) -> Vec<(Listing, String)> {
    let directory = tempfile::tempdir().unwrap();
    for (index, archive) in archives.iter().enumerate() {
        fs::write(directory.path().join(format!("{index}.tar")), archive).unwrap();
    }
    let script = "i=0; while [ $i -lt $1 ]; do \
        tar -tf - <$i.tar >$i.list 2>$i.errors; echo $? >$i.status; i=$((i+1)); done; \
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
        .map(|index| {
            let listing = Listing {
                lines: read(index, "list"),
                complete: read(index, "status") == b"0\n",
            };
            (
                listing,
                String::from_utf8_lossy(&read(index, "errors")).into_owned(),
            )
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
    assert_eq!(
        parser.entries(),
        lines.split_inclusive(|&byte| byte == b'\n').count() as u64
    );
    let outcome = parser.finish();
    let complete = matches!(outcome, Outcome::Complete { .. });
    (Listing { lines, complete }, outcome)
}

/// Compares our listings with the oracle's, status included.
///
/// What tar says of an owner's number depends on the names this machine knows; the index leaves it out. A tar older than
/// 1.35 may judge otherwise, where that [explains](version::explains) it.
pub(crate) fn assert_same(archives: &[Vec<u8>], what: &dyn Fn(usize) -> String) {
    for (index, (expected, complaints)) in oracle(archives).into_iter().enumerate() {
        let archive = &archives[index];
        let (ours, outcome) = list_in_pieces(archive, &[archive.len()], false);
        let owner = complaints.contains("uid_t") || complaints.contains("gid_t");
        let same = ours.lines == expected.lines && (owner || ours.complete == expected.complete);
        let explained = || {
            version::tar_is_older()
                && version::explains(archive, outcome, &ours.lines, &expected.lines)
        };
        if !same && !explained() {
            let kept = std::env::temp_dir().join("amrelay-index-mismatch.tar");
            fs::write(&kept, archive).unwrap();
            panic!(
                "{}: {}\nours: {ours:?}\ntar: {expected:?}{complaints}",
                what(index),
                kept.display()
            );
        }
    }
}

/// Each archive with the probes behind it, compared with GNU tar.
pub(crate) fn assert_probed(archives: Vec<Vec<u8>>) {
    let probed: Vec<_> = archives
        .into_iter()
        .map(|archive| [archive, probes(8), vec![0; 1024]].concat())
        .collect();
    assert_same(&probed, &|index| format!("archive {index}"));
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

    /// Writes the size in base-256, as GNU tar does from 8 GiB on.
    pub(crate) fn put_large_size(&mut self, size: u64) -> &mut Self {
        self.put(124, &[&[0x80, 0, 0, 0][..], &size.to_be_bytes()].concat())
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

/// Seeds and sizes of the random tests: `AMRELAY_INDEX_SEED` and `AMRELAY_INDEX_CASES` change them.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// A small generator: the same start gives the same archives, so that a failure comes again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // Knuth's MMIX constants; the upper bits are the better ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// An archive of valid and odd pieces put together at random.
pub(crate) fn random_archive(dice: &mut Dice) -> Vec<u8> {
    let mut archive = Vec::new();
    for index in 0..=dice.roll(6) {
        let name = format!("m{index}");
        archive.extend(match dice.roll(12) {
            0..=3 => random_member(dice, name.as_bytes()),
            4 => {
                let length = dice.pick(&[0, 1, 3, 100, 511, 512, 513, 1500]);
                let body = vec![dice.pick(b"Ly."); length];
                let mut long = member(dice.pick(&MAGICS), dice.pick(b"LLK"), b"", &body);
                if dice.roll(2) == 0 {
                    // Without a NUL behind it the name goes on to the end of its last block.
                    let end = 512 + length;
                    long[end..].fill(b'z');
                }
                long
            }
            5..=8 => {
                let flag = dice.pick(b"xxxXgg");
                let mut payload = Vec::new();
                for _ in 0..dice.roll(7) {
                    payload.extend(random_record(dice));
                }
                member(dice.pick(&MAGICS), flag, b"pax", &payload)
            }
            9 => sparse_member(dice, name.as_bytes()),
            10 => decimal_map_member(dice, name.as_bytes()),
            _ if dice.roll(4) == 0 => vec![dice.pick(&[0, b'j']); 512],
            _ => random_member(dice, name.as_bytes()),
        });
    }
    archive.extend(probes(8));
    archive.extend([0; 1024]);
    archive
}

pub(crate) const MAGICS: [Magic; 4] = [Magic::V7, Magic::Gnu, Magic::Ustar, Magic::Star];

fn random_member(dice: &mut Dice, name: &[u8]) -> Vec<u8> {
    let body = vec![b'B'; dice.pick(&[0, 0, 1, 512, 700, 1024])];
    let flag = dice.pick(b"000\x00\x001234567DSVMNAz9 \x80\xff");
    let mut header = Header::new(dice.pick(&MAGICS), flag, name, body.len() as u64);
    match dice.roll(8) {
        0 => drop(header.put(345, b"prefix")),
        1 => drop(header.put(124, random_number(dice))),
        2 => {
            let at = dice.pick(&[100, 108, 116, 136, 265, 297, 329, 337, 345]);
            header.put(at, &random_number(dice)[..8]);
        }
        _ => {}
    }
    with_body(&header, &body)
}

fn random_number(dice: &mut Dice) -> &'static [u8; 12] {
    dice.pick(&[
        b"00000000000\0",
        b"000000001000",
        b"        1000",
        b"\x00      1000\0",
        b"1000\0       ",
        b"1000x       ",
        b"            ",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"+BA         ",
        b"-A          ",
        b"-B\0         ",
        b"\x80\0\0\0\0\0\0\0\0\0\x02\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
        b"\x80\0\0\x01\0\0\0\0\0\0\0\0",
        b"8           ",
        b"777\n12345678",
        b"+//////////f",
        b"\x80\0\0\0\0\0\0\0\0\0\0\0",
        b"\x000000001000\0",
        b"\x00\x000000001000",
    ])
}

const LONG_TEXT: &[u8] = &[b'p'; 900];

const KEYS: &[&[u8]] = &[
    b"path",
    b"path",
    b"GNU.sparse.name",
    b"size",
    b"size",
    b"GNU.sparse.size",
    b"GNU.sparse.realsize",
    b"GNU.sparse.major",
    b"GNU.sparse.minor",
    b"GNU.sparse.numblocks",
    b"GNU.sparse.numblocks",
    b"GNU.sparse.offset",
    b"GNU.sparse.numbytes",
    b"GNU.sparse.numbytes",
    b"GNU.sparse.map",
    b"GNU.sparse.map",
    b"GNU.volume.label",
    b"linkpath",
    b"mtime",
    b"ctime",
    b"GNU.volume.size",
    b"comment",
    b"uid",
    b"SCHILY.xattr.user.a-key-longer-than-any",
    b"GNU.dumpdir",
];

fn random_record(dice: &mut Dice) -> Vec<u8> {
    let key = dice.pick(KEYS);
    let mut bytes = record(key, random_value(dice, key));
    spoil(dice, &mut bytes);
    bytes
}

fn random_value(dice: &mut Dice, key: &[u8]) -> &'static [u8] {
    match key {
        b"path" | b"GNU.sparse.name" | b"GNU.volume.label" => dice.pick(&[
            &b"./p1"[..],
            b"",
            b".p2\n",
            b"p3\0cut",
            b"=p4",
            b"\xef\xbb\xbf\xe4",
            LONG_TEXT,
        ]),
        b"GNU.sparse.map" => dice.pick(&[
            &b"0,1"[..],
            b"0,1,2,3",
            b"0,1,2",
            b"",
            b"0",
            b"0,1,",
            b"0,1x",
            b"x",
            b"0,1,9223372036854775808,1",
            b"0,99999999999999999999",
            b"0,1\x002,3",
        ]),
        b"mtime" | b"ctime" => dice.pick(&[
            &b"1.5"[..],
            b"1700000000.123456789123",
            b"-1.5",
            b"1x",
            b"1.",
            b"-",
            b"",
            b".5",
            b" 1",
            b"9223372036854775808",
            b"-9223372036854775808",
            b"-9223372036854775809",
        ]),
        b"uid" | b"GNU.sparse.minor" => b"0",
        _ => dice.pick(&[
            &b"0"[..],
            b"1",
            b"1",
            b"2",
            b"512",
            b"700",
            b"0001024",
            b"",
            b"x",
            b"1x",
            b"-1",
            b" 1",
            b"1\0x",
            b"18446744073709551616",
        ]),
    }
}

/// Makes one record in four malformed.
fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>) {
    match dice.roll(24) {
        0 => bytes.insert(0, b' '),
        1 => bytes[0] = dice.pick(b"09 x\0="),
        2 => *bytes.last_mut().unwrap() = b'x',
        3 => drop(bytes.pop()),
        4 => {
            let blank = bytes.iter().position(|&byte| byte == b' ').unwrap();
            bytes[blank] = dice.pick(b"\tx\0=9");
        }
        5 => {
            let equals = bytes.iter().position(|&byte| byte == b'=').unwrap();
            bytes[equals] = dice.pick(b"\0\nx ");
        }
        6 => {
            // Two blanks in front count in the length.
            let length = usize::to_string(&(bytes.len() + 2));
            let blank = bytes.iter().position(|&byte| byte == b' ').unwrap();
            bytes.splice(..blank, [b"\t ", length.as_bytes()].concat());
        }
        _ => {}
    }
}

fn sparse_entry(dice: &mut Dice) -> Vec<u8> {
    let field = |dice: &mut Dice| match dice.roll(12) {
        0 => random_number(dice).to_vec(),
        1 => vec![0; 12],
        _ => b"00000000002\0".to_vec(),
    };
    [field(dice), field(dice)].concat()
}

/// An old sparse member, of the gnu or star class or of another, with extension blocks.
fn sparse_member(dice: &mut Dice, name: &[u8]) -> Vec<u8> {
    let magic = dice.pick(&[Magic::Gnu, Magic::Gnu, Magic::Star, Magic::Ustar, Magic::V7]);
    let extensions = dice.roll(3);
    let packed = dice.pick(&[0, 2, 512, 1024, 2048]);
    let mut header = Header::new(magic, b'S', name, packed);
    let (entries, flag, real_size) = if magic == Magic::Star {
        (356, 355, 452)
    } else {
        (386, 482, 483)
    };
    for entry in 0..4 {
        header.put(entries + 24 * entry, &sparse_entry(dice));
    }
    header.put(flag, &[u8::from(extensions > 0)]);
    header.put(
        real_size,
        if dice.roll(3) > 0 {
            b"00000010000\0"
        } else {
            random_number(dice)
        },
    );
    if magic == Magic::Star {
        header.put(366, &[dice.pick(b"000\0")]);
        header.put(345, &[dice.pick(b"\0\0\0p")]);
    }
    let mut bytes = header.seal();
    for extension in 0..extensions {
        let mut block = vec![0; 512];
        for entry in 0..21 {
            block[24 * entry..][..24].copy_from_slice(&sparse_entry(dice));
        }
        block[504] = u8::from(extension + 1 < extensions);
        bytes.extend(block);
    }
    bytes.extend(vec![
        b'B';
        usize::try_from(packed).unwrap().next_multiple_of(512)
    ]);
    bytes
}

/// A posix member with sparse format 1.0.
fn decimal_map_member(dice: &mut Dice, name: &[u8]) -> Vec<u8> {
    let pairs = dice.pick(&[0_usize, 1, 3, 60, 64, 65, 130]);
    let mut map = format!("{pairs}\n").into_bytes();
    for pair in 0..pairs {
        let (offset, length) = (
            pair * 4096,
            dice.pick(&["1", "0000000000000000512", "512", "512", "512"]),
        );
        map.extend(format!("{offset}\n{length}\n").bytes());
    }
    if dice.roll(3) == 0 && !map.is_empty() {
        let at = dice.roll(map.len());
        map[at] = dice.pick(b"x0\0\n -");
    }
    map.resize(map.len().next_multiple_of(512), 0);
    map.extend(vec![b'B'; dice.pick(&[0, 512, 1024])]);
    let mut payload = record(b"GNU.sparse.major", dice.pick(&[b"1", b"7"]));
    payload.extend(record(b"GNU.sparse.name", b"real name"));
    payload.extend(record(
        b"GNU.sparse.realsize",
        dice.pick(&[&b"0"[..], b"99999", b"512"]),
    ));
    let mut header = Header::new(
        dice.pick(&[Magic::Ustar, Magic::Ustar, Magic::Gnu]),
        dice.pick(b"00015S"),
        name,
        map.len() as u64,
    );
    if dice.roll(4) == 0 {
        header.put(
            124,
            dice.pick(&[b"00000000000\0", b"00000001000\0", b"00000004000\0"]),
        );
    }
    [
        member(Magic::Ustar, b'x', b"pax", &payload),
        with_body(&header, &map),
    ]
    .concat()
}
