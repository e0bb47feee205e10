//! The index on hand-made archives: what other programs write, and what nobody should, against
//! GNU tar on the same bytes.

use std::os::unix::fs::FileExt;

use crate::support::index::*;
use amrelay::index::{Fault, Outcome, TarIndex};

#[test]
fn random_mixtures() {
    let seed = setting("AMRELAY_INDEX_SEED", 1);
    let cases = setting("AMRELAY_INDEX_CASES", 2000);
    let mut dice = Dice(seed);
    let archives: Vec<_> = (0..cases)
        .map(|_| {
            let mut archive = random_archive(&mut dice);
            if dice.roll(4) == 0 {
                archive.truncate(dice.roll(archive.len()));
            }
            archive
        })
        .collect();
    assert_same(&archives, &|index| format!("seed {seed}, case {index}"));
}

#[test]
fn every_byte_of_a_name_through_every_way() {
    let mut archives = Vec::new();
    for byte in 1..=255 {
        let mut archive = Vec::new();
        for name in [
            &[byte][..],
            &[b'a', byte, b'1'],
            &[b'.', byte],
            &[byte, byte, b'.'],
        ] {
            archive.extend(member(Magic::Gnu, b'0', name, b""));
            archive.extend(member(Magic::V7, b'0', name, b""));
            archive.extend(with_body(
                Header::new(Magic::Ustar, b'0', b"n", 0).put(345, name),
                b"",
            ));
            archive.extend(member(Magic::Gnu, b'L', b"", name));
            archive.extend(member(Magic::Gnu, b'0', b"short", b""));
            archive.extend(member(Magic::Ustar, b'x', b"", &record(b"path", name)));
            archive.extend(member(Magic::Ustar, b'0', b"short", b""));
        }
        archives.push(archive);
    }
    assert_probed(archives);
}

#[test]
fn every_type_and_magic() {
    let mut archives = Vec::new();
    for flag in 0..=255 {
        for magic in MAGICS {
            let mut archive = member(Magic::V7, b'0', b"A", b"");
            for (name, size) in [(&b"one"[..], 0), (b"two/", 700), (b"three", 512)] {
                // Extended headers are tested where their payload makes sense.
                if !b"xXgLK".contains(&flag) {
                    archive.extend(member(magic, flag, name, &vec![b'B'; size]));
                }
            }
            archives.push(archive);
        }
    }
    assert_probed(archives);
}

#[test]
fn number_fields_in_other_notations() {
    let values: [&[u8]; 24] = [
        b"00000001000\0",
        b"00000001000 ",
        b"000000001000",
        b"       1000 ",
        b"\x00       1000",
        b"\x00\x00      1000",
        b"1000\0junkjun",
        b"1000 junkjun",
        b"1000junkjunk",
        b"\t\n\x0b\x0c\r  1000 ",
        b"            ",
        b"\0           ",
        &[0; 12],
        b"+IA         ",
        b"+IA\0        ",
        b"-A          ",
        b"-B          ",
        b"+           ",
        b"\x80\0\0\0\0\0\0\0\0\0\x02\0",
        b"\x81\0\0\0\0\0\0\0\0\0\x02\0",
        &[0xff; 12],
        b"   \xff\0\0\0\0\0\0\0\0",
        b"           \x80",
        b"          \x80\x01",
    ];
    let mut archives = Vec::new();
    for value in values {
        for at in [124, 100, 108, 116, 136, 329] {
            for magic in [Magic::Gnu, Magic::V7] {
                let mut header = Header::new(magic, b'3', b"member", 0);
                header.put(at, &value[..if matches!(at, 124 | 136) { 12 } else { 8 }]);
                archives.push([member(Magic::V7, b'0', b"A", b""), header.seal()].concat());
            }
        }
        let mut header = Header::new(Magic::Gnu, b'0', b"sum", 0);
        header.put(148, &value[..8]);
        archives.push(header.0.to_vec());
    }
    assert_probed(archives);
}

#[test]
fn checksum_fields() {
    let mut archives = Vec::new();
    for name in [&b"plain"[..], b"high \xff\xfe\x80 bytes"] {
        let header = Header::new(Magic::Gnu, b'0', name, 0);
        let mut spaced = header.0;
        spaced[148..156].fill(b' ');
        let unsigned: i32 = spaced.iter().map(|&byte| i32::from(byte)).sum();
        let signed: i32 = spaced
            .iter()
            .map(|&byte| i32::from(i8::from_ne_bytes([byte])))
            .sum();
        for sum in [unsigned, signed, unsigned + 1, signed - 256] {
            for field in [
                format!("{sum:06o}\0 "),
                format!("{sum:06o} \0"),
                format!("{sum:08o}"),
                format!("{sum:>8o}"),
                format!("\0{sum:07o}"),
                format!("\0\0{sum:06o}"),
                format!("{sum:06o}x "),
                format!("{sum:06o}\0x"),
            ] {
                archives.push(header.clone().put(148, field.as_bytes()).0.to_vec());
            }
        }
    }
    assert_probed(archives);
}

