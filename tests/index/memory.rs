//! The memory of an index is bounded, and headers cost no allocation each.

use crate::support::allocation::{calls, peak_of};
use crate::support::alone::is_alone;
use crate::support::index::{Header, Magic, probes};
use amrelay::index::{MAX_NAME, Outcome, TarIndex};

/// Feeds an extended header whose records have texts of the greatest length, piece by piece.
fn feed_texts(parser: &mut TarIndex, flag: u8, keys: &[&str]) {
    // "NNNNNN key=…\n", as the lengths have six digits.
    let length = |key: &&str| 6 + 1 + key.len() + 1 + MAX_NAME + 1;
    let size = keys.iter().map(length).sum::<usize>();
    parser.push(
        &Header::new(Magic::Ustar, flag, b"", size as u64).seal(),
        &mut |_| {},
    );
    for key in keys {
        parser.push(format!("{} {key}=", length(key)).as_bytes(), &mut |_| {});
        feed(parser, b'.', MAX_NAME);
        parser.push(b"\n", &mut |_| {});
    }
    feed(parser, 0, size.next_multiple_of(512) - size);
}

fn feed(parser: &mut TarIndex, byte: u8, mut count: usize) {
    let piece = [byte; 1000];
    while count > 0 {
        let now = count.min(piece.len());
        parser.push(&piece[..now], &mut |_| {});
        count -= now;
    }
}

/// Feeds all that makes the parser keep a name, each of the greatest length.
fn feed_names(parser: &mut TarIndex) {
    let global = ["path", "GNU.sparse.name", "GNU.volume.label", "path"];
    feed_texts(parser, b'g', &global);
    let extended = ["path", "GNU.volume.label", "GNU.sparse.name", "path"];
    feed_texts(parser, b'x', &extended);
    let long = Header::new(Magic::Gnu, b'L', b"", MAX_NAME as u64);
    parser.push(&long.seal(), &mut |_| {});
    feed(parser, b'n', MAX_NAME);
    let member = Header::new(Magic::Ustar, b'0', b"m", 0);
    parser.push(&member.seal(), &mut |_| {});
    feed_texts(parser, b'g', &[]);
}

#[test]
fn memory_is_bounded_whatever_the_names() {
    if !is_alone(module_path!(), "memory_is_bounded_whatever_the_names") {
        return;
    }
    let (mut parser, peak) = peak_of(|| {
        let mut parser = TarIndex::new();
        (0..3).for_each(|_| feed_names(&mut parser));
        assert_eq!(parser.finish(), Outcome::Complete { end_mark: false });
        parser
    });
    assert!(parser.entries() >= 3);
    assert!(peak > 6 * MAX_NAME, "the names were not held: {peak}");
    assert!(peak + size_of::<TarIndex>() < 2 << 20, "{peak}");

    let headers = probes(100);
    parser.push(&headers, &mut |_| {});
    let before = calls();
    parser.push(&headers, &mut |_| {});
    assert_eq!(calls(), before);
}
