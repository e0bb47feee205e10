//! One stream and many, in one connection and in one each: throughput, processor time, fairness.

use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use amrelay::event::EventLoop;
use amrelay::relay::{Link, LinkKind, LinkOptions, StreamOptions, TapCallback};
use amrelay::stats::Method;
use amrelay::sys::{Descriptor, Errno};

use crate::ends::{Receiver, Writers, connection};
use crate::report::{Cost, Meter, Settings, figure};
use crate::rivals;

/// A pipe that a program gets without asking, and the largest it may have.
const ORDINARY_PIPE: usize = 64 * 1024;
const LARGE_PIPE: usize = 1024 * 1024;

/// How a connection carries its streams.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// All of them in frames.
    Framed,
    /// One.
    Raw,
}

/// Who carries the bytes.
#[derive(Clone, Copy)]
enum Carrier {
    Relay(Method),
    /// Splices, and nothing else.
    Splice,
    /// Reads and writes out of a pipe of the first size through a buffer of the second.
    Copy(usize, usize),
}

const RELAY: (&str, Carrier) = ("relay", Carrier::Relay(Method::Splice));
const COPYING_RELAY: (&str, Carrier) = ("relay copying", Carrier::Relay(Method::Copy));
const ALONE: [(&str, Carrier); 5] = [
    RELAY,
    ("bare splice", Carrier::Splice),
    COPYING_RELAY,
    (
        "read+write, 64 KiB",
        Carrier::Copy(ORDINARY_PIPE, 64 * 1024),
    ),
    ("read+write, 1 MiB", Carrier::Copy(LARGE_PIPE, 256 * 1024)),
];

/// The least that each of many streams carries: with less, a frame more or less would count as unfair.
const LEAST: usize = 16_000_000;

/// How often a round measures the carriers of one stream, in turn: their differences are small beside those from one
/// run to the next.
const TIMES_ALONE: usize = 3;

/// Measures each case once, those of one stream [`TIMES_ALONE`] times.
pub(crate) fn round(settings: &Settings) {
    let (counts, bytes): (&[usize], usize) = if settings.quick {
        (&[1, 16, 64], 512_000_000)
    } else {
        (&[1, 3, 16, 64, 256], 1_000_000_000)
    };
    for wire in [Wire::Framed, Wire::Raw] {
        // The first run after something else is slower.
        carry(wire, 1, bytes, RELAY.1);
        let mut alone = None;
        for &count in counts {
            let case = name(wire, count);
            let carriers = if count == 1 {
                ALONE.repeat(TIMES_ALONE)
            } else {
                vec![RELAY, COPYING_RELAY]
            };
            for (variant, carrier) in carriers {
                if !settings.wants(&case, variant) {
                    continue;
                }
                let bytes = bytes.max(count * LEAST) / count * count;
                let (cost, fairness) = carry(wire, count, bytes, carrier);
                cost.print(&case, variant, bytes);
                if count > 1 {
                    figure(&case, variant, "Jain index", fairness);
                }
                compare(&case, variant, carrier, count, (cost, bytes), &mut alone);
            }
        }
    }
}

