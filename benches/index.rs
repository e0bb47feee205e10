//! Headers per second of the tar reader alone, on one core: medians of several runs.
//!
//! Run with `cargo bench --bench index`.
#![allow(clippy::print_stdout, reason = "a measurement is for a person to read")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use amrelay::index::TarIndex;

const HEADERS: usize = 200_000;
const RUNS: usize = 9;

/// A sealed header of the gnu class.
fn header(flag: u8, name: &[u8], size: usize) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..124].copy_from_slice(b"0000644\x000001750\x000001750\0");
    block[124..148].copy_from_slice(format!("{size:011o}\x0014712345670\0").as_bytes());
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar  \0");
    block[265..269].copy_from_slice(b"user");
    block[297..302].copy_from_slice(b"group");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn plain(index: usize) -> Vec<u8> {
    header(
        b'0',
        format!("./directory/of/some/depth/file{index:07}").as_bytes(),
        0,
    )
    .to_vec()
}

fn with_body(index: usize) -> Vec<u8> {
    let mut bytes = header(
        b'0',
        format!("./directory/of/some/depth/file{index:07}").as_bytes(),
        4096,
    )
    .to_vec();
    bytes.resize(512 + 4096, b'B');
    bytes
}

fn long_name(index: usize) -> Vec<u8> {
    let name = format!("./{}/{index:07}", "d".repeat(180));
    let mut bytes = header(b'L', b"././@LongLink", name.len() + 1).to_vec();
    bytes.extend(name.bytes());
    bytes.resize(1024, 0);
    bytes.extend(header(b'0', &name.as_bytes()[..100], 0));
    bytes
}

fn extended(index: usize) -> Vec<u8> {
    let records =
        format!("21 mtime=1234567890.1\n30 atime=1234567890.123456789\n21 path=./file{index:06}\n");
    let mut bytes = header(b'x', b"./PaxHeaders/file", records.len()).to_vec();
    bytes.extend(records.bytes());
    bytes.resize(1024, 0);
    bytes.extend(header(b'0', b"./file", 0));
    bytes
}

/// Lists the archive in pieces as large as a pipe.
fn list(archive: &[u8]) -> Duration {
    let mut parser = TarIndex::new();
    let mut printed = 0;
    let start = Instant::now();
    for piece in archive.chunks(64 * 1024) {
        parser.push(piece, &mut |lines| printed += lines.len());
    }
    let taken = start.elapsed();
    black_box(printed);
    assert_eq!(parser.entries(), HEADERS as u64);
    taken
}

/// Makes the member of a number.
type Maker = fn(usize) -> Vec<u8>;

fn main() {
    let kinds: [(&str, Maker); 4] = [
        ("empty files", plain),
        ("files of 4 KiB", with_body),
        ("long names (L)", long_name),
        ("extended headers (x)", extended),
    ];
    for (kind, make) in kinds {
        let archive: Vec<u8> = (0..HEADERS).flat_map(make).collect();
        let mut times: Vec<_> = (0..RUNS).map(|_| list(&archive)).collect();
        times.sort_unstable();
        let seconds = times[RUNS / 2].as_secs_f64();
        let bytes = f64::from(u32::try_from(archive.len()).unwrap());
        let members = f64::from(u32::try_from(HEADERS).unwrap());
        println!(
            "{kind:22} {:6.2} million members/s {:7.2} GB/s",
            members / seconds / 1e6,
            bytes / seconds / 1e9
        );
    }
}
