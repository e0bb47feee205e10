//! What a process holds and does whose connections take nothing more while all of its sources are full.
//!
//! Each variant is a process of its own, this program once more, since the figures are those of a whole process. They
//! are started together: what they do is sleep.

use std::env;
use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::rc::Rc;
use std::time::Duration;

use amrelay::event::{EventKind, EventLoop};
use amrelay::relay::{Link, LinkKind, Stream, StreamOptions};
use amrelay::stats::Method;
use amrelay::sys::Descriptor;
use rustix::time::ClockId;

use crate::ends::{connection, pipe};
use crate::report::{Settings, cpu, figure};
use crate::streams::{link, tap};

const STREAMS: usize = 64;
const STALL: Duration = Duration::from_secs(10);
/// Names the role, and so the process.
const ROLE: &str = "AMRELAY_BENCH_STALLED";

/// What is stalled, and how its bytes would move.
#[derive(Clone, Copy)]
pub(crate) struct Role {
    name: &'static str,
    connections: usize,
    method: Method,
}

const ROLES: [Role; 4] = [
    Role {
        name: "framed",
        connections: 1,
        method: Method::Splice,
    },
    Role {
        name: "framed, copying",
        connections: 1,
        method: Method::Copy,
    },
    Role {
        name: "raw",
        connections: STREAMS,
        method: Method::Splice,
    },
    Role {
        name: "raw, copying",
        connections: STREAMS,
        method: Method::Copy,
    },
];

fn case() -> String {
    format!("{STREAMS} stalled streams")
}

/// Measures each role once.
pub(crate) fn round(settings: &Settings) {
    let wanted = ROLES
        .iter()
        .filter(|role| settings.wants(&case(), role.name));
    let processes: Vec<Child> = wanted
        .map(|role| {
            let program = env::current_exe().unwrap();
            Command::new(program).env(ROLE, role.name).spawn().unwrap()
        })
        .collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
}

/// The role of this process, if it was started for one.
pub(crate) fn role() -> Option<Role> {
    let name = env::var(ROLE).ok()?;
    ROLES.into_iter().find(|role| role.name == name)
}

/// Stalls, and prints what that takes.
pub(crate) fn play(role: Role) {
    let event_loop = EventLoop::new().unwrap();
    let (connections, _peers): (Vec<TcpStream>, Vec<TcpStream>) =
        (0..role.connections).map(|_| connection()).unzip();
    let kind = if role.connections == 1 {
        LinkKind::Framed
    } else {
        LinkKind::Raw
    };
    let links: Vec<Link> = connections
        .into_iter()
        .map(|connection| link(&event_loop, connection, kind.clone()))
        .collect();
    let (_streams, writers): (Vec<Stream>, Vec<OwnedFd>) = (0..STREAMS)
        .map(|number| stream(&links[number % links.len()], number, role.method))
        .unzip();
    fill(&event_loop, &writers);
    let (before, cpu_before) = (State::now(), cpu(ClockId::ProcessCPUTime));
    let turns = wait(&event_loop, STALL);
    let used = cpu(ClockId::ProcessCPUTime).saturating_sub(cpu_before);
    print(role, &before, &State::now(), used, turns);
}

fn stream(link: &Link, number: usize, method: Method) -> (Stream, OwnedFd) {
    let (source, writer) = pipe(64 * 1024);
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let options = StreamOptions {
        descriptor: Descriptor::from(source),
        handle: u32::try_from(number).unwrap(),
        bulk: true,
        tap: tap(method),
        on_end: None,
    };
    (link.start(options).unwrap(), writer)
}

/// Fills the sources until nothing has moved for a while.
fn fill(event_loop: &EventLoop, writers: &[OwnedFd]) {
    let bytes = vec![7; 64 * 1024];
    let mut quiet = 0;
    while quiet < 10 {
        let mut moved = false;
        for writer in writers {
            while rustix::io::write(writer, &bytes).is_ok() {
                moved = true;
            }
        }
        wait(event_loop, Duration::from_millis(50));
        quiet = if moved { 0 } else { quiet + 1 };
    }
}

/// Turns the loop for so long; returns how many turns that took.
fn wait(event_loop: &EventLoop, time: Duration) -> u64 {
    let timer = event_loop.create(EventKind::Timer(time), Rc::new(|| {}));
    event_loop.activate(timer).unwrap();
    let turns = event_loop.wait(timer).unwrap();
    event_loop.release(timer);
    turns
}

/// What the process has and has done.
struct State {
    /// How often it went to sleep.
    sleeps: u64,
    /// KiB of memory, all of it and what is its own.
    resident: u64,
    anonymous: u64,
}

impl State {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let field = |name| status_field(&status, name).unwrap();
        Self {
            sleeps: field("voluntary_ctxt_switches"),
            resident: field("VmRSS"),
            anonymous: field("RssAnon"),
        }
    }
}

/// A number out of `/proc/PID/status` (proc(5)).
fn status_field(status: &str, name: &str) -> io::Result<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no {name}")))
}

fn print(role: Role, before: &State, after: &State, used: Duration, turns: u64) {
    let case = case();
    let print = |metric, value| figure(&case, role.name, metric, value);
    print("resident MiB", after.resident as f64 / 1024.0);
    print("anonymous MiB", after.anonymous as f64 / 1024.0);
    // Program text comes in as it is first used, so that only memory of its own says whether anything grows.
    let growth = after.anonymous as f64 - before.anonymous as f64;
    print("growth KiB in 10 s", growth);
    print("CPU ms in 10 s", used.as_secs_f64() * 1e3);
    // The one that is waited for is counted as well: 1 is a sleep that nothing has disturbed.
    print("sleeps in 10 s", (after.sleeps - before.sleeps) as f64);
    print("turns in 10 s", turns as f64);
}
