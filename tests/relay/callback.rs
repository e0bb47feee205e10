//! Links whose host writes and encrypts itself, as OpenSSL and Kerberos want it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;

use crate::support::relay::*;
use amrelay::event::EventLoop;
use amrelay::relay::frame::{HEADER_BYTES, MAX_FRAME};
use amrelay::relay::{Callbacks, Link, LinkKind, Stream, Taken};

/// A host's connection that takes what it likes, and checks how it is called.
#[derive(Default)]
struct Host {
    output: RefCell<Vec<u8>>,
    /// Where in the frame under way the connection is, and how long that frame is.
    taken: Cell<usize>,
    length: Cell<usize>,
    /// The address and length of a call that was refused.
    refused: Cell<Option<(usize, usize)>>,
    random: Cell<u64>,
    calls: Cell<usize>,
}

impl Host {
    fn random(&self, below: usize) -> usize {
        let next = self
            .random
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random.set(next);
        usize::try_from(next >> 33).unwrap() % below
    }

    /// One call never spans two frames, and a refused one comes again with the same bytes at the same place.
    fn check(&self, bytes: &[u8]) {
        self.calls.set(self.calls.get() + 1);
        let call = (bytes.as_ptr() as usize, bytes.len());
        if let Some(refused) = self.refused.take() {
            assert_eq!(call, refused, "the call after a refusal differs from it");
        }
        if self.taken.get() == 0 {
            let length = u32::from_be_bytes(bytes[..4].try_into().unwrap());
            self.length.set(HEADER_BYTES + length as usize);
        }
        assert_eq!(
            self.taken.get() + bytes.len(),
            self.length.get(),
            "one frame, to its end"
        );
    }

    fn take(&self, bytes: &[u8], count: usize) -> Taken {
        self.output.borrow_mut().extend_from_slice(&bytes[..count]);
        let taken = self.taken.get() + count;
        self.taken
            .set(if taken == self.length.get() { 0 } else { taken });
        Taken::Bytes(count)
    }

    fn refuse(&self, bytes: &[u8], taken: Taken) -> Taken {
        self.refused
            .set(Some((bytes.as_ptr() as usize, bytes.len())));
        taken
    }
}

/// A link to a host that takes parts, refuses to write, and refuses until it can read, at random.
fn random_link(event_loop: &EventLoop, host: &Rc<Host>, seal: bool, closed: &Count) -> Link {
    let (writing, peer) = connection(Wire::SocketPair);
    let readable = writing.as_fd().try_clone_to_owned().unwrap();
    let host = Rc::clone(host);
    let wants_read = Cell::new(false);
    let (peer, readable) = (
        RefCell::new(File::from(peer)),
        RefCell::new(File::from(readable)),
    );
    let write = move |bytes: &[u8]| {
        host.check(bytes);
        if wants_read.take() {
            // The byte that the call waited for.
            readable.borrow_mut().read_exact(&mut [0])?;
        }
        Ok(match host.random(4) {
            0 => host.refuse(bytes, Taken::WantWrite),
            1 => {
                wants_read.set(true);
                peer.borrow_mut().write_all(b"r")?;
                host.refuse(bytes, Taken::WantRead)
            }
            2 => host.take(bytes, bytes.len()),
            _ => host.take(bytes, 1 + host.random(bytes.len())),
        })
    };
    let mut options = link_options(
        writing,
        LinkKind::Callback(Callbacks {
            write: Rc::new(write),
            seal: if seal {
                Some(Rc::new(seal_payload))
            } else {
                None
            },
        }),
    );
    options.on_closed = Some(closed.callback());
    Link::new(event_loop, options).unwrap()
}

/// A cipher that changes every byte and the length.
#[expect(clippy::unnecessary_wraps, reason = "the signature is the relay's")]
fn seal_payload(payload: &[u8], sealed: &mut Vec<u8>) -> io::Result<()> {
    assert!(!payload.is_empty());
    sealed.extend(payload.iter().map(|byte| byte ^ 0x5a));
    sealed.extend_from_slice(b"seal");
    Ok(())
}

fn unseal((handle, payload): Frame) -> Frame {
    if payload.is_empty() {
        return (handle, payload);
    }
    let (sealed, trailer) = payload.split_at(payload.len() - 4);
    assert_eq!(trailer, b"seal");
    (handle, sealed.iter().map(|byte| byte ^ 0x5a).collect())
}

