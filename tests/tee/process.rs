//! What a tee leaves behind in its process. One test, because it looks at the whole process.

use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use amrelay::inspect::{Index, IndexEnd};
use amrelay::stats::Method;

use crate::support::alone::is_alone;
use crate::support::tee::*;

#[test]
fn nothing_is_left_behind_and_no_sigpipe_gets_through() {
    if !is_alone(
        module_path!(),
        "nothing_is_left_behind_and_no_sigpipe_gets_through",
    ) {
        return;
    }
    // The test harness ignores SIGPIPE; a host may have it at its default, which ends the process.
    // SAFETY: no handler is installed, and no other thread depends on the disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let archive = tree_archive();
    let before = descriptors();
    both_ways(|method| {
        let outcome = through_tee(&archive, method);
        outcome.assert_data(&archive);

        let (index_reader, index) = line_index();
        let (gone_reader, gone) = pipe();
        drop(gone_reader);
        let (input, writer) = pipe();
        let report = run(config(input, gone, index, method));
        assert!(report.output.is_err());
        drop((writer, index_reader));

        for command in ["cat >/dev/null", "exit 1", "head -c 5"] {
            let (index_reader, index) = command_index(command);
            let outcome = through(pipe(), pipe(), &archive, index, index_reader, method);
            outcome.assert_data(&archive);
        }
    });
    assert_eq!(
        through_tee(&archive, Method::Splice).report.stats.method,
        Method::Splice
    );
    assert!(index_without_standard_input(&archive) == archive);
    assert_standard_numbers_stay_closed();
    assert!(matches!(index_of_lost_child(&archive), IndexEnd::Failed(_)));
    assert_eq!(descriptors(), before);
    assert!(!sigpipe_is_blocked_or_pending());
    // SAFETY: waits for children of this process only; a null status is allowed.
    let child = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
    assert_eq!(child, -1, "an index command is left over");
}

/// Runs `test` while this process has closed these of its standard descriptors.
fn without<T>(standard: &[RawFd], test: impl FnOnce() -> T) -> T {
    let kept: Vec<_> = (standard.iter())
        .map(|&number| {
            // SAFETY: the number is put back below, and nothing but `test` uses it meanwhile.
            let kept = unsafe { libc::fcntl(number, libc::F_DUPFD, 3) };
            assert!(kept > libc::STDERR_FILENO);
            // SAFETY: as above.
            unsafe { libc::close(number) };
            (number, kept)
        })
        .collect();
    let result = test();
    for (number, kept) in kept {
        // SAFETY: both numbers are of this function.
        unsafe {
            libc::dup2(kept, number);
            libc::close(kept);
        }
    }
    result
}

/// What an index command reads where the host has closed its standard input, so that the first new descriptor has its
/// number.
fn index_without_standard_input(archive: &[u8]) -> Vec<u8> {
    let (index_reader, index) = command_index("cat");
    let (input, output) = (pipe(), pipe());
    let outcome = without(&[libc::STDIN_FILENO], || {
        through(input, output, archive, index, index_reader, Method::Copy)
    });
    outcome.assert_data(archive);
    outcome.index
}

/// A tee in a host that has closed its standard input and output does not take their numbers: what is printed there would
/// get among the bytes that it looks at.
fn assert_standard_numbers_stay_closed() {
    let (input, writer) = pipe();
    let (reader, output) = pipe();
    let config = config(input, output, Index::None, Method::Splice);
    let (mut writer, mut reader) = (File::from(writer), File::from(reader));
    let closed = [libc::STDIN_FILENO, libc::STDOUT_FILENO];
    let (tee, taken) = without(&closed, || {
        let tee = start(config);
        writer.write_all(b"some bytes").unwrap();
        reader.read_exact(&mut [0; 10]).unwrap();
        // SAFETY: only asks.
        let taken = closed.map(|number| unsafe { libc::fcntl(number, libc::F_GETFD) } != -1);
        (tee, taken)
    });
    assert_eq!(taken, [false; 2]);
    drop(writer);
    assert!(tee.wait().output.is_ok());
}

/// How an index ends whose command cannot be run, since it is longer than Linux takes it, while nobody may wait for
/// children: the standard library then looks for the one whose exec has failed in vain.
fn index_of_lost_child(archive: &[u8]) -> IndexEnd {
    let (index_reader, index) = command_index(&"x".repeat(1 << 20));
    // SAFETY: no handler is installed, and this test has no other children now.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let outcome = through(pipe(), pipe(), archive, index, index_reader, Method::Splice);
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    outcome.assert_data(archive);
    outcome.report.index
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn sigpipe_is_blocked_or_pending() -> bool {
    let mut blocked = MaybeUninit::uninit();
    let mut pending = MaybeUninit::uninit();
    // SAFETY: both calls fill in the sets before they are looked at; a null new mask changes nothing.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), blocked.as_mut_ptr());
        libc::sigpending(pending.as_mut_ptr());
        libc::sigismember(blocked.as_ptr(), libc::SIGPIPE) == 1
            || libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1
    }
}
