//! The network's bytes into a pipe that may be slow: order, pauses, ends.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use crate::support::relay::*;
use amrelay::event::EventLoop;
use amrelay::relay::frame::MAX_FRAME;
use amrelay::relay::{Error, Sink, SinkOptions};
use amrelay::sys::Descriptor;

const HIGH: usize = 100_000;
const LOW: usize = 30_000;

struct Fixture {
    event_loop: EventLoop,
    sink: Sink,
    reading: Option<OwnedFd>,
    resumed: Count,
    codes: Codes,
}

fn sink(size: usize) -> Fixture {
    let event_loop = EventLoop::new().unwrap();
    let (reading, writing) = pipe(size);
    let (resumed, codes) = (Count::default(), Codes::default());
    let options = SinkOptions {
        descriptor: Descriptor::from(writing),
        high_water: Some(HIGH),
        low_water: Some(LOW),
        on_resume: Some(resumed.callback()),
        on_end: Some(codes.callback()),
    };
    Fixture {
        sink: Sink::new(&event_loop, options).unwrap(),
        event_loop,
        reading: Some(reading),
        resumed,
        codes,
    }
}

#[test]
fn a_slow_reader_pauses_the_network_and_gets_everything_in_order() {
    for size in [4096, 65536, 1 << 20] {
        let mut fixture = sink(size);
        let bytes = data(1, 5_000_000);
        let receiver = read_in_thread(fixture.reading.take().unwrap(), 1000);
        let mut pauses = 0;
        for piece in bytes.chunks(9_999) {
            let resumed = fixture.resumed.get();
            if fixture.sink.push(piece).unwrap() {
                pauses += 1;
                assert!(fixture.sink.queued_bytes() > HIGH);
                turn_until(&fixture.event_loop, || fixture.resumed.get() > resumed);
                assert!(fixture.sink.queued_bytes() <= LOW);
            }
            assert!(fixture.sink.queued_bytes() <= HIGH + 9_999);
        }
        assert_eq!(fixture.resumed.get(), pauses);
        assert!(pauses > 0 || size == 1 << 20);
        fixture.sink.finish().unwrap();
        assert_eq!(
            fixture.codes.get(),
            [],
            "the host is called back from the loop alone"
        );
        fixture.event_loop.turns(false).unwrap();
        assert_eq!(fixture.codes.get(), [0]);
        assert_eq!(fixture.sink.stats().bytes, 5_000_000);
        assert!(receiver.join().unwrap() == bytes, "{size}");
    }
}

#[test]
fn a_sink_that_has_resumed_pauses_again() {
    let mut fixture = sink(4096);
    let mut reader = File::from(fixture.reading.take().unwrap());
    let mut all = Vec::new();
    for round in 1..=3 {
        while !fixture.sink.push(&[7; 5_000]).unwrap() {}
        assert!(fixture.sink.push(b"").unwrap(), "still paused");
        while fixture.resumed.get() < round {
            let mut some = [0; 4096];
            let count = reader.read(&mut some).unwrap();
            all.extend_from_slice(&some[..count]);
            settle(&fixture.event_loop);
        }
        assert_eq!(fixture.resumed.get(), round);
    }
    assert!(all.iter().all(|&byte| byte == 7));
}

#[test]
fn a_reader_that_has_gone_is_reported_once_and_later_pushes_are_refused() {
    // While bytes are queued, and when the next push finds it out.
    for queued in [200_000, 0] {
        let mut fixture = sink(4096);
        fixture.sink.push(&data(1, queued)).unwrap();
        drop(fixture.reading.take());
        if queued == 0 {
            assert!(matches!(fixture.sink.push(b"x"), Err(Error::System(_))));
            assert_eq!(fixture.codes.get(), []);
        }
        fixture.event_loop.turns(false).unwrap();
        assert_eq!(fixture.codes.get(), [-libc::EPIPE]);
        assert_eq!(fixture.sink.queued_bytes(), 0);
        let Err(Error::System(error)) = fixture.sink.push(b"x") else {
            panic!("the push is refused");
        };
        assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
        assert!(fixture.sink.finish().is_err());
        fixture.event_loop.turns(false).unwrap();
        assert_eq!(fixture.codes.get().len(), 1);
    }
}

#[test]
fn finishing_closes_the_descriptor_before_the_host_is_told() {
    let mut fixture = sink(4096);
    let receiver = read_in_thread(fixture.reading.take().unwrap(), 4096);
    fixture.sink.push(&data(1, 90_000)).unwrap();
    fixture.sink.finish().unwrap();
    assert!(matches!(fixture.sink.push(b"x"), Err(Error::State(_))));
    assert!(matches!(fixture.sink.finish(), Err(Error::State(_))));
    fixture.event_loop.turns(false).unwrap();
    assert_eq!(fixture.codes.get(), [0]);
    // The sink is still there; only its closing the pipe ends the reader.
    assert!(receiver.join().unwrap() == data(1, 90_000));
    assert!(matches!(fixture.sink.push(b"x"), Err(Error::State(_))));
}

#[test]
fn an_empty_sink_closes_at_once_and_tells_from_the_loop() {
    let mut fixture = sink(4096);
    let reading = fixture.reading.take().unwrap();
    rustix::io::ioctl_fionbio(&reading, true).unwrap();
    fixture.sink.finish().unwrap();
    assert_eq!(rustix::io::read(&reading, &mut [0; 1]), Ok(0));
    assert!(fixture.codes.get().is_empty());
    fixture.event_loop.turns(false).unwrap();
    assert_eq!(fixture.codes.get(), [0]);
}