#[test]
fn compressed_input() {
    let magics: [&[u8]; 10] = [
        b"\x1f\x9d",
        b"\x1f\x8b",
        b"BZh",
        b"LZIP",
        b"\xffLZMA\0",
        b"\x89LZO",
        b"\xfd7zXZ\0",
        b"\x28\xb5\x2f\xfd",
        b"PK\x03\x04",
        b"\x1f\x1e",
    ];
    let mut archives = Vec::new();
    for magic in magics {
        for class in MAGICS {
            archives.push(member(class, b'0', magic, b""));
        }
        archives.push([magic, &[b'j'; 512]].concat()[..512].to_vec());
        archives.push(
            [
                member(Magic::V7, b'0', b"A", b""),
                member(Magic::V7, b'0', magic, b""),
            ]
            .concat(),
        );
        let mut unsealed = Header::new(Magic::Gnu, b'0', magic, 0);
        archives.push(unsealed.put(148, b"0000000\0").0.to_vec());
    }
    assert_probed(archives);
}

#[test]
fn stream_ends() {
    let zeros = |blocks: usize| vec![0; 512 * blocks];
    let one = member(Magic::Gnu, b'0', b"./one", b"");
    let two = member(Magic::Gnu, b'0', b"./two", b"body");
    let mut archives = vec![Vec::new()];
    for length in [1, 511, 512, 513, 1023, 1024, 10240] {
        archives.push(vec![0; length]);
        archives.push(vec![b'j'; length]);
        archives.push([one.clone(), vec![b'j'; length], two.clone(), zeros(2)].concat());
        archives.push([vec![b'j'; length], two.clone(), zeros(2)].concat());
    }
    for blocks in 0..3 {
        archives.push([one.clone(), zeros(blocks), two.clone(), zeros(2)].concat());
        archives.push([one.clone(), zeros(blocks), vec![b'j'; 700]].concat());
    }
    assert_same(&archives, &|index| format!("archive {index}"));
}

/// A sink for parsers whose lines are compared elsewhere.
fn collect(parser: &mut TarIndex, bytes: &[u8], lines: &mut Vec<u8>) {
    parser.push(bytes, &mut |piece| lines.extend_from_slice(piece));
}

#[test]
fn bodies_larger_than_any_disk_are_skipped_by_arithmetic() {
    let mut lines = Vec::new();
    let mut parser = TarIndex::new();
    let mut header = Header::new(Magic::Gnu, b'0', b"./9 GiB", 0);
    header.put_large_size(9 << 30);
    collect(&mut parser, &header.seal(), &mut lines);
    assert_eq!(parser.skippable(), 9 << 30);
    parser.skip((9 << 30) - 1000);
    collect(&mut parser, &[b'B'; 1000], &mut lines);
    assert_eq!(parser.skippable(), 0);

    header.put(0, b"./2^63\0").put_large_size((1 << 63) - 1);
    collect(&mut parser, &header.seal(), &mut lines);
    assert_eq!(parser.skippable(), 1 << 63);
    parser.skip(1 << 63);
    assert_eq!(parser.offset(), (1 << 63) + (9 << 30) + 1024);
    collect(&mut parser, &header.seal(), &mut lines);
    parser.skip((1 << 63) - 1);
    assert_eq!(lines, b"/9 GiB\n/2^63\n/2^63\n");
    let end = Outcome::Damaged {
        what: Fault::CutInBody,
        offset: u64::MAX,
        omitted: 0,
    };
    assert_eq!(parser.finish(), end);
}

#[test]
fn bodies_beyond_8_gib_end_where_tar_says() {
    const SIZE: u64 = 9 << 30;
    let binary = |magic, flag| {
        let mut header = Header::new(magic, flag, b"./big", 0);
        header.put_large_size(SIZE).seal()
    };
    let extended = [
        member(
            Magic::Ustar,
            b'x',
            b"",
            &record(b"size", SIZE.to_string().as_bytes()),
        ),
        Header::new(Magic::Ustar, b'0', b"./big", 0).seal(),
    ];
    let mut base_64 = Header::new(Magic::V7, b'0', b"./big", 0);
    base_64.put(124, b"+JAAAAA\0    ");
    for headers in [
        binary(Magic::Gnu, b'0'),
        binary(Magic::V7, b'7'),
        binary(Magic::Ustar, b'A'),
        extended.concat(),
        base_64.seal(),
    ] {
        let behind = [member(Magic::Gnu, b'0', b"./behind", b""), vec![0; 1024]].concat();
        // The body is a hole, over which tar seeks as well.
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all_at(&headers, 0).unwrap();
        let end = headers.len() as u64 + SIZE;
        file.as_file().write_all_at(&behind, end).unwrap();
        let listed = tar(
            file.path().parent().unwrap(),
            &["-tf", file.path().to_str().unwrap()],
        );
        assert_eq!(listed, b"./big\n./behind\n");

        let mut lines = Vec::new();
        let mut parser = TarIndex::new();
        collect(&mut parser, &headers, &mut lines);
        assert_eq!(parser.skippable(), SIZE);
        parser.skip(SIZE);
        collect(&mut parser, &behind, &mut lines);
        assert_eq!(lines, b"/big\n/behind\n");
        assert_eq!(parser.finish(), Outcome::Complete { end_mark: true });
    }
}

