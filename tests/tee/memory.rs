//! The memory of a tee is bounded, whatever an archive makes of its index.

use amrelay::index::MAX_NAME;
use amrelay::inspect::INDEX_BUFFER;

use crate::support::allocation::peak_of;
use crate::support::alone::is_alone;
use crate::support::index::{Header, Magic};
use crate::support::tee::*;

/// A name of the greatest length in a global extended header, and members of one block each behind it, which all have that
/// name: of each block of the archive comes a line two thousand times as long.
fn archive_of_long_lines(members: usize) -> Vec<u8> {
    let record = format!("{} path=", 6 + " path=\n".len() + MAX_NAME);
    let size = record.len() + MAX_NAME + 1;
    let mut archive = Header::new(Magic::Ustar, b'g', b"", size as u64).seal();
    archive.extend(record.into_bytes());
    archive.resize(archive.len() + MAX_NAME, 0xff);
    archive.push(b'\n');
    archive.resize(archive.len().next_multiple_of(512), 0);
    for _ in 0..members {
        archive.extend(Header::new(Magic::Ustar, b'0', b"member", 0).seal());
    }
    archive
}

#[test]
fn a_few_bytes_of_archive_do_not_make_a_heap_of_lines() {
    if !is_alone(
        module_path!(),
        "a_few_bytes_of_archive_do_not_make_a_heap_of_lines",
    ) {
        return;
    }
    let archive = archive_of_long_lines(200);
    both_ways(|method| {
        let (index_reader, index) = line_index();
        let (tee, writer, reader) = start_between_pipes(index, method);
        let (feeding, collecting) = (feed(writer, archive.clone()), collect(reader));
        let ((), peak) = peak_of(|| wait_until_full(&index_reader));
        assert!(peak > INDEX_BUFFER, "no line was held: {peak}");
        assert!(peak < 4 * (INDEX_BUFFER + 4 * MAX_NAME), "{peak}");
        drop(index_reader);
        feeding.join().unwrap().unwrap();
        assert_report(&tee.wait(), &archive);
        assert!(collecting.join().unwrap() == archive);
    });
}
