//! Where versions of GNU tar judge an archive differently, the index judges as 1.35 does. Each difference with what either
//! says, so that the tests are exact with both.

use crate::support::index::version::tar_is_older;
use crate::support::index::*;

/// An archive that is judged differently.
struct Case {
    what: &'static str,
    archive: Vec<u8>,
    /// Lines, and whether tar's status is 0.
    before: (&'static str, bool),
    since_1_35: (&'static str, bool),
}

fn case(
    what: &'static str,
    pieces: &[Vec<u8>],
    before: (&'static str, bool),
    since_1_35: (&'static str, bool),
) -> Case {
    let behind = member(Magic::Gnu, b'0', b"behind", b"");
    let archive = [pieces.concat(), behind, vec![0; 1024]].concat();
    Case {
        what,
        archive,
        before,
        since_1_35,
    }
}

fn check(cases: &[Case]) {
    for case in cases {
        let own = list(&case.archive);
        let own = (std::str::from_utf8(&own.lines).unwrap(), own.complete);
        assert_eq!(own, case.since_1_35, "the index: {}", case.what);
    }
    let archives: Vec<_> = cases.iter().map(|case| case.archive.clone()).collect();
    for (case, (listing, complaints)) in cases.iter().zip(oracle(&archives)) {
        let tar = (
            std::str::from_utf8(&listing.lines).unwrap(),
            listing.complete,
        );
        let expected = if tar_is_older() {
            case.before
        } else {
            case.since_1_35
        };
        assert_eq!(tar, expected, "tar: {}, {complaints}", case.what);
    }
}

fn set(flag: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let payload = records
        .iter()
        .flat_map(|(key, value)| record(key.as_bytes(), value.as_bytes()));
    member(Magic::Ustar, flag, b"", &payload.collect::<Vec<_>>())
}

fn header() -> Vec<u8> {
    member(Magic::Ustar, b'0', b"header", b"")
}

#[test]
fn an_empty_name_is_none() {
    let (path, sparse) = ("path", "GNU.sparse.name");
    let long = || member(Magic::Gnu, b'L', b"", b"long");
    let is = |before, since_1_35| ((before, true), (since_1_35, true));
    let header_is_named = is("\nbehind\n", "header\nbehind\n");
    let cases: Vec<_> = [
        (
            "in x",
            vec![set(b'x', &[(path, "")]), header()],
            header_is_named,
        ),
        (
            "up to a NUL",
            vec![set(b'x', &[(path, "\0p")]), header()],
            header_is_named,
        ),
        (
            "a sparse name",
            vec![set(b'x', &[(sparse, "")]), header()],
            header_is_named,
        ),
        (
            "in g",
            vec![set(b'g', &[(path, "")]), header()],
            is("\n\n", "header\nbehind\n"),
        ),
        (
            "beside an L",
            vec![long(), set(b'x', &[(path, "")]), header()],
            is("\nbehind\n", "long\nbehind\n"),
        ),
        (
            "behind a path",
            vec![set(b'x', &[(path, "a"), (path, "")]), header()],
            is("\nbehind\n", "a\nbehind\n"),
        ),
        // A sparse name forbids the paths behind it, be it empty.
        (
            "sparse, path",
            vec![set(b'x', &[(sparse, ""), (path, "a")]), header()],
            header_is_named,
        ),
        (
            "path, sparse",
            vec![set(b'x', &[(path, "a"), (sparse, "")]), header()],
            is("\nbehind\n", "a\nbehind\n"),
        ),
        (
            "both sparse",
            vec![set(b'x', &[(sparse, "a"), (sparse, "")]), header()],
            is("\nbehind\n", "a\nbehind\n"),
        ),
        // The records of a `g` apply from the last to the first.
        (
            "g: sparse, path",
            vec![set(b'g', &[(sparse, ""), (path, "a")]), header()],
            is("\n\n", "a\na\n"),
        ),
        (
            "g: path, sparse",
            vec![set(b'g', &[(path, "a"), (sparse, "")]), header()],
            is("\n\n", "header\nbehind\n"),
        ),
        (
            "g: sparse, sparse",
            vec![set(b'g', &[(sparse, "a"), (sparse, "")]), header()],
            is("a\na\n", "a\na\n"),
        ),
        (
            "g: sparse, x: path",
            vec![
                set(b'g', &[(sparse, "")]),
                set(b'x', &[(path, "a")]),
                header(),
            ],
            is("\n\n", "header\nbehind\n"),
        ),
        (
            "g: sparse and path, x: path",
            vec![
                set(b'g', &[(sparse, ""), (path, "g")]),
                set(b'x', &[(path, "a")]),
                header(),
            ],
            is("\n\n", "g\ng\n"),
        ),
        (
            "g: sparse, x: sparse",
            vec![
                set(b'g', &[(sparse, "")]),
                set(b'x', &[(sparse, "a")]),
                header(),
            ],
            is("a\n\n", "a\nbehind\n"),
        ),
    ]
    .into_iter()
    .map(|(what, pieces, (before, since))| case(what, &pieces, before, since))
    .collect();
    check(&cases);
}

#[test]
fn nothing_may_follow_a_time() {
    let mut cases = Vec::new();
    for key in ["mtime", "atime", "ctime"] {
        for flag in [b'x', b'g'] {
            for (time, before, since_1_35) in [
                ("1.5", true, true),
                ("1.", true, true),
                ("-1.5\0x", true, true),
                ("-9223372036854775808", true, true),
                ("-9223372036854775808.000", true, true),
                ("-9223372036854775808.0000000000001", false, false),
                ("9223372036854775807.999", true, true),
                ("1x", true, false),
                ("1 ", true, false),
                ("1.5.5", true, false),
                ("1.5-", true, false),
                ("1\n", true, false),
                ("x", false, false),
                ("--1", false, false),
                ("", false, false),
            ] {
                let lines = "header\nbehind\n";
                cases.push(case(
                    time,
                    &[set(flag, &[(key, time)]), header()],
                    (lines, before),
                    (lines, since_1_35),
                ));
            }
        }
    }
    check(&cases);
}

#[test]
fn a_map_keeps_to_its_file() {
    let sparse = |size: &str, map: &str| {
        let extended = [("GNU.sparse.major", "1"), ("GNU.sparse.realsize", size)];
        let mut map = map.as_bytes().to_vec();
        map.resize(512, 0);
        [
            set(b'x', &extended),
            member(Magic::Ustar, b'0', b"sparse", &map),
        ]
        .concat()
    };
    let lines = "sparse\nbehind\n";
    let mut cases = Vec::new();
    for (size, map, before, since_1_35) in [
        ("10", "1\n0\n10\n", true, true),
        ("10", "1\n10\n0\n", true, true),
        ("10", "2\n0\n5\n6\n5\n", true, false),
        ("10", "1\n0\n11\n", true, false),
        ("10", "1\n11\n0\n", true, false),
        ("0", "1\n0\n1\n", true, false),
        (
            "9223372036854775807",
            "1\n1\n9223372036854775807\n",
            true,
            false,
        ),
        ("10", "1\n11\nx\n", false, false),
    ] {
        cases.push(case(
            map,
            &[sparse(size, map)],
            (lines, before),
            (lines, since_1_35),
        ));
    }
    check(&cases);
}

#[test]
fn another_magic_number_of_lzma_is_known() {
    let first = |magic| member(magic, b'0', b"]", b"");
    let broken = {
        let mut broken = Header::new(Magic::Gnu, b'0', b"]", 0);
        broken.put(148, b"0000000\0").0.to_vec()
    };
    let lines = "]\nbehind\n";
    check(&[
        case("v7", &[first(Magic::V7)], (lines, true), ("", false)),
        case("gnu", &[first(Magic::Gnu)], (lines, true), (lines, true)),
        case(
            "ustar",
            &[first(Magic::Ustar)],
            (lines, true),
            (lines, true),
        ),
        case("no header", &[broken], ("behind\n", false), ("", false)),
        case(
            "later",
            &[header(), first(Magic::V7)],
            ("header\n]\nbehind\n", true),
            ("header\n]\nbehind\n", true),
        ),
    ]);
}
