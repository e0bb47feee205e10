//! Calls for links, streams and sinks.

use std::ffi::c_int;
use std::ptr::null_mut;

use amrelay::ffi::link::{
    amrelay_link_close, amrelay_link_free, amrelay_link_new, amrelay_link_options,
    amrelay_link_send,
};
use amrelay::ffi::sink::{
    AMRELAY_SINK_TAKE, amrelay_sink_finish, amrelay_sink_free, amrelay_sink_new,
    amrelay_sink_options, amrelay_sink_push, amrelay_sink_stats,
};
use amrelay::ffi::stats::amrelay_stats;
use amrelay::ffi::stream::{
    amrelay_stream_free, amrelay_stream_options, amrelay_stream_start, amrelay_stream_stats,
};
use arbitrary::Arbitrary;

use super::given::{Buffer, Fd, Size, with_options, with_result};
use super::{Context, Host, MOST, argument, callbacks, check, create, get};

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Call {
    LinkNew {
        event_loop: u8,
        size: Size,
        kind: u8,
        fd: Fd,
        frame: u32,
        sealed: bool,
        out: bool,
    },
    LinkSend {
        link: u8,
        handle: u32,
        bytes: Buffer,
    },
    LinkClose(u8),
    LinkFree(u8),
    StreamStart {
        link: u8,
        size: Size,
        fd: Fd,
        flags: u8,
        tapped: bool,
        out: bool,
    },
    StreamStats {
        stream: u8,
        size: Size,
    },
    StreamFree(u8),
    SinkNew {
        event_loop: u8,
        size: Size,
        fd: Fd,
        flags: u8,
        marks: (u16, u16),
        out: bool,
    },
    SinkPush {
        sink: u8,
        bytes: Buffer,
    },
    SinkFinish(u8),
    SinkStats {
        sink: u8,
        size: Size,
    },
    SinkFree(u8),
}

/// A handle with its context.
type Entry<T> = (*mut T, *const Context);

fn handle<T>(entries: &std::cell::RefCell<Vec<Entry<T>>>, choice: u8) -> *mut T {
    entries
        .borrow()
        .get(usize::from(choice) % (MOST + 1))
        .map_or(null_mut(), |entry| entry.0)
}

fn take<T>(entries: &std::cell::RefCell<Vec<Entry<T>>>, choice: u8) -> Option<Entry<T>> {
    let mut entries = entries.borrow_mut();
    let place = usize::from(choice) % (MOST + 1);
    (place < entries.len()).then(|| entries.remove(place))
}

impl Host {
    pub(super) fn relay(&self, call: Call) {
        // SAFETY: NULL, or handles that are not freed; buffers are as long as is said.
        unsafe {
            match call {
                Call::LinkNew { .. } => self.new_link(call),
                Call::StreamStart { .. } => self.start_stream(call),
                Call::SinkNew { .. } => self.new_sink(call),
                Call::LinkSend {
                    link,
                    handle: number,
                    bytes,
                } => {
                    let bytes = bytes.make();
                    let link = handle(&self.links, link);
                    check(amrelay_link_send(link, number, bytes.start, bytes.length));
                }
                Call::LinkClose(_)
                | Call::LinkFree(_)
                | Call::StreamFree(_)
                | Call::SinkFree(_) => {
                    self.free(call);
                }
                Call::StreamStats { stream, size } => {
                    let stream = handle(&self.streams, stream);
                    with_result(size, |stats: *mut amrelay_stats| {
                        check(amrelay_stream_stats(stream, stats))
                    });
                }
                Call::SinkPush { sink, bytes } => {
                    let bytes = bytes.make();
                    let sink = handle(&self.sinks, sink);
                    check(amrelay_sink_push(sink, bytes.start, bytes.length));
                }
                Call::SinkFinish(sink) => {
                    check(amrelay_sink_finish(handle(&self.sinks, sink)));
                }
                Call::SinkStats { sink, size } => {
                    let sink = handle(&self.sinks, sink);
                    with_result(size, |stats: *mut amrelay_stats| {
                        check(amrelay_sink_stats(sink, stats))
                    });
                }
            }
        }
    }