fn carry(seed: u64, seal: bool) {
    let event_loop = EventLoop::new().unwrap();
    let host = Rc::new(Host::default());
    host.random.set(seed);
    let closed = Count::default();
    let link = random_link(&event_loop, &host, seal, &closed);
    let codes = Codes::default();
    let tapped = Rc::new(RefCell::new(Vec::new()));
    let mut expected = BTreeMap::new();
    let mut streams: Vec<Stream> = Vec::new();
    for (handle, length) in (0_u32..).zip([0, 1, 50_000, 400_000, 65_536]) {
        let mut options = stream_options(
            filled_pipe(1 << 20, &data(handle, length)),
            handle,
            handle % 2 == 1,
            &codes,
        );
        if handle == 3 {
            let tapped = Rc::clone(&tapped);
            options.tap = Some(Rc::new(move |bytes: &[u8]| {
                tapped.borrow_mut().extend_from_slice(bytes);
            }));
        }
        streams.push(link.start(options).unwrap());
        expected.insert(handle, data(handle, length));
    }
    for number in 100..110 {
        link.send(number, b"control").unwrap();
        link.send(number, b"").unwrap();
        expected.insert(number, b"control".to_vec());
    }
    event_loop.turns(false).unwrap();
    assert_eq!(codes.get(), [0; 5]);
    link.close();
    assert_eq!(closed.get(), 1);
    let mut frames = frames_of(&host.output.borrow());
    let largest = frames.iter().map(|frame| frame.1.len()).max().unwrap();
    assert_eq!(largest, 65_536 + if seal { 4 } else { 0 });
    if seal {
        frames = frames.into_iter().map(unseal).collect();
    }
    assert!(ended_streams(&frames) == expected);
    assert!(
        *tapped.borrow() == data(3, 400_000),
        "the tap sees the bytes as they were"
    );
}

#[test]
fn partial_takes_and_refusals_lose_nothing() {
    for seed in 0..30 {
        carry(seed, false);
    }
}

#[test]
fn payloads_are_sealed_one_by_one() {
    for seed in 0..30 {
        carry(seed, true);
    }
}

#[test]
fn a_closed_link_goes_on_calling_until_everything_is_taken() {
    for seed in 0..30 {
        let event_loop = EventLoop::new().unwrap();
        let host = Rc::new(Host::default());
        host.random.set(seed);
        let closed = Count::default();
        let link = random_link(&event_loop, &host, true, &closed);
        for number in 0..20 {
            link.send(number, &data(number, 10_000)).unwrap();
        }
        link.close();
        assert_eq!(closed.get(), 0);
        event_loop.turns(false).unwrap();
        assert_eq!(closed.get(), 1);
        let frames: Vec<Frame> = frames_of(&host.output.borrow())
            .into_iter()
            .map(unseal)
            .collect();
        let expected: Vec<Frame> = (0..20)
            .map(|number| (number, data(number, 10_000)))
            .collect();
        assert!(frames == expected);
    }
}

/// Runs one stream over a link with these callbacks; says with what the stream and the link ended.
fn codes_of(callbacks: Callbacks) -> (Vec<i32>, Vec<i32>) {
    let event_loop = EventLoop::new().unwrap();
    let (writing, _peer) = connection(Wire::SocketPair);
    let (errors, codes) = (Codes::default(), Codes::default());
    let mut options = link_options(writing, LinkKind::Callback(callbacks));
    options.on_error = Some(errors.on_error());
    let link = Link::new(&event_loop, options).unwrap();
    let _stream = start(&link, filled_pipe(65536, b"data"), 1, false, &codes);
    event_loop.turns(false).unwrap();
    (codes.get(), errors.get())
}

#[test]
fn an_error_of_a_callback_ends_the_link() {
    let failing = |code: i32| Callbacks {
        write: Rc::new(move |_: &[u8]| Err(io::Error::from_raw_os_error(code))),
        seal: None,
    };
    let code = vec![-libc::ETIMEDOUT];
    assert_eq!(codes_of(failing(libc::ETIMEDOUT)), (code.clone(), code));
    let unsealed = Callbacks {
        write: Rc::new(|bytes: &[u8]| Ok(Taken::Bytes(bytes.len()))),
        seal: Some(Rc::new(|_: &[u8], _: &mut Vec<u8>| {
            Err(io::Error::from_raw_os_error(libc::EACCES))
        })),
    };
    let code = vec![-libc::EACCES];
    assert_eq!(codes_of(unsealed), (code.clone(), code));
}

#[test]
fn a_callback_that_takes_nothing_or_too_much_ends_the_link() {
    for wrong in [0, 1000] {
        let wrong = Callbacks {
            write: Rc::new(move |_: &[u8]| Ok(Taken::Bytes(wrong))),
            seal: None,
        };
        let code = vec![-libc::EINVAL];
        assert_eq!(codes_of(wrong), (code.clone(), code));
    }
}

#[test]
fn a_sealed_payload_of_nothing_or_too_much_ends_the_link() {
    for length in [0, MAX_FRAME + 1] {
        let wrong = Callbacks {
            write: Rc::new(|bytes: &[u8]| Ok(Taken::Bytes(bytes.len()))),
            seal: Some(Rc::new(move |_: &[u8], sealed: &mut Vec<u8>| {
                sealed.resize(sealed.len() + length, 1);
                Ok(())
            })),
        };
        let code = vec![-libc::EMSGSIZE];
        assert_eq!(codes_of(wrong), (code.clone(), code));
    }
}
