//! The index side of the tee: whatever happens to it, the data goes on.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::thread;

use amrelay::index::Outcome as TarOutcome;
use amrelay::inspect::{INDEX_BUFFER, Index, IndexEnd};
use amrelay::stats::Method;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::support::tee::*;

#[test]
fn a_reader_of_the_index_that_has_gone_ends_the_index_only() {
    let archive = tree_archive();
    both_ways(|method| {
        let (index_reader, index) = line_index();
        drop(index_reader);
        let outcome = with_index(&archive, index, method);
        outcome.assert_data(&archive);
        let IndexEnd::Failed(error) = &outcome.report.index else {
            panic!("{:?}", outcome.report);
        };
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_reader_of_the_index_that_leaves_half_way_ends_the_index_only() {
    let archive = archive_with_a_long_index();
    both_ways(|method| {
        let (index_reader, index) = line_index();
        let reading = thread::spawn(move || {
            let mut some = vec![0; 70_000];
            File::from(index_reader).read_exact(&mut some).unwrap();
        });
        let outcome = with_index(&archive, index, method);
        reading.join().unwrap();
        outcome.assert_data(&archive);
        assert!(matches!(outcome.report.index, IndexEnd::Failed(_)));
    });
}

#[test]
fn a_full_device_under_the_index_ends_the_index_only() {
    let archive = tree_archive();
    both_ways(|method| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let index = Index::Tar(OwnedFd::from(full).into());
        let outcome = with_index(&archive, index, method);
        outcome.assert_data(&archive);
        let IndexEnd::Failed(error) = &outcome.report.index else {
            panic!("{:?}", outcome.report);
        };
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    });
}

#[test]
fn an_index_into_a_file() {
    let archive = tree_archive();
    both_ways(|method| {
        let target = tempfile::NamedTempFile::new().unwrap();
        let index = Index::Tar(OwnedFd::from(target.reopen().unwrap()).into());
        with_index(&archive, index, method).assert_data(&archive);
        assert!(std::fs::read(target.path()).unwrap() == reference_index(&archive));
    });
}

#[test]
fn a_stalled_reader_of_the_index_does_not_hold_the_data_while_the_buffer_has_room() {
    let archive = tree_archive();
    let index = reference_index(&archive);
    both_ways(|method| {
        let (index_reader, index_writer) = one_page_pipe();
        let index_side = Index::Tar(index_writer.into());
        let (tee, writer, reader) = start_between_pipes(index_side, method);
        let feeding = feed(writer, archive.clone());
        // The data comes to its end before anybody reads the index.
        assert!(read_all(reader) == archive);
        feeding.join().unwrap().unwrap();
        assert!(read_all(index_reader) == index);
        assert_report(&tee.wait(), &archive);
    });
}

#[test]
fn a_stalled_reader_of_the_index_holds_the_data_once_the_buffer_is_full() {
    let archive = archive_with_a_long_index();
    let index = reference_index(&archive);
    assert!(index.len() > INDEX_BUFFER + (128 << 10));
    both_ways(|method| {
        let (index_reader, index_side) = line_index();
        let (tee, writer, reader) = start_between_pipes(index_side, method);
        let (feeding, collecting) = (feed(writer, archive.clone()), collect(reader));
        wait_until_full(&index_reader);
        assert!(read_all(index_reader) == index);
        feeding.join().unwrap().unwrap();
        let report = tee.wait();
        assert_report(&report, &archive);
        assert!(report.index.is_ok());
        assert!(!report.stats.index.is_zero());
        assert!(collecting.join().unwrap() == archive);
    });
}

#[test]
fn garbage_passes_and_is_reported() {
    let garbage = noise(3 << 20);
    both_ways(|method| {
        let outcome = through_tee(&garbage, method);
        outcome.assert_data(&garbage);
        assert!(matches!(
            outcome.report.index,
            IndexEnd::Tar(TarOutcome::Damaged { .. })
        ));
        assert!(!outcome.report.index.is_ok());
    });
}

#[test]
fn a_cut_archive_passes_and_is_reported() {
    let archive = tree_archive();
    let cut = &archive[..archive.len() / 2 + 100];
    both_ways(|method| {
        let outcome = through_tee(cut, method);
        outcome.assert_data(cut);
        assert!(outcome.index == reference_index(cut));
        assert!(!outcome.report.index.is_ok());
    });
}

#[test]
fn bytes_behind_the_end_mark_pass() {
    let mut archive = tree_archive();
    let index = reference_index(&archive);
    archive.extend(noise(2 << 20));
    both_ways(|method| {
        let outcome = through_tee(&archive, method);
        outcome.assert_data(&archive);
        assert!(outcome.index == index);
        assert!(outcome.report.index.is_ok());
    });
}

#[test]
fn an_index_command_prints_the_index() {
    let archive = tree_archive();
    both_ways(|method| {
        let outcome = with_command(&archive, INDEX_PIPELINE, method);
        outcome.assert_data(&archive);
        assert!(outcome.index == reference_index(&archive));
        assert!(outcome.report.index.is_ok(), "{}", outcome.report.index);
    });
}

#[test]
fn an_index_command_sees_every_byte() {
    let stream = noise(5_000_001);
    both_ways(|method| {
        let outcome = with_command(&stream, "sleep 0.3; cat", method);
        outcome.assert_data(&stream);
        assert!(outcome.index == stream);
    });
}

#[test]
fn a_failing_index_command_is_reported_and_the_data_goes_on() {
    let stream = noise(5_000_001);
    both_ways(|method| {
        for (command, code) in [
            ("cat >/dev/null; exit 3", Some(3)),
            ("exit 4", Some(4)),
            ("head -c 1000 >/dev/null; exit 5", Some(5)),
            ("amrelay-no-such-program 2>/dev/null", Some(127)),
            ("kill -TERM $$", None),
        ] {
            let outcome = with_command(&stream, command, method);
            outcome.assert_data(&stream);
            let IndexEnd::Command(status) = outcome.report.index else {
                panic!("{:?}", outcome.report);
            };
            assert_eq!(status.code(), code, "{command}");
        }
    });
}

#[test]
fn an_index_command_may_leave_before_the_end_of_the_stream() {
    let stream = noise(5_000_001);
    both_ways(|method| {
        let outcome = with_command(&stream, "head -c 1000", method);
        outcome.assert_data(&stream);
        assert!(outcome.index == stream[..1000]);
        assert!(outcome.report.index.is_ok(), "{}", outcome.report.index);
    });
}

#[test]
fn an_index_command_complains_to_the_given_descriptor() {
    both_ways(|method| {
        let (errors_reader, errors) = pipe();
        let (index_reader, output) = pipe();
        let command = Index::Command {
            command: c"cat; echo no such tape >&2".into(),
            output: output.into(),
            errors: Some(errors.into()),
            started: None,
        };
        let outcome = through(pipe(), pipe(), b"a stream", command, index_reader, method);
        outcome.assert_data(b"a stream");
        assert_eq!(outcome.index, b"a stream");
        assert_eq!(read_all(errors_reader), b"no such tape\n");
    });
}

/// Without SIGPIPE the loop would write for ever, and the data would wait for a program that reads nothing.
#[test]
fn a_broken_pipe_ends_a_part_of_an_index_command() {
    let archive = tree_archive();
    both_ways(|method| {
        let command = "while :; do echo x; done | head -n 1; cat >/dev/null";
        let (output, index) = with_command_in_thread(&archive, command, method);
        assert!(output == archive);
        assert_eq!(index, b"x\n");
    });
}

#[test]
fn an_index_command_takes_all_signals() {
    let command = "sed -n 's/^SigBlk:\t*0*//p' /proc/self/status; cat >/dev/null";
    let (_, index) = with_command_in_thread(b"data", command, Method::Splice);
    assert_eq!(String::from_utf8(index).unwrap(), "\n");
}

#[test]
fn an_index_command_inherits_no_descriptor_of_the_host() {
    both_ways(|method| {
        let (inherited, _writer) = pipe();
        fcntl_setfd(&inherited, FdFlags::empty()).unwrap();
        // `ls` itself opens the directory it lists, as descriptor 3.
        let outcome = with_command(b"a stream", "cat >/dev/null; ls /proc/self/fd", method);
        assert_eq!(String::from_utf8(outcome.index).unwrap(), "0\n1\n2\n3\n");
    });
}

/// Feeds `bytes` through a tee whose index nobody reads here.
fn with_index(bytes: &[u8], index: Index, method: Method) -> Outcome {
    let (input, writer) = pipe();
    let (reader, output) = pipe();
    let (feeding, collecting) = (feed(writer, bytes.to_vec()), collect(reader));
    let report = run(config(input, output, index, method));
    feeding.join().unwrap().unwrap();
    Outcome {
        report,
        output: collecting.join().unwrap(),
        index: Vec::new(),
    }
}

fn with_command(bytes: &[u8], command: &str, method: Method) -> Outcome {
    let (index_reader, index) = command_index(command);
    through(pipe(), pipe(), bytes, index, index_reader, method)
}

/// The same by a tee in a thread of its own, whose signals are not those of the host's threads.
fn with_command_in_thread(bytes: &[u8], command: &str, method: Method) -> (Vec<u8>, Vec<u8>) {
    let (index_reader, index) = command_index(command);
    let (tee, writer, reader) = start_between_pipes(index, method);
    let (feeding, collecting) = (feed(writer, bytes.to_vec()), collect(reader));
    let index = read_all(index_reader);
    feeding.join().unwrap().unwrap();
    assert_report(&tee.wait(), bytes);
    (collecting.join().unwrap(), index)
}

/// An archive whose index is larger than what pipe and buffer hold: 7000 names of 240 bytes.
fn archive_with_a_long_index() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..7000 {
        let name = format!("{number:0240}");
        let mut file = File::create(directory.path().join(name)).unwrap();
        file.write_all(b"x").unwrap();
    }
    tar(directory.path())
}
