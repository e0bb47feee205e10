//! Calls for tees.

use std::ffi::CStr;
use std::ptr::null_mut;

use amrelay::ffi::tee::{
    amrelay_tee, amrelay_tee_cancel, amrelay_tee_ended_fd, amrelay_tee_free,
    amrelay_tee_index_message, amrelay_tee_result, amrelay_tee_start, amrelay_tee_wait,
};
use amrelay::ffi::tee_options::{
    AMRELAY_TEE_TAKE_INDEX, AMRELAY_TEE_TAKE_INPUT, AMRELAY_TEE_TAKE_OUTPUT, amrelay_tee_options,
};
use arbitrary::Arbitrary;

use super::given::{Fd, Size, with_options, with_result};
use super::relay::take_back;
use super::{Host, MOST, callbacks, check, create, get, take};

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Call {
    Start {
        size: Size,
        flags: u8,
        input: Fd,
        output: Fd,
        index: Fd,
        kind: u8,
        out: bool,
    },
    Wait {
        tee: u8,
        size: Size,
    },
    EndedFd(u8),
    Free(u8),
}

/// Ends a tee, whatever it waits for.
pub(super) fn stop(tee: *mut amrelay_tee) {
    // SAFETY: NULL, or a tee that is not freed.
    check(unsafe { amrelay_tee_cancel(tee) });
}

impl Host {
    pub(super) fn tee(&self, call: Call) {
        // SAFETY: NULL, or tees that are not freed.
        unsafe {
            match call {
                Call::Start { .. } => self.start_tee(call),
                Call::Wait { tee, size } => {
                    let tee = get(&self.tees, tee);
                    stop(tee);
                    with_result(size, |result: *mut amrelay_tee_result| {
                        check(amrelay_tee_wait(tee, result))
                    });
                    CStr::from_ptr(amrelay_tee_index_message(tee))
                        .to_str()
                        .unwrap();
                }
                Call::EndedFd(tee) => {
                    let tee = get(&self.tees, tee);
                    let fd = amrelay_tee_ended_fd(tee);
                    assert_eq!(fd >= 0, !tee.is_null());
                }
                Call::Free(tee) => {
                    let tee = take(&self.tees, tee).unwrap_or(null_mut());
                    stop(tee);
                    amrelay_tee_free(tee);
                }
            }
        }
    }

    fn start_tee(&self, call: Call) {
        let Call::Start {
            size,
            flags,
            input,
            output,
            index,
            kind,
            out,
        } = call
        else {
            return;
        };
        if self.tees.borrow().len() >= MOST {
            return;
        }
        let flags = u32::from(flags % 64);
        let give = |fd: Fd, flag: u32| {
            if flags & flag == 0 {
                self.bank.number(fd)
            } else {
                self.bank.duplicate(fd)
            }
        };
        // SAFETY: of integers, pointers and optional functions; zeros are none.
        let mut options: amrelay_tee_options = unsafe { std::mem::zeroed() };
        options.flags = flags;
        options.input_fd = give(input, AMRELAY_TEE_TAKE_INPUT);
        options.output_fd = give(output, AMRELAY_TEE_TAKE_OUTPUT);
        options.write = (kind % 2 == 1).then_some(callbacks::tee_write);
        // A command only where it is missing: each would be a process.
        options.index = (kind / 2 % 4).into();
        options.index_fd = give(index, AMRELAY_TEE_TAKE_INDEX);
        options.error_fd = -1;
        let numbers = [options.input_fd, options.output_fd, options.index_fd];
        let made = with_options(size, options, |options| {
            // SAFETY: as the header wants it.
            create(out, |place| unsafe { amrelay_tee_start(options, place) })
        });
        let unused = made.is_none() || options.index == 0;
        let fds = [input, output, index];
        for (number, fd) in numbers
            .into_iter()
            .zip(fds)
            .skip(if made.is_some() { 2 } else { 0 })
        {
            if unused {
                take_back(number, self.bank.number(fd));
            }
        }
        self.tees.borrow_mut().extend(made);
    }
}
