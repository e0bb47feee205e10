//! Failures of the data's own two sides: the tee ends at once, says why, and lets go of the other side.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;

use amrelay::inspect::{Index, IndexEnd};
use amrelay::stats::Method;
use amrelay::tee::{Config, Output, Report, Tee};
use rustix::process::Signal;

use crate::support::sandbox::{Refusal, refusing};
use crate::support::tee::*;

#[test]
fn a_writer_in_full_flow_learns_that_the_output_has_gone() {
    let archive = noise(8 << 20);
    both_ways(|method| {
        let (tee, writer, reader) = start_between_pipes(Index::None, method);
        let feeding = feed(writer, archive.clone());
        wait_until_full(&reader);
        drop(reader);
        let error = feeding.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_broken_output(&tee.wait(), &archive);
    });
}

#[test]
fn an_output_that_goes_while_the_writer_is_silent_ends_the_tee() {
    both_ways(|method| {
        let (tee, writer, reader) = start_between_pipes(Index::None, method);
        drop(reader);
        assert_broken_output(&tee.wait(), b"");
        let error = File::from(writer).write_all(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn an_output_that_goes_after_the_last_byte_has_not_failed() {
    both_ways(|method| {
        for crc in [true, false] {
            let (input, writer) = pipe();
            let (reader, output) = pipe();
            drop((writer, reader));
            let report = run(Config {
                crc,
                ..config(input, output, Index::None, method)
            });
            assert!(report.output.is_ok(), "crc {crc}: {report:?}");
        }
    });
}

#[test]
fn a_socket_whose_peer_goes_ends_the_tee() {
    both_ways(|method| {
        let (input, writer) = pipe();
        let (near, far) = UnixStream::pair().unwrap();
        let tee = start(config(input, near.into(), Index::None, method));
        drop(far);
        assert_broken_output(&tee.wait(), b"");
        drop(writer);
    });
}

/// GNU tar behind a tee that has stalled: the tee, tar, and the readers of data and index, which have read nothing yet.
fn stalled_tar(directory: &Path, method: Method) -> (Tee, Child, OwnedFd, OwnedFd) {
    let (index_reader, index) = line_index();
    let (tee, writer, reader) = start_between_pipes(index, method);
    let child = start_tar(directory, writer);
    wait_until_full(&reader);
    (tee, child, reader, index_reader)
}

#[test]
fn gnu_tar_dies_of_a_broken_output() {
    let directory = tempfile::tempdir().unwrap();
    make_tree(directory.path());
    let archive = tar(directory.path());
    both_ways(|method| {
        let (tee, mut child, reader, index_reader) = stalled_tar(directory.path(), method);
        drop(reader);
        assert_broken_output(&tee.wait(), &archive);
        assert!(!child.wait().unwrap().success());
        drop(index_reader);
    });
}

#[test]
fn a_broken_output_ends_the_tee_though_the_index_is_stuck() {
    let directory = tempfile::tempdir().unwrap();
    make_tree(directory.path());
    let archive = tar(directory.path());
    both_ways(|method| {
        for index_side in ["lines", "command"] {
            // Full from the start, and never read.
            let (index_reader, index) = one_page_pipe();
            rustix::io::write(&index, &[b'x'; 4096]).unwrap();
            let index = match index_side {
                "lines" => Index::Tar(index.into()),
                _ => Index::Command {
                    command: c"exec sleep 1000".into(),
                    output: index.into(),
                    errors: None,
                    started: None,
                },
            };
            let (tee, writer, reader) = start_between_pipes(index, method);
            let feeding = feed(writer, archive.clone());
            let mut first = [0; 512];
            rustix::io::read(&reader, &mut first).unwrap();
            drop(reader);
            let report = tee.wait();
            assert_broken_output(&report, &archive);
            assert!(matches!(report.index, IndexEnd::Abandoned));
            assert!(feeding.join().unwrap().is_err());
            drop(index_reader);
        }
    });
}

#[test]
fn a_full_device_as_output_is_reported() {
    both_ways(|method| {
        let (input, writer) = pipe();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let stream = noise(4 << 20);
        let feeding = feed(writer, stream.clone());
        let report = run(config(input, full.into(), Index::None, method));
        let error = report.output.as_ref().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        assert!(report.read > report.stats.bytes, "{report:?}");
        assert_read(&report, &stream);
        assert!(feeding.join().unwrap().is_err());
    });
}

#[test]
fn a_failing_callback_ends_the_tee_with_its_error() {
    both_ways(|method| {
        let (input, writer) = pipe();
        let stream = noise(8 << 20);
        let feeding = feed(writer, stream.clone());
        let mut calls = 0;
        let output = Output::Callback(Box::new(move |_| {
            calls += 1;
            if calls < 3 {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(libc::ENOBUFS))
            }
        }));
        let report = run(config_to(input, output, method));
        let error = report.output.as_ref().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS));
        assert!(report.stats.bytes > 0 && report.read > report.stats.bytes);
        assert_read(&report, &stream);
        assert!(feeding.join().unwrap().is_err());
    });
}

#[test]
fn a_callback_that_says_later_ends_the_tee() {
    both_ways(|method| {
        let (input, writer) = pipe();
        let callback = Output::Callback(Box::new(|_| Err(io::ErrorKind::WouldBlock.into())));
        let feeding = feed(writer, noise(8 << 20));
        let report = run(config_to(input, callback, method));
        let error = report.output.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(feeding.join().unwrap().is_err());
    });
}

#[test]
fn a_panicking_callback_ends_its_tee_only() {
    let (input, writer) = pipe();
    let feeding = feed(writer, noise(8 << 20));
    let output = Output::Callback(Box::new(|_| panic!("on purpose")));
    let tee = start(config_to(input, output, Method::Splice));
    assert!(tee.wait().output.is_err());
    assert!(feeding.join().unwrap().is_err());
}

#[test]
fn an_unreadable_input_is_reported() {
    both_ways(|method| {
        let (_reader, not_readable) = pipe();
        let directory = File::open("/").unwrap();
        for (input, errno) in [
            (not_readable, libc::EBADF),
            (directory.into(), libc::EISDIR),
        ] {
            let (reader, output) = pipe();
            let report = run(config(input, output, Index::None, method));
            assert_eq!(report.input.unwrap_err().raw_os_error(), Some(errno));
            assert!(report.output.is_ok());
            assert!(read_all(reader).is_empty());
        }
    });
}

#[test]
fn a_tar_killed_half_way_leaves_a_whole_prefix() {
    let directory = tempfile::tempdir().unwrap();
    make_tree(directory.path());
    both_ways(|method| {
        let (tee, mut child, reader, index_reader) = stalled_tar(directory.path(), method);
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, Signal::KILL).unwrap();
        child.wait().unwrap();
        let (collecting, indexing) = (collect(reader), collect(index_reader));
        let data = collecting.join().unwrap();
        let report = tee.wait();
        assert_report(&report, &data);
        assert!(!report.index.is_ok());
        assert!(indexing.join().unwrap() == reference_index(&data));
    });
}