    fn new_link(&self, call: Call) {
        let Call::LinkNew {
            event_loop,
            size,
            kind,
            fd,
            frame,
            sealed,
            out,
        } = call
        else {
            return;
        };
        if self.links.borrow().len() >= MOST {
            return;
        }
        let context = self.context();
        // SAFETY: of integers, pointers and optional functions; zeros are none.
        let mut options: amrelay_link_options = unsafe { std::mem::zeroed() };
        options.kind = (kind % 4).into();
        options.fd = self.bank.number(fd);
        options.on_error = Some(callbacks::failed);
        options.on_closed = Some(callbacks::closed);
        // Missing in one call of four.
        options.write = (kind / 4 % 4 > 0).then_some(callbacks::write);
        options.seal = sealed.then_some(callbacks::seal);
        options.seal_free = sealed.then_some(callbacks::seal_free);
        options.arg = argument(context);
        options.frame_size = (frame % 5_000_000) as usize;
        let event_loop = get(&self.loops, event_loop);
        let made = with_options(size, options, |options| {
            // SAFETY: NULL, or a loop that is not freed; the rest is as the header wants it.
            create(out, |place| unsafe {
                amrelay_link_new(event_loop, options, place)
            })
        });
        self.links
            .borrow_mut()
            .extend(made.map(|link| (link, context)));
    }

    fn start_stream(&self, call: Call) {
        let Call::StreamStart {
            link,
            size,
            fd,
            flags,
            tapped,
            out,
        } = call
        else {
            return;
        };
        if self.streams.borrow().len() >= MOST {
            return;
        }
        let context = self.context();
        // SAFETY: as for links.
        let mut options: amrelay_stream_options = unsafe { std::mem::zeroed() };
        options.fd = self.bank.number(fd);
        options.handle = (flags / 4).into();
        options.flags = (flags % 4).into();
        options.tap = tapped.then_some(callbacks::tapped);
        options.on_end = Some(callbacks::ended);
        options.arg = argument(context);
        let link = handle(&self.links, link);
        let made = with_options(size, options, |options| {
            // SAFETY: NULL, or a link that is not freed; the rest is as the header wants it.
            create(out, |place| unsafe {
                amrelay_stream_start(link, options, place)
            })
        });
        self.streams
            .borrow_mut()
            .extend(made.map(|stream| (stream, context)));
    }

    fn new_sink(&self, call: Call) {
        let Call::SinkNew {
            event_loop,
            size,
            fd,
            flags,
            marks,
            out,
        } = call
        else {
            return;
        };
        if self.sinks.borrow().len() >= MOST {
            return;
        }
        let context = self.context();
        let flags = u32::from(flags % 4);
        let given_away = flags & AMRELAY_SINK_TAKE != 0;
        // SAFETY: as for links.
        let mut options: amrelay_sink_options = unsafe { std::mem::zeroed() };
        options.fd = if given_away {
            self.bank.duplicate(fd)
        } else {
            self.bank.number(fd)
        };
        options.flags = flags;
        options.high_water = marks.0.into();
        options.low_water = marks.1.into();
        options.on_resume = Some(callbacks::resumed);
        options.on_end = Some(callbacks::ended);
        options.arg = argument(context);
        let number = options.fd;
        let event_loop = get(&self.loops, event_loop);
        let made = with_options(size, options, |options| {
            // SAFETY: NULL, or a loop that is not freed; the rest is as the header wants it.
            create(out, |place| unsafe {
                amrelay_sink_new(event_loop, options, place)
            })
        });
        if given_away && made.is_none() {
            take_back(number, self.bank.number(fd));
        }
        self.sinks
            .borrow_mut()
            .extend(made.map(|sink| (sink, context)));
    }

    fn free(&self, call: Call) {
        // SAFETY: NULL, or handles that are not freed, and are not used again.
        unsafe {
            match call {
                Call::LinkClose(choice) => {
                    let link = take(&self.links, choice).map_or(null_mut(), |entry| entry.0);
                    assert_eq!(check(amrelay_link_close(link)) == 0, !link.is_null());
                }
                Call::LinkFree(choice) => {
                    amrelay_link_free(retired(take(&self.links, choice)));
                }
                Call::StreamFree(choice) => {
                    amrelay_stream_free(retired(take(&self.streams, choice)));
                }
                Call::SinkFree(choice) => {
                    amrelay_sink_free(retired(take(&self.sinks, choice)));
                }
                _ => unreachable!("frees nothing"),
            }
        }
    }
}

/// A handle whose functions may not be called any more, or NULL.
fn retired<T>(entry: Option<Entry<T>>) -> *mut T {
    entry.map_or(null_mut(), |(handle, context)| {
        Context::close(context);
        handle
    })
}

/// After a failure what was to be given away is still the caller's.
pub(super) fn take_back(number: c_int, lent: c_int) {
    if number != lent {
        // SAFETY: the duplicate that was made for the call.
        assert_eq!(unsafe { libc::close(number) }, 0, "a failed call closed it");
    }
}
