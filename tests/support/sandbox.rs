//! A thread in which the kernel refuses chosen system calls (seccomp(2)), to test what happens on systems that lack
//! them.

use std::thread;

/// One refusal: the call's number, the value of its second argument if only that is refused, the error.
pub(crate) struct Refusal {
    call: libc::c_long,
    second_argument: Option<u32>,
    errno: i32,
}

impl Refusal {
    pub(crate) fn of(call: libc::c_long, errno: i32) -> Self {
        Self {
            call,
            second_argument: None,
            errno,
        }
    }

    /// Pipes cannot be enlarged: `pipe-user-pages-soft` is used up.
    pub(crate) fn of_enlarging() -> Self {
        Self {
            call: libc::SYS_fcntl,
            second_argument: Some(u32::try_from(libc::F_SETPIPE_SZ).unwrap()),
            errno: libc::EPERM,
        }
    }
}

/// Runs `test` in a thread with the refusals. Threads started by it inherit them.
pub(crate) fn refusing<T: Send>(refusals: &[Refusal], test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            install(&program(refusals));
            test()
        });
        thread.join().unwrap()
    })
}

/// Offsets in `struct seccomp_data` (linux/seccomp.h).
const NUMBER: u32 = 0;
const SECOND_ARGUMENT_LOW: u32 = if cfg!(target_endian = "little") {
    24
} else {
    28
};

fn program(refusals: &[Refusal]) -> Vec<libc::sock_filter> {
    let mut program = Vec::new();
    for refusal in refusals {
        program.push(load(NUMBER));
        let answer = libc::SECCOMP_RET_ERRNO | u32::try_from(refusal.errno).unwrap();
        if let Some(value) = refusal.second_argument {
            program.push(unless_equal(u32::try_from(refusal.call).unwrap(), 3));
            program.push(load(SECOND_ARGUMENT_LOW));
            program.push(unless_equal(value, 1));
        } else {
            program.push(unless_equal(u32::try_from(refusal.call).unwrap(), 1));
        }
        program.push(answer_with(answer));
    }
    program.push(answer_with(libc::SECCOMP_RET_ALLOW));
    program
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset)
}

fn unless_equal(value: u32, skip: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, value)
}

fn answer_with(value: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, value)
}

fn instruction(code: u32, skip_if_false: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: 0,
        jf: skip_if_false,
        k,
    }
}

fn install(program: &[libc::sock_filter]) {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap(),
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the program outlives the calls; the kernel copies it and writes nothing through the pointer.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter),
            0
        );
    }
}
