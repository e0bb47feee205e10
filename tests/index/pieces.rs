//! However a stream is cut into pieces, shown or skipped, the index is the same; and no input makes
//! it panic or print without end.

use crate::support::index::{Dice, Listing, Magic, list_in_pieces, member, random_archive, record};
use proptest::prelude::*;

/// An archive from the generator, perhaps damaged at a few places and cut off.
fn archive() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (
        any::<u64>(),
        damage,
        prop::option::weighted(0.3, any::<prop::sample::Index>()),
    )
        .prop_map(|(seed, damage, cut)| {
            let mut archive = random_archive(&mut Dice(seed));
            for (at, byte) in damage {
                let at = at.index(archive.len());
                archive[at] = byte;
            }
            if let Some(cut) = cut {
                archive.truncate(cut.index(archive.len()));
            }
            archive
        })
}

/// Lengths around a block's, and any others.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![Just(1), 1..20_usize, 500..520_usize, 1..3000_usize];
    prop::collection::vec(length, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_split_gives_the_same(archive in archive(), lengths in lengths()) {
        let whole = list_in_pieces(&archive, &[archive.len()], false);
        prop_assert_eq!(&list_in_pieces(&archive, &lengths, false), &whole);
        prop_assert_eq!(&list_in_pieces(&archive, &lengths, true), &whole);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4000), lengths in lengths()) {
        let (listing, _) = list_in_pieces(&bytes, &lengths, true);
        prop_assert!(listing.lines.len() <= 4 * bytes.len() + bytes.len() / 512);
    }
}

#[test]
fn one_byte_at_a_time() {
    for seed in 0..200 {
        let archive = random_archive(&mut Dice(seed));
        let whole = list_in_pieces(&archive, &[archive.len()], true);
        assert_eq!(list_in_pieces(&archive, &[1], false), whole, "seed {seed}");
        assert_eq!(list_in_pieces(&archive, &[1], true), whole, "seed {seed}");
    }
}

#[test]
fn a_line_comes_out_with_its_header() {
    let mut parser = amrelay::index::TarIndex::new();
    let mut lines = Vec::new();
    let archive = [
        member(Magic::Ustar, b'x', b"", &record(b"path", b"./name")),
        member(Magic::Ustar, b'0', b"short", b"body"),
    ]
    .concat();
    let (headers, body) = archive.split_at(3 * 512);
    parser.push(headers, &mut |piece| lines.extend_from_slice(piece));
    assert_eq!(lines, b"/name\n");
    assert_eq!(parser.skippable(), body.len() as u64);
    assert_eq!((parser.entries(), parser.offset()), (1, 3 * 512));
}

#[test]
fn nothing_behind_the_end_mark_is_looked_at() {
    let archive = [member(Magic::Gnu, b'0', b"m", b""), vec![0; 1024]].concat();
    let mut parser = amrelay::index::TarIndex::new();
    parser.push(&archive, &mut |_| {});
    assert_eq!(parser.skippable(), u64::MAX);
    let longer = [archive, member(Magic::Gnu, b'0', b"later", b"")].concat();
    let expected = Listing {
        lines: b"m\n".to_vec(),
        complete: true,
    };
    assert_eq!(list_in_pieces(&longer, &[700], false).0, expected);
}
