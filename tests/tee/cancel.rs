//! Ending a tee from outside, and learning of its end without waiting in a thread for it.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use amrelay::inspect::{INDEX_BUFFER, Index, IndexEnd};
use amrelay::stats::Method;
use amrelay::tee::{Control, Output, Report, Tee};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::sandbox::{Refusal, refusing};
use crate::support::tee::*;

/// A tee that is not ended by then hangs.
const SOON: Duration = Duration::from_secs(30);

/// Whether it becomes readable in time.
fn is_readable_within(fd: BorrowedFd, time: Duration) -> bool {
    let limit = Timespec::try_from(time).unwrap();
    let mut entry = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut entry, Some(&limit)).unwrap() == 1
}

fn has_ended(tee: &Control) -> bool {
    is_readable_within(tee.ended(), Duration::ZERO)
}

/// Cancels a tee that is under way, and sees it end.
#[track_caller]
fn cancel(tee: Tee) -> Report {
    assert!(!has_ended(tee.control()), "it ended too soon");
    tee.control().cancel();
    assert!(is_readable_within(tee.control().ended(), SOON), "it hangs");
    tee.wait()
}

#[track_caller]
fn assert_cancelled(report: &Report, stream: &[u8]) {
    let error = report.output.as_ref().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED), "{report:?}");
    assert!(report.input.is_ok());
    let read = usize::try_from(report.read).unwrap();
    assert_eq!(report.crc, Some(reference_crc(&stream[..read])));
}

