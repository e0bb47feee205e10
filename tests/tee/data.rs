//! The data's way through the tee: every byte arrives, whatever the two ends are and do.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use amrelay::index::Outcome as TarOutcome;
use amrelay::inspect::{Index, IndexEnd};
use amrelay::stats::Method;
use amrelay::sys::Descriptor;
use amrelay::tee::{Config, Output};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::fcntl_getpipe_size;

use crate::support::sandbox::{Refusal, refusing};
use crate::support::tee::*;

#[test]
fn gnu_tars_stream_passes_with_its_crc_and_index() {
    let directory = tempfile::tempdir().unwrap();
    make_tree(directory.path());
    let archive = tar(directory.path());
    let index = reference_index(&archive);
    both_ways(|method| {
        let (index_reader, index_side) = line_index();
        let (tee, writer, reader) = start_between_pipes(index_side, method);
        let mut child = start_tar(directory.path(), writer);
        let (collecting, indexing) = (collect(reader), collect(index_reader));
        let report = tee.wait();
        assert!(child.wait().unwrap().success());
        assert_report(&report, &archive);
        assert!(collecting.join().unwrap() == archive);
        assert_eq!(
            String::from_utf8_lossy(&indexing.join().unwrap()),
            String::from_utf8_lossy(&index)
        );
        let lines = String::from_utf8_lossy(&index).lines().count();
        assert_eq!(report.entries, lines as u64);
        assert!(matches!(
            report.index,
            IndexEnd::Tar(TarOutcome::Complete { end_mark: true })
        ));
    });
}

#[test]
fn bytes_are_copied_and_spliced_only_where_that_is_asked_for() {
    let archive = tree_archive();
    assert_eq!(
        through_tee(&archive, Method::Splice).report.stats.method,
        Method::Splice
    );
    assert_eq!(
        through_tee(&archive, Method::default()).report.stats.method,
        Method::Copy
    );
}

#[test]
fn the_host_chooses_the_largest_pipe() {
    for (wanted, expected, method) in [
        (None, 1 << 20, Method::Splice),
        (Some(1 << 19), 1 << 19, Method::Splice),
        (Some(1), 1 << 16, Method::Copy),
    ] {
        let (input, writer) = pipe();
        let (reader, output) = pipe();
        let mut config = config(input, output, Index::None, Method::Splice);
        config.pipe_size = wanted;
        let feeding = feed(writer, vec![7; 1000]);
        let report = run(config);
        feeding.join().unwrap().unwrap();
        assert_eq!(report.stats.method, method);
        assert_eq!(fcntl_getpipe_size(&reader), Ok(expected));
    }
}

#[test]
fn several_tees_run_at_once() {
    let archive = tree_archive();
    let index = reference_index(&archive);
    thread::scope(|scope| {
        for number in 0..6 {
            let (archive, index) = (&archive, &index);
            scope.spawn(move || {
                let method = [Method::Splice, Method::Copy][number % 2];
                let outcome = through_tee(archive, method);
                outcome.assert_data(archive);
                assert!(outcome.index == *index);
            });
        }
    });
}

#[test]
fn two_tees_in_a_row_with_a_compressor_between() {
    let archive = tree_archive();
    let index = reference_index(&archive);
    both_ways(|method| {
        let (input, writer) = pipe();
        let (plain_reader, plain) = pipe();
        let (packed_reader, packed) = pipe();
        let (reader, output) = pipe();
        let (index_reader, index_side) = line_index();
        let mut gzip = Command::new("gzip")
            .arg("-1")
            .stdin(plain_reader)
            .stdout(packed)
            .spawn()
            .unwrap();
        let indexing = collect(index_reader);
        let native = start(config(input, plain, index_side, method));
        let client = start(config(packed_reader, output, Index::None, method));
        let (feeding, collecting) = (feed(writer, archive.clone()), collect(reader));
        let compressed = collecting.join().unwrap();
        feeding.join().unwrap().unwrap();
        assert!(gzip.wait().unwrap().success());
        assert_report(&native.wait(), &archive);
        assert_report(&client.wait(), &compressed);
        assert!(indexing.join().unwrap() == index);
        assert!(gunzip(&compressed) == archive);
    });
}

fn gunzip(compressed: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let feeding = feed(child.stdin.take().unwrap().into(), compressed.to_vec());
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap().unwrap();
    output.stdout
}

#[test]
fn pipes_of_one_page_that_cannot_be_enlarged() {
    let archive = tree_archive();
    let index = reference_index(&archive);
    both_ways(|method| {
        // The refusal to enlarge refuses to shrink, too.
        let (input, output) = (one_page_pipe(), one_page_pipe());
        let (index_reader, index_writer) = one_page_pipe();
        let index_side = Index::Tar(index_writer.into());
        let outcome = refusing(&[Refusal::of_enlarging()], || {
            through(input, output, &archive, index_side, index_reader, method)
        });
        outcome.assert_data(&archive);
        assert!(outcome.index == index);
        assert_eq!(outcome.report.stats.method, Method::Copy);
    });
}