#[test]
fn refused_system_calls_are_done_without() {
    let archive = tree_archive();
    let index = reference_index(&archive);
    for (call, errno) in [
        (libc::SYS_tee, libc::EPERM),
        (libc::SYS_tee, libc::ENOSYS),
        (libc::SYS_splice, libc::EINVAL),
        (libc::SYS_splice, libc::ENOSYS),
    ] {
        let outcome = refusing(&[Refusal::of(call, errno)], || {
            through_tee(&archive, Method::Splice)
        });
        outcome.assert_data(&archive);
        assert!(outcome.index == index);
        assert_eq!(outcome.report.stats.method, Method::Copy);
    }
    both_ways(|method| {
        for errno in [libc::ENOSYS, libc::EOPNOTSUPP] {
            let refusals =
                [libc::SYS_preadv2, libc::SYS_pwritev2].map(|call| Refusal::of(call, errno));
            let outcome = refusing(&refusals, || through_tee(&archive, method));
            outcome.assert_data(&archive);
            assert!(outcome.index == index);
        }
    });
}

#[track_caller]
fn assert_broken_output(report: &Report, stream: &[u8]) {
    let error = report.output.as_ref().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{report:?}");
    assert_read(report, stream);
}

/// The output failed: the CRC is that of what was read, which is what the output took and perhaps more.
#[track_caller]
fn assert_read(report: &Report, stream: &[u8]) {
    assert!(report.read >= report.stats.bytes, "{report:?}");
    let read = usize::try_from(report.read).unwrap();
    assert_eq!(report.crc, Some(reference_crc(&stream[..read])));
}
