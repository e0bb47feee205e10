//! The index on hand-made extended headers: long names, labels, numbers and the maps of sparse files, against GNU tar
//! on the same bytes.

use crate::support::index::*;
use amrelay::index::{Fault, MAX_MAP_ENTRIES, MAX_NAME, Outcome};

#[test]
fn long_names_up_to_the_limit() {
    let name = vec![b'n'; MAX_NAME];
    let mut global = member(Magic::Ustar, b'g', b"", &record(b"path", &name));
    global.extend(member(Magic::Gnu, b'0', b"g", b""));
    let archives = vec![
        [
            member(Magic::Gnu, b'L', b"", &name[..100_001]),
            member(Magic::Gnu, b'0', b"m", b""),
        ]
        .concat(),
        [
            member(Magic::Gnu, b'L', b"", &name),
            member(Magic::Gnu, b'0', b"m", b""),
        ]
        .concat(),
        [
            member(Magic::Ustar, b'x', b"", &record(b"path", &name)),
            member(Magic::Ustar, b'0', b"m", b""),
        ]
        .concat(),
        [
            member(
                Magic::Ustar,
                b'x',
                b"",
                &record(b"SCHILY.xattr.a", &vec![0; 9_000_000]),
            ),
            global,
        ]
        .concat(),
    ];
    assert_probed(archives);
}

#[test]
fn labels_in_extended_headers() {
    let set = |flag: u8, records: &[(&[u8], &[u8])]| {
        let payload: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect();
        member(Magic::Ustar, flag, b"", &payload)
    };
    let label = |flag, text: &[u8]| set(flag, &[(b"GNU.volume.label", text)]);
    let posix = || [set(b'x', &[]), member(Magic::Ustar, b'0', b"posix", b"")].concat();
    let gnu = member(Magic::Gnu, b'0', b"gnu", b"");
    assert_probed(vec![
        [label(b'g', b"one"), posix(), posix()].concat(),
        [
            label(b'g', b"one"),
            gnu.clone(),
            posix(),
            label(b'g', b"two"),
            posix(),
        ]
        .concat(),
        [
            label(b'g', b"one"),
            set(b'g', &[(b"comment", b"none")]),
            posix(),
        ]
        .concat(),
        [
            label(b'g', b"one"),
            label(b'x', b".two\n"),
            gnu.clone(),
            posix(),
        ]
        .concat(),
        [label(b'g', b""), posix()].concat(),
        [
            label(b'g', b"one"),
            set(b'g', &[(b"path", b"./renamed")]),
            posix(),
        ]
        .concat(),
        [
            label(b'g', b"one"),
            set(b'g', &[(b"GNU.sparse.name", b"./sparse")]),
            posix(),
        ]
        .concat(),
        [
            set(
                b'g',
                &[
                    (b"GNU.volume.label", b"first"),
                    (b"GNU.volume.label", b"last"),
                ],
            ),
            posix(),
        ]
        .concat(),
    ]);
}

#[test]
fn numbers_of_a_volume_are_judged_at_once() {
    // Of a `g`, even if no member follows; of an `x` when its member comes.
    for flag in [b'g', b'x'] {
        for key in [
            &b"GNU.volume.size"[..],
            b"GNU.volume.offset",
            b"size",
            b"mtime",
        ] {
            for value in [&b"x"[..], b"1", b"18446744073709551616"] {
                let header = member(Magic::Ustar, flag, b"", &record(key, value));
                let archive = |rest: Vec<u8>| [header.clone(), rest, vec![0; 1024]].concat();
                let archives = [
                    archive(Vec::new()),
                    archive(member(Magic::Ustar, b'g', b"", b"")),
                    archive(member(Magic::Ustar, b'0', b"m", b"")),
                ];
                let what =
                    |index| format!("{} in {}, {index}", key.escape_ascii(), char::from(flag));
                assert_same(&archives, &what);
            }
        }
    }
}

#[test]
fn maps_that_fit_in_no_memory_end_the_index() {
    // GNU tar asks for the memory at once and gives up; see MAX_MAP_ENTRIES for where.
    let huge = (1_u64 << 43).to_string();
    let before = member(Magic::Gnu, b'0', b"before", b"");
    let records = record(b"GNU.sparse.numblocks", huge.as_bytes());
    let in_records = member(Magic::Ustar, b'x', b"", &records);
    let in_body = member(Magic::Ustar, b'x', b"", &record(b"GNU.sparse.major", b"1"));
    let map = [huge.as_bytes(), b"\n"].concat();
    let sparse = member(Magic::Ustar, b'0', b"sparse", &map);
    assert_probed(vec![
        [before.clone(), in_records, sparse.clone()].concat(),
        [before.clone(), in_body.clone(), sparse].concat(),
    ]);
    let map = format!("{}\n", MAX_MAP_ENTRIES + 1);
    let sparse = member(Magic::Ustar, b'0', b"sparse", map.as_bytes());
    let outcome = list_in_pieces(&[before, in_body, sparse].concat(), &[512], true).1;
    assert!(
        matches!(
            outcome,
            Outcome::Damaged {
                what: Fault::SparseMapTooLarge,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[test]
fn decimal_maps_and_their_faults() {
    let mut archives = Vec::new();
    for map in [
        &b"0\n"[..],
        b"1\n0\n5\n",
        b"1\n0\nx\n",
        b"x\n",
        b"00000000000000000001\n",
        b"0000000000000000001\n0\n5\n",
        b"1\n0\x00junk\n5\n",
        b"\n",
        b"2\n0\n1\n9223372036854775807\n1\n",
        b"1\n0\n9223372036854775808\n",
        b"3\n0\n5\n",
    ] {
        for packed in [0, 1, 512, 1024, 1536] {
            for filler in [0, 100, 250] {
                // Entries in front carry the fault into the second or third block.
                let mut lines = map.to_vec();
                if filler > 0 {
                    lines = format!("{}\n", filler + 1).into_bytes();
                    lines.extend("0\n5\n".repeat(filler).bytes());
                    lines.extend(&map[map.iter().position(|&byte| byte == b'\n').unwrap() + 1..]);
                }
                lines.resize(lines.len().next_multiple_of(512), 0);
                let extended = member(Magic::Ustar, b'x', b"", &record(b"GNU.sparse.major", b"1"));
                let header = Header::new(Magic::Ustar, b'0', b"sparse", packed);
                archives.push([extended, header.seal(), lines].concat());
            }
        }
    }
    assert_probed(archives);
}

#[test]
fn maps_in_global_records_are_built_last_record_first() {
    let room = |count: &'static [u8]| record(b"GNU.sparse.numblocks", count);
    let entry = || record(b"GNU.sparse.numbytes", b"1");
    let map = || record(b"GNU.sparse.map", b"0,1,2,1");
    let archives = [
        vec![entry(), map(), room(b"2")],
        vec![entry(), map(), room(b"3")],
        vec![room(b"3"), map(), entry()],
        vec![entry(), entry(), room(b"1")],
        vec![map(), entry(), room(b"2")],
        vec![entry(), room(b"2"), map(), room(b"1")],
    ];
    let archives = archives.map(|records| {
        let global = member(Magic::Ustar, b'g', b"", &records.concat());
        let extended = member(
            Magic::Ustar,
            b'x',
            b"",
            &record(b"GNU.sparse.realsize", b"1024"),
        );
        [
            global,
            extended,
            Header::new(Magic::Ustar, b'0', b"sparse", 512).seal(),
        ]
        .concat()
    });
    assert_probed(archives.to_vec());
}