#[test]
fn default_pipes_that_cannot_be_enlarged() {
    let archive = tree_archive();
    both_ways(|method| {
        let outcome = refusing(&[Refusal::of_enlarging()], || through_tee(&archive, method));
        outcome.assert_data(&archive);
        assert_eq!(outcome.report.stats.method, Method::Copy);
    });
}

#[test]
fn writes_of_one_byte() {
    let archive = tar(tempfile::tempdir().unwrap().path());
    both_ways(|method| {
        let (index_reader, index) = line_index();
        let (tee, writer, reader) = start_between_pipes(index, method);
        let collecting = collect(reader);
        let mut writer = File::from(writer);
        for byte in &archive {
            writer.write_all(&[*byte]).unwrap();
        }
        drop(writer);
        assert_report(&tee.wait(), &archive);
        assert!(collecting.join().unwrap() == archive);
        assert_eq!(read_all(index_reader), b"/\n");
    });
}

#[test]
fn a_stalled_output_reader_holds_the_writer_and_loses_nothing() {
    let archive = tree_archive();
    both_ways(|method| {
        let (tee, writer, reader) = start_between_pipes(Index::None, method);
        let feeding = feed(writer, archive.clone());
        wait_until_full(&reader);
        assert!(!feeding.is_finished());
        assert!(read_all(reader) == archive);
        feeding.join().unwrap().unwrap();
        let report = tee.wait();
        assert_report(&report, &archive);
        assert!(!report.stats.output.is_zero());
    });
}

#[test]
fn the_index_goes_on_while_the_output_is_stalled() {
    let archive = tree_archive();
    let index = reference_index(&archive);
    both_ways(|method| {
        let (index_reader, index_side) = line_index();
        let (tee, writer, reader) = start_between_pipes(index_side, method);
        let feeding = feed(writer, archive.clone());
        wait_until_full(&reader);
        let mut first = [0; 2];
        rustix::io::read(&index_reader, &mut first).unwrap();
        assert_eq!(&first, b"/\n");
        let indexing = collect(index_reader);
        assert!(read_all(reader) == archive);
        feeding.join().unwrap().unwrap();
        assert_report(&tee.wait(), &archive);
        assert!(indexing.join().unwrap() == index[2..]);
    });
}

#[test]
fn an_empty_stream() {
    both_ways(|method| {
        let outcome = through_tee(b"", method);
        outcome.assert_data(b"");
        assert!(outcome.index.is_empty());
        assert!(matches!(
            outcome.report.index,
            IndexEnd::Tar(TarOutcome::Damaged { .. })
        ));
    });
}

#[test]
fn files_and_sockets_at_the_ends() {
    let archive = tree_archive();
    both_ways(|method| {
        let mut source = tempfile::tempfile().unwrap();
        source.write_all(&archive).unwrap();
        std::io::Seek::rewind(&mut source).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        let target = tempfile::NamedTempFile::new().unwrap();
        let first = start(config(source.into(), near.into(), Index::None, method));
        let output = target.reopen().unwrap().into();
        let second = start(config(far.into(), output, Index::None, method));
        assert_report(&first.wait(), &archive);
        assert_report(&second.wait(), &archive);
        assert!(std::fs::read(target.path()).unwrap() == archive);
    });
}

#[test]
fn a_callback_gets_every_byte() {
    let archive = tree_archive();
    both_ways(|method| {
        let (input, writer) = pipe();
        let feeding = feed(writer, archive.clone());
        let received = Arc::new(Mutex::new(Vec::new()));
        let store = Arc::clone(&received);
        let output = Output::Callback(Box::new(move |bytes| {
            store.lock().unwrap().extend_from_slice(bytes);
            Ok(())
        }));
        let report = run(config_to(input, output, method));
        feeding.join().unwrap().unwrap();
        assert_report(&report, &archive);
        assert!(*received.lock().unwrap() == archive);
    });
}

