//! A process that is out of descriptors: links close all the same. The limit is the whole process's, so this file has
//! one test.

use std::fs::File;
use std::io::Read;

use crate::support::alone::is_alone;
use crate::support::limit::NoDescriptors;
use crate::support::relay::*;
use amrelay::event::EventLoop;
use amrelay::relay::{Link, LinkKind, LinkOptions};

/// Closes a link with so many packets of so many bytes queued, and its descriptor at once. What the host was told, and
/// what arrived.
fn close_without_descriptors(packets: u32, length: usize) -> (Vec<i32>, usize, Vec<u8>) {
    let event_loop = EventLoop::new().unwrap();
    let (writing, reading) = connection(Wire::SocketPair);
    let (errors, closed) = (Codes::default(), Count::default());
    let options = LinkOptions {
        on_error: Some(errors.on_error()),
        on_closed: Some(closed.callback()),
        ..link_options(lend(&writing), LinkKind::Framed)
    };
    let link = Link::new(&event_loop, options).unwrap();
    for handle in 0..packets {
        link.send(handle, &data(handle, length)).unwrap();
    }
    {
        let _limit = NoDescriptors::new();
        link.close();
        drop(writing);
        event_loop.turns(false).unwrap();
    }
    let mut arrived = Vec::new();
    File::from(reading).read_to_end(&mut arrived).unwrap();
    (errors.get(), closed.get(), arrived)
}

#[test]
fn links_close_while_the_process_is_out_of_descriptors() {
    if !is_alone(
        module_path!(),
        "links_close_while_the_process_is_out_of_descriptors",
    ) {
        return;
    }
    let _watchdog = Watchdog::new();
    // Nothing to write: no descriptor is needed.
    let (errors, closed, arrived) = close_without_descriptors(0, 0);
    assert_eq!((errors, closed, arrived.len()), (vec![], 1, 0));

    // What the connection takes at once arrives.
    let (errors, closed, arrived) = close_without_descriptors(100, 100);
    assert_eq!((errors, closed), (vec![], 1));
    let expected: Vec<Frame> = (0..100).map(|handle| (handle, data(handle, 100))).collect();
    assert!(frames_of(&arrived) == expected);

    // What it does not take is lost, and the host is told.
    let (errors, closed, arrived) = close_without_descriptors(1, 1_000_000);
    assert_eq!((errors, closed), (vec![-libc::EMFILE], 1));
    assert!(!arrived.is_empty() && arrived.len() < 1_000_000);
}
