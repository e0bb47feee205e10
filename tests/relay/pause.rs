//! Streams that the host pauses: nothing more is read, nothing is lost, and the others go on.

use std::cell::RefCell;
use std::rc::Rc;

use crate::support::relay::*;
use amrelay::event::EventLoop;
use amrelay::relay::{LinkKind, Stream};

#[test]
fn a_paused_stream_is_not_read_while_another_goes_on() {
    for (wire, bulk) in [
        (Wire::Tcp, true),
        (Wire::Tcp, false),
        (Wire::Pipe(4096), true),
    ] {
        let event_loop = EventLoop::new().unwrap();
        let (writing, reading) = connection(wire);
        let link = link(&event_loop, writing, LinkKind::Framed);
        let codes = Codes::default();
        let bytes = data(1, 200_000);
        let paused = start(&link, filled_pipe(1 << 20, &bytes), 1, bulk, &codes);
        paused.pause();
        let others = Codes::default();
        let _other = start(&link, filled_pipe(65536, &data(2, 3000)), 2, false, &others);
        let receiver = read_in_thread(reading, 100_000);
        turn_until(&event_loop, || !others.get().is_empty());
        settle(&event_loop);
        assert_eq!(paused.stats().bytes, 0);
        assert!(codes.get().is_empty());

        paused.resume().unwrap();
        turn_until(&event_loop, || !codes.get().is_empty());
        assert_eq!((codes.get(), others.get()), (vec![0], vec![0]));
        drop(link);
        let streams = ended_streams(&frames_of(&receiver.join().unwrap()));
        assert!(streams[&1] == bytes && streams[&2] == data(2, 3000));
        paused.pause();
        paused.resume().unwrap();
    }
}

#[test]
fn a_stream_paused_in_its_tap_sends_the_rest_once_it_is_resumed() {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::SocketPair);
    let link = link(&event_loop, writing, LinkKind::Framed);
    let codes = Codes::default();
    let stream: Rc<RefCell<Option<Stream>>> = Rc::default();
    let bytes = data(1, 150_000);
    let mut options = stream_options(filled_pipe(1 << 20, &bytes), 1, true, &codes);
    let own = Rc::clone(&stream);
    options.tap = Some(Rc::new(move |_| own.borrow().as_ref().unwrap().pause()));
    *stream.borrow_mut() = Some(link.start(options).unwrap());
    let receiver = read_in_thread(reading, 100_000);

    let sent = || stream.borrow().as_ref().unwrap().stats().bytes;
    let mut before = 0;
    while codes.get().is_empty() {
        settle(&event_loop);
        if codes.get().is_empty() {
            assert!(sent() > before, "one frame a time");
            assert!(sent() - before <= 64 * 1024);
            before = sent();
            stream.borrow().as_ref().unwrap().resume().unwrap();
        }
    }
    assert_eq!((codes.get(), sent()), (vec![0], 150_000));
    drop(link);
    let streams = ended_streams(&frames_of(&receiver.join().unwrap()));
    assert!(streams[&1] == bytes);
}