#[test]
fn a_tee_that_waits_for_its_writer_is_ended() {
    both_ways(|method| {
        let (tee, writer, reader) = start_between_pipes(Index::None, method);
        let mut writer = File::from(writer);
        let mut reader = File::from(reader);
        writer.write_all(b"abc").unwrap();
        let mut got = [0; 3];
        reader.read_exact(&mut got).unwrap();
        let report = cancel(tee);
        assert_cancelled(&report, b"abc");
        assert_eq!(report.stats.bytes, 3);
        assert_eq!(reader.read(&mut got).unwrap(), 0, "the output is closed");
        let error = writer.write_all(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_tee_that_waits_for_its_output_is_ended() {
    let stream = noise(8 << 20);
    both_ways(|method| {
        let (tee, writer, reader) = start_between_pipes(Index::None, method);
        let feeding = feed(writer, stream.clone());
        wait_until_full(&reader);
        let report = cancel(tee);
        assert_cancelled(&report, &stream);
        let bytes = usize::try_from(report.stats.bytes).unwrap();
        assert!(read_all(reader) == stream[..bytes]);
        assert!(feeding.join().unwrap().is_err());
    });
}

#[test]
fn a_tee_in_full_flow_is_ended() {
    both_ways(|method| {
        let (tee, writer, reader) = start_between_pipes(Index::None, method);
        let feeding = thread::spawn(move || {
            let mut writer = File::from(writer);
            while writer.write_all(&[0; 10 << 10]).is_ok() {}
        });
        let (passed, flowing) = mpsc::channel();
        let reading = thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while rustix::io::read(&reader, &mut buffer).unwrap() > 0 {
                let _ = passed.send(());
            }
        });
        for _ in 0..100 {
            flowing.recv().unwrap();
        }
        assert!(cancel(tee).output.is_err());
        feeding.join().unwrap();
        reading.join().unwrap();
    });
}

/// Lines of an index that nobody reads, more than may wait.
fn many_members() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("l".repeat(200));
    std::fs::create_dir(&long).unwrap();
    for number in 0..INDEX_BUFFER / 200 {
        File::create(long.join(format!("{number:0>150}"))).unwrap();
    }
    tar(directory.path())
}

#[test]
fn a_tee_that_waits_for_the_reader_of_the_index_is_ended() {
    let archive = many_members();
    both_ways(|method| {
        let (index_reader, index) = line_index();
        let (input, writer) = pipe();
        let (reader, output) = pipe();
        let seen = input.try_clone().unwrap();
        let tee = start(config(input, output, index, method));
        let feeding = feed(writer, archive.clone());
        let collecting = collect(reader);
        wait_until_full(&seen);
        drop(seen);
        let report = cancel(tee);
        assert_cancelled(&report, &archive);
        assert!(matches!(report.index, IndexEnd::Abandoned));
        let bytes = usize::try_from(report.stats.bytes).unwrap();
        assert!(collecting.join().unwrap() == archive[..bytes]);
        assert!(feeding.join().unwrap().is_err());
        drop(index_reader);
    });
}

/// The data is whole, and only what is left of the index is given up.
#[test]
fn a_tee_that_has_only_its_index_to_deliver_is_ended() {
    let archive = tree_archive();
    both_ways(|method| {
        let (index_reader, index) = one_page_pipe();
        let (tee, writer, reader) = start_between_pipes(Index::Tar(index.into()), method);
        assert_data_is_whole(tee, writer, reader, &archive);
        drop(index_reader);
    });
}

#[test]
fn a_tee_that_waits_for_its_index_command_is_ended() {
    let archive = tree_archive();
    both_ways(|method| {
        for refused in [None, Some(libc::SYS_pidfd_open)] {
            let (_reader, index) = command_index("cat >/dev/null; exec sleep 1000");
            let refusals: Vec<_> = refused
                .into_iter()
                .map(|call| Refusal::of(call, libc::ENOSYS))
                .collect();
            let (tee, writer, reader) = refusing(&refusals, || start_between_pipes(index, method));
            assert_data_is_whole(tee, writer, reader, &archive);
        }
    });
}

/// Cancels a tee whose output has all the data but whose index hangs.
#[track_caller]
fn assert_data_is_whole(tee: Tee, writer: OwnedFd, reader: OwnedFd, archive: &[u8]) {
    let feeding = feed(writer, archive.to_vec());
    assert!(read_all(reader) == archive);
    feeding.join().unwrap().unwrap();
    let report = cancel(tee);
    assert_report(&report, archive);
    assert!(matches!(report.index, IndexEnd::Abandoned), "{report:?}");
}

#[test]
fn an_index_command_is_waited_for_without_a_descriptor_of_it() {
    let (index_reader, index) = command_index("cat; sleep 0.1");
    let (tee, writer, reader) = refusing(&[Refusal::of(libc::SYS_pidfd_open, libc::EPERM)], || {
        start_between_pipes(index, Method::Copy)
    });
    feed(writer, b"bytes".to_vec()).join().unwrap().unwrap();
    assert_eq!(read_all(reader), b"bytes");
    assert_eq!(read_all(index_reader), b"bytes");
    assert!(tee.wait().index.is_ok());
}

#[test]
fn a_callback_that_waits_is_let_return() {
    let (input, writer) = pipe();
    feed(writer, b"bytes".to_vec()).join().unwrap().unwrap();
    let (entered, called) = mpsc::channel();
    let (go_on, held) = mpsc::channel::<()>();
    let output = Output::Callback(Box::new(move |_| {
        entered.send(()).unwrap();
        held.recv().unwrap();
        Ok(())
    }));
    let tee = start(config_to(input, output, Method::Copy));
    called.recv().unwrap();
    tee.control().cancel();
    assert!(!has_ended(tee.control()));
    go_on.send(()).unwrap();
    let report = tee.wait();
    assert_cancelled(&report, b"bytes");
    assert_eq!(report.stats.bytes, 5);
}

#[test]
fn a_tee_that_has_ended_cannot_be_cancelled() {
    let (tee, writer, reader) = start_between_pipes(Index::None, Method::Copy);
    assert!(!has_ended(tee.control()));
    feed(writer, b"bytes".to_vec()).join().unwrap().unwrap();
    assert_eq!(read_all(reader), b"bytes");
    assert!(is_readable_within(tee.control().ended(), SOON));
    let control = tee.control().clone();
    control.cancel();
    assert_report(&tee.wait(), b"bytes");
    assert!(has_ended(&control));
}

#[test]
fn a_tee_is_cancelled_while_another_thread_waits_for_it() {
    let (tee, _writer, _reader) = start_between_pipes(Index::None, Method::Copy);
    let control = tee.control().clone();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| tee.wait().output.is_err());
        control.cancel();
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn a_tee_that_panics_has_ended() {
    let (input, writer) = pipe();
    feed(writer, b"bytes".to_vec()).join().unwrap().unwrap();
    let output = Output::Callback(Box::new(|_| panic!("on purpose")));
    let tee = start(config_to(input, output, Method::Copy));
    assert!(is_readable_within(tee.control().ended(), SOON));
}

/// Whoever drops a tee leaves it to itself, and that is no cancellation.
#[test]
fn a_tee_that_was_dropped_goes_on() {
    let stream = noise(4 << 20);
    both_ways(|method| {
        let (tee, writer, reader) = start_between_pipes(Index::None, method);
        drop(tee);
        let feeding = feed(writer, stream.clone());
        assert!(read_all(reader) == stream);
        feeding.join().unwrap().unwrap();
    });
}