fn name(wire: Wire, count: usize) -> String {
    let wire = match wire {
        Wire::Framed => "framed",
        Wire::Raw => "raw",
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{wire}, {count} stream{plural}")
}

/// Prints what many streams cost beside one, on the average of the same round.
fn compare(
    case: &str,
    variant: &str,
    carrier: Carrier,
    count: usize,
    (cost, bytes): (Cost, usize),
    alone: &mut Option<(Cost, usize)>,
) {
    if !matches!(carrier, Carrier::Relay(Method::Splice)) {
        return;
    }
    if count == 1 {
        *alone = Some(alone.map_or((cost, bytes), |(costs, all)| (costs + cost, all + bytes)));
    } else if let Some((one, one_bytes)) = *alone {
        let cpu = cost.relay_per_gib(bytes) / one.relay_per_gib(one_bytes);
        figure(case, variant, "CPU beside one stream", cpu);
        let speed = cost.speed(bytes) / one.speed(one_bytes);
        figure(case, variant, "GB/s beside one stream", speed);
    }
}

/// Carries `bytes` bytes in `count` equal streams.
fn carry(wire: Wire, count: usize, bytes: usize, carrier: Carrier) -> (Cost, f64) {
    let pipe = match carrier {
        // The relay enlarges its pipes itself.
        Carrier::Relay(_) => ORDINARY_PIPE,
        Carrier::Splice => LARGE_PIPE,
        Carrier::Copy(pipe, _) => pipe,
    };
    let (writers, mut sources) = Writers::new(count, pipe, bytes / count);
    let connections = if wire == Wire::Framed { 1 } else { count };
    let (mut connections, mut peers): (Vec<_>, Vec<_>) =
        (0..connections).map(|_| connection()).unzip();
    let receiver = match wire {
        Wire::Framed => Receiver::framed(peers.remove(0), count),
        Wire::Raw => Receiver::raw(peers),
    };
    let meter = Meter::start();
    match carrier {
        Carrier::Relay(method) => relay(sources, connections, wire, method),
        Carrier::Splice | Carrier::Copy(..) => {
            let (source, connection) = (sources.remove(0), connections.remove(0));
            match (carrier, wire) {
                (Carrier::Copy(_, size), Wire::Framed) => {
                    rivals::copy_frames(source, &connection, size);
                }
                (Carrier::Copy(_, size), Wire::Raw) => rivals::copy_raw(source, &connection, size),
                (_, Wire::Framed) => rivals::splice_frames(&source, &connection),
                (_, Wire::Raw) => rivals::splice_raw(&source, &connection),
            }
        }
    }
    let mut fairness = 0.0;
    let cost = meter.end(|| {
        fairness = receiver.join(bytes);
        writers.join()
    });
    (cost, fairness)
}

/// Links that are open yet.
type Links = Rc<RefCell<Vec<Option<Link>>>>;

/// Carries all streams to their ends with the library.
fn relay(sources: Vec<OwnedFd>, connections: Vec<TcpStream>, wire: Wire, method: Method) {
    let event_loop = EventLoop::new().unwrap();
    let kind = match wire {
        Wire::Framed => LinkKind::Framed,
        Wire::Raw => LinkKind::Raw,
    };
    let links: Links = Rc::default();
    for connection in connections {
        let link = link(&event_loop, connection, kind.clone());
        links.borrow_mut().push(Some(link));
    }
    let left = Rc::new(Cell::new(sources.len()));
    let mut running = Vec::new();
    for (number, source) in sources.into_iter().enumerate() {
        let (left, ended) = (Rc::clone(&left), Rc::clone(&links));
        let on_end = move |end: Result<(), Errno>| {
            assert_eq!(end, Ok(()));
            left.set(left.get() - 1);
            // The receiver of a raw link's stream knows the end by the end of its connection.
            if wire == Wire::Raw {
                let link = ended.borrow_mut()[number].take();
                drop(link);
            }
        };
        let options = StreamOptions {
            descriptor: Descriptor::from(source),
            handle: u32::try_from(number).unwrap(),
            bulk: true,
            tap: tap(method),
            on_end: Some(Rc::new(on_end)),
        };
        let place = if wire == Wire::Raw { number } else { 0 };
        let stream = links.borrow()[place].as_ref().unwrap().start(options);
        running.push(stream.unwrap());
    }
    event_loop.turns(false).unwrap();
    assert_eq!(left.get(), 0, "streams have not ended");
    assert!(running.iter().all(|stream| stream.stats().method == method));
}

pub(crate) fn link(event_loop: &EventLoop, connection: TcpStream, kind: LinkKind) -> Link {
    let options = LinkOptions {
        descriptor: Descriptor::from(OwnedFd::from(connection)),
        kind,
        frame_size: None,
        pipe_size: None,
        close_timeout: None,
        on_error: None,
        on_closed: None,
    };
    Link::new(event_loop, options).unwrap()
}

/// A tap keeps a stream from being spliced, and its pipe from being enlarged.
pub(crate) fn tap(method: Method) -> Option<TapCallback> {
    match method {
        Method::Copy => Some(Rc::new(|_| {})),
        Method::Splice => None,
    }
}