#[test]
fn a_lent_descriptor_stays_open() {
    let event_loop = EventLoop::new().unwrap();
    let (reading, writing) = pipe(4096);
    let codes = Codes::default();
    let options = SinkOptions {
        // SAFETY: the descriptor outlives the sink.
        descriptor: unsafe { Descriptor::lend(writing.as_raw_fd()) },
        high_water: None,
        low_water: None,
        on_resume: None,
        on_end: Some(codes.callback()),
    };
    let sink = Sink::new(&event_loop, options).unwrap();
    sink.push(b"one").unwrap();
    sink.finish().unwrap();
    event_loop.turns(false).unwrap();
    assert_eq!(codes.get(), [0]);
    rustix::io::write(&writing, b"two").unwrap();
    let mut six = [0; 6];
    File::from(reading).read_exact(&mut six).unwrap();
    assert_eq!(&six, b"onetwo");
}

#[test]
fn a_push_beyond_the_bound_is_refused_whole() {
    let mut fixture = sink(4096);
    let bytes = data(1, HIGH + MAX_FRAME + 1);
    assert!(matches!(fixture.sink.push(&bytes), Err(Error::Limit(_))));
    assert_eq!(fixture.sink.queued_bytes(), 0);
    assert!(fixture.sink.push(&bytes[..HIGH]).is_ok());
    let queued = fixture.sink.queued_bytes();
    assert!(matches!(
        fixture.sink.push(&bytes[queued..]),
        Err(Error::Limit(_))
    ));
    assert_eq!(fixture.sink.queued_bytes(), queued);
    let receiver = read_in_thread(fixture.reading.take().unwrap(), 65536);
    fixture.sink.finish().unwrap();
    fixture.event_loop.turns(false).unwrap();
    assert!(receiver.join().unwrap() == bytes[..HIGH]);
}

#[test]
fn a_high_water_mark_may_be_as_high_as_can_be() {
    let event_loop = EventLoop::new().unwrap();
    let (reading, writing) = pipe(4096);
    let options = SinkOptions {
        descriptor: Descriptor::from(writing),
        high_water: Some(usize::MAX),
        low_water: None,
        on_resume: None,
        on_end: None,
    };
    let sink = Sink::new(&event_loop, options).unwrap();
    let bytes = data(1, MAX_FRAME + 1);
    for piece in bytes.chunks(1 << 20) {
        assert!(!sink.push(piece).unwrap());
    }
    let receiver = read_in_thread(reading, 65536);
    sink.finish().unwrap();
    event_loop.turns(false).unwrap();
    assert!(receiver.join().unwrap() == bytes);
}

#[test]
fn water_marks_upside_down_are_refused() {
    let event_loop = EventLoop::new().unwrap();
    let options = SinkOptions {
        descriptor: Descriptor::from(pipe(4096).1),
        high_water: Some(10),
        low_water: Some(11),
        on_resume: None,
        on_end: None,
    };
    assert!(matches!(
        Sink::new(&event_loop, options),
        Err(Error::Argument(_))
    ));
}

/// In `on_resume` the host frees the sink, or pushes until it is paused again.
#[test]
fn callbacks_may_free_the_sink_and_push_to_it() {
    for free in [true, false] {
        let event_loop = EventLoop::new().unwrap();
        let (reading, writing) = pipe(4096);
        let held: Rc<RefCell<Option<Sink>>> = Rc::default();
        let codes = Codes::default();
        let weak = Rc::downgrade(&held);
        let on_resume = move || {
            let held = weak.upgrade().unwrap();
            if free {
                drop(held.take());
            } else {
                let sink = held.borrow();
                sink.as_ref().unwrap().push(b"the end").unwrap();
                sink.as_ref().unwrap().finish().unwrap();
            }
        };
        let options = SinkOptions {
            descriptor: Descriptor::from(writing),
            high_water: Some(HIGH),
            low_water: Some(LOW),
            on_resume: Some(Rc::new(on_resume)),
            on_end: Some(codes.callback()),
        };
        let sink = Sink::new(&event_loop, options).unwrap();
        assert!(sink.push(&data(1, 200_000)).unwrap());
        *held.borrow_mut() = Some(sink);
        let receiver = read_in_thread(reading, 4096);
        event_loop.turns(false).unwrap();
        let arrived = receiver.join().unwrap();
        if free {
            assert!(arrived.len() >= 200_000 - LOW && arrived.len() <= 200_000);
            assert_eq!(codes.get(), []);
        } else {
            assert!(arrived.ends_with(b"the end") && arrived.len() == 200_007);
            assert_eq!(codes.get(), [0]);
        }
    }
}

#[test]
fn a_sink_stands_still_once_its_loop_is_given_up() {
    let event_loop = EventLoop::new().unwrap();
    let (reading, writing) = pipe(4096);
    let (resumed, codes) = (Count::default(), Codes::default());
    let (given_up, told) = (event_loop.clone(), resumed.callback());
    let options = SinkOptions {
        descriptor: Descriptor::from(writing),
        high_water: Some(HIGH),
        low_water: Some(LOW),
        on_resume: Some(Rc::new(move || {
            told();
            given_up.release_all();
        })),
        on_end: Some(codes.callback()),
    };
    let sink = Sink::new(&event_loop, options).unwrap();
    assert!(sink.push(&data(1, 200_000)).unwrap());
    let receiver = read_in_thread(reading, 4096);
    event_loop.turns(false).unwrap();
    let queued = sink.queued_bytes();
    assert!(queued > 0 && queued <= LOW, "{queued}");
    assert!(sink.finish().is_err(), "nobody is there to tell of the end");
    event_loop.turns(false).unwrap();
    assert_eq!((resumed.get(), codes.get()), (1, vec![]));
    drop(sink);
    assert_eq!(receiver.join().unwrap().len(), 200_000 - queued);
}