#[test]
fn an_archive_is_detected_by_its_first_block() {
    let detect = |archive: &[u8]| {
        let (mut parser, mut lines) = (TarIndex::detecting(), Vec::new());
        archive
            .chunks(100)
            .for_each(|piece| collect(&mut parser, piece, &mut lines));
        (parser.finish(), lines)
    };
    for magic in MAGICS {
        let archive = [
            member(magic, b'0', b"m", b"body"),
            vec![b'j'; 512],
            vec![0; 1024],
        ]
        .concat();
        let (listing, outcome) = list_in_pieces(&archive, &[512], false);
        assert_eq!(detect(&archive), (outcome, listing.lines));
        let behind = [vec![b'j'; 512], archive].concat();
        let refused = Outcome::Damaged {
            what: Fault::NoHeader,
            offset: 0,
            omitted: 0,
        };
        assert_eq!(detect(&behind), (refused, Vec::new()));
    }
    assert_eq!(
        detect(&[0; 10240]),
        (Outcome::Complete { end_mark: true }, Vec::new())
    );
    for stream in [
        &b""[..],
        b"short",
        &[&b"\x1f\x8b"[..], &[b'j'; 600]].concat(),
    ] {
        let (outcome, lines) = detect(stream);
        assert!(matches!(outcome, Outcome::Damaged { what, .. } if what.is_no_archive()));
        assert!(lines.is_empty());
    }
}

#[test]
fn the_first_fault_is_kept_with_its_place() {
    let good = || member(Magic::Gnu, b'0', b"m", b"body");
    let archive = [good(), vec![b'j'; 1024], good(), good()].concat();
    let (listing, outcome) = list_in_pieces(&archive[..archive.len() - 1], &[100], false);
    assert_eq!(listing.lines, b"m\nm\nm\n");
    assert_eq!(
        outcome,
        Outcome::Damaged {
            what: Fault::HeaderChecksum,
            offset: 1024,
            omitted: 0
        }
    );
    let complete = |archive: &[u8]| list_in_pieces(archive, &[512], true).1;
    assert_eq!(complete(&good()), Outcome::Complete { end_mark: false });
    assert_eq!(
        complete(&[good(), vec![0; 512]].concat()),
        Outcome::Complete { end_mark: true }
    );
    assert_eq!(
        complete(b""),
        Outcome::Damaged {
            what: Fault::TooShort,
            offset: 0,
            omitted: 0
        }
    );
}

#[test]
fn times_of_a_star_header_have_to_be_numbers() {
    let mut archives = Vec::new();
    for at in [476, 488, 136] {
        for time in [
            &b"00000000001 "[..],
            b"1          ",
            b"1\0         ",
            b"1         9 ",
            b"0x000000000 ",
            b"18000000000 ",
        ] {
            let time = &time[..time.len().min(12)];
            for (magic, flag) in [
                (Magic::Star, b'0'),
                (Magic::Star, b'S'),
                (Magic::Ustar, b'0'),
            ] {
                archives.push(Header::new(magic, flag, b"m", 0).put(at, time).seal());
            }
        }
    }
    assert_probed(archives);
}

#[test]
fn star_needs_both_times() {
    // An `S` header of the star class has a table of entries; of the ustar class it is a plain one.
    let mut archives = Vec::new();
    for (at, byte) in [
        (475, b'x'),
        (476, b'8'),
        (487, 0),
        (488, b' '),
        (499, b'0'),
        (300, b'u'),
    ] {
        let mut header = Header::new(Magic::Star, b'S', b"sparse", 0);
        header
            .put(355, &[1])
            .put(356, b"00000000000\x0000000000001\0")
            .put(452, b"00000000001\0");
        for entry in 1..4 {
            header.put(356 + 24 * entry, b"00000000000\x0000000000001\0");
        }
        header.put(at, &[byte]);
        archives.push(header.seal());
    }
    assert_probed(archives);
}