#[test]
fn the_mode_of_lent_files_is_left_alone_and_both_modes_work() {
    let archive = tree_archive();
    both_ways(|method| {
        for mode in [OFlags::empty(), OFlags::NONBLOCK] {
            let (input, writer) = pipe();
            let (reader, output) = pipe();
            let (index_reader, index) = pipe();
            for fd in [&input, &output, &index] {
                fcntl_setfl(fd, fcntl_getfl(fd).unwrap() | mode).unwrap();
            }
            let kept: Vec<OwnedFd> = [&input, &output, &index]
                .map(|fd| fd.try_clone().unwrap())
                .into();
            let feeding = feed(writer, archive.clone());
            let collecting = collect_exactly(reader, archive.len());
            let index_size = reference_index(&archive).len();
            let indexing = collect_exactly(index_reader, index_size);
            let report = run(config(input, output, Index::Tar(index.into()), method));
            feeding.join().unwrap().unwrap();
            assert_report(&report, &archive);
            assert!(collecting.join().unwrap().0 == archive);
            assert_eq!(indexing.join().unwrap().0.len(), index_size);
            for fd in &kept {
                assert_eq!(fcntl_getfl(fd).unwrap() & OFlags::NONBLOCK, mode);
            }
        }
    });
}

/// For pipes whose writing end stays open; the reading end does so, too.
fn collect_exactly(reader: OwnedFd, length: usize) -> thread::JoinHandle<(Vec<u8>, File)> {
    thread::spawn(move || {
        let mut bytes = vec![0; length];
        let mut reader = File::from(reader);
        std::io::Read::read_exact(&mut reader, &mut bytes).unwrap();
        (bytes, reader)
    })
}

#[test]
fn lent_descriptors_stay_open() {
    both_ways(|method| {
        let (input, writer) = pipe();
        let (reader, output) = pipe();
        feed(writer, b"some bytes".to_vec())
            .join()
            .unwrap()
            .unwrap();
        // SAFETY: both stay open until the tee has ended.
        let [lent_input, lent_output] =
            unsafe { [&input, &output].map(|fd| Descriptor::lend(fd.as_raw_fd())) };
        let report = run(Config {
            input: lent_input,
            output: Output::Descriptor(lent_output),
            crc: true,
            index: Index::None,
            method,
            pipe_size: None,
        });
        assert_report(&report, b"some bytes");
        assert!(fcntl_getfl(input.as_fd()).is_ok());
        rustix::io::write(&output, b", and more").unwrap();
        drop(output);
        assert_eq!(read_all(reader), b"some bytes, and more");
    });
}

#[test]
fn without_crc_and_index_the_bytes_pass_all_the_same() {
    let archive = tree_archive();
    let index = reference_index(&archive);
    both_ways(|method| {
        for with_index in [false, true] {
            let (input, writer) = pipe();
            let (reader, output) = pipe();
            let (index_reader, lines) = line_index();
            let (feeding, collecting) = (feed(writer, archive.clone()), collect(reader));
            let indexing = collect(index_reader);
            let index_side = if with_index {
                lines
            } else {
                drop(lines);
                Index::None
            };
            let report = run(Config {
                crc: false,
                ..config(input, output, index_side, method)
            });
            feeding.join().unwrap().unwrap();
            assert_eq!(
                (report.crc, report.stats.bytes),
                (None, archive.len() as u64)
            );
            assert!(collecting.join().unwrap() == archive);
            let expected: &[u8] = if with_index { &index } else { b"" };
            assert!(indexing.join().unwrap() == expected);
            assert!(report.index.is_ok(), "{}", report.index);
        }
    });
}

/// Where neither CRC nor index needs the bytes, nothing but the end of an input tells of it.
#[test]
fn an_end_behind_a_full_output_is_seen() {
    let bytes = noise(1 << 20);
    let (input, writer) = pipe();
    let (reader, output) = pipe();
    let (ended, end) = mpsc::channel();
    let config = Config {
        crc: false,
        ..config(input, output, Index::None, Method::Splice)
    };
    thread::spawn(move || {
        let _ = ended.send(run(config));
    });
    feed(writer, bytes.clone()).join().unwrap().unwrap();
    let report = end
        .recv_timeout(Duration::from_secs(30))
        .expect("the tee does not see the end of its input");
    assert_eq!(report.stats.method, Method::Splice);
    assert!(report.output.is_ok());
    assert!(read_all(reader) == bytes);
}

/// A reader that takes a little at a time, but often, is what is waited for, not the writer.
#[test]
fn a_slow_output_reader_is_who_was_waited_for() {
    let bytes = noise(16 << 20);
    both_ways(|method| {
        for crc in [true, false] {
            let (input, writer) = pipe();
            let (reader, output) = pipe();
            let feeding = feed(writer, bytes.clone());
            let reading = thread::spawn(move || {
                let mut buffer = vec![0; 32 << 10];
                while rustix::io::read(&reader, &mut buffer).unwrap() > 0 {
                    thread::sleep(Duration::from_micros(300));
                }
            });
            let report = run(Config {
                crc,
                ..config(input, output, Index::None, method)
            });
            feeding.join().unwrap().unwrap();
            reading.join().unwrap();
            let stats = report.stats;
            assert!(stats.output > stats.writer, "crc {crc}: {stats:?}");
        }
    });
}
