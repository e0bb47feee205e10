//! CRC-32C crates side by side on buffers as the tee reads them, data in the cache as it is there.
//!
//! `cargo bench --bench crc` prints the median speed of each.
#![allow(clippy::print_stdout, reason = "a measurement prints its result")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "CRC-32 fits 32 bits, speeds need no exactness"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 41;
const BYTES_PER_ROUND: usize = 64 << 20;

fn main() {
    let table = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);
    for size in [64 << 10, 256 << 10] {
        let data: Vec<u8> = (0..size)
            .map(|n: usize| (n.wrapping_mul(2_654_435_761) >> 7) as u8)
            .collect();
        let reference = table.checksum(&data);
        report("crc-fast", size, &data, reference, |data| {
            let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
            digest.update(data);
            digest.finalize() as u32
        });
        report("crc32c", size, &data, reference, |data| {
            crc32c::crc32c_append(0, data)
        });
        report("crc (16 tables)", size, &data, reference, |data| {
            table.checksum(data)
        });
    }
}

fn report(name: &str, size: usize, data: &[u8], reference: u32, checksum: impl Fn(&[u8]) -> u32) {
    assert_eq!(
        checksum(data),
        reference,
        "{name} computes another checksum"
    );
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..BYTES_PER_ROUND / size {
                black_box(checksum(black_box(data)));
            }
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let speed = BYTES_PER_ROUND as f64 / times[ROUNDS / 2].as_secs_f64() / 1e9;
    println!("{name:16} {:3} KiB buffers {speed:6.2} GB/s", size >> 10);
}
