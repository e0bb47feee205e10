//! The data path of an Amanda backup client: event loop, relay, tee and file index in one library with a C ABI.
//!
//! On a client, `sendbackup` runs the program that makes the backup, and `amandad` carries its output to the server.
//! Both can use this library in place of processes, threads and copies of their own. The way of the data:
//!
//! ```text
//!  tar --create                            writes the archive to a pipe
//!      │ pipe
//!      ▼
//!  sendbackup   tee ─────► index ──┐       one thread: passes every byte on, computes the CRC-32C,
//!      │ pipe                      │ pipe  lists the names in the archive
//!      ▼                           ▼
//!  amandad      stream DATA   stream INDEX   stream MESG …
//!                   └──────────────┼──────────────┘
//!                                link ◄────── control packets
//!                                  │       one event loop: never blocks, shares the connection fairly
//!                                  ▼ network
//!  server
//! ```
//!
//! On a restore the bytes come the other way: network → sink → pipe → tar.
//!
//! # The rooms
//!
//! Calls go one way: from `ffi` to the others, from `tee` and `relay` to what they stand on, and into `sys` last.
//!
//! | room | holds | stands on |
//! |---|---|---|
//! | [`tee`] | passing a stream on while it is inspected | `inspect`, `stats`, `sys` |
//! | [`inspect`] | looking at the bytes of a stream: CRC and index | `index`, `sys` |
//! | [`index`] | the tar reader | |
//! | [`relay`] | links, streams, sinks; frames and fair scheduling | `event`, `stats`, `sys` |
//! | [`event`] | the event loop: descriptors, timers, wait events | `sys` |
//! | [`stats`] | what a stage of the way waited for | |
//! | [`sys`] | every system call | the system |
//! | [`ffi`] | the C ABI, `include/amrelay.h` | all of them |
//!
//! A C program uses `include/amrelay.h`; a Rust program may use the rooms themselves.
//!
//! # Words
//!
//! The same ones everywhere: in the code, in the header, and in log lines.
//!
//! - **source**: a descriptor that bytes are read from, mostly the reading end of a pipe that a backup program fills.
//! - **link**: the writing side of one network connection, whatever is carried over it.
//! - **stream**: one source on its way into a link, from its first byte to its end.
//! - **frame**: what a stream is cut into where several share a connection: 4 bytes length, 4 bytes handle, both
//!   big-endian, then the bytes. Length 0 ends the stream. Amanda's source calls it a token
//!   (`common-src/security-util.c`).
//! - **handle**: the number of a stream in its frames. (The objects behind the pointers of the C ABI are called handles, too.)
//! - **sink**: a descriptor that bytes from the network are written to, and the queue before it.
//! - **high-water mark**, **low-water mark**: a sink with more queued bytes than the first asks for a pause of the
//!   connection; with no more than the second it lets the connection go on.
//! - **tee**: passes a stream on unchanged, and shows a copy of it to an inspector.
//! - **inspector**: makes CRC and index of the bytes that it is shown.
//! - **index**: the list of the names in a backup, one quoted line each, that the server keeps for browsing.
//! - **entry**: one line of the index.
//! - **indexer**: what makes the index: the tar reader of this library, or a command.
//! - **turn**: one round of the event loop: descriptors, deferred events, timers.
//! - **method**: how bytes are moved: copied, or spliced.
//! - **lent**, **taken**: a descriptor that stays the host's, and one the library closes.
//! - **host**: the program that uses the library.
//!
//! How things come to an end, one word for each way:
//!
//! - **end**: nothing is moved any more, whatever the reason. Each stream, sink, link, tee and index ends once, and its host
//!   is told once how.
//! - **fail**: to end with an error of the system's.
//! - **finish**: to say that nothing more will come. What is queued is still delivered, then comes the end. A sink, an index,
//!   an inspector.
//! - **close**: to finish a link: its streams end, and what is queued is still written. A descriptor is closed by close(2).
//! - **cancel**: to have a tee end soon, from any thread; its host is told, with `ECANCELED`. Streams that end because the
//!   host has closed their link are told the same.
//! - **abandon**: to end something at once and drop what is queued, without calling the host. What a handle leads to is
//!   abandoned with it, unless it has ended: in Rust when the handle is dropped, in C when it is freed.
//! - **detach**: to take a stream off its connection. A frame of it that was begun is completed.
//! - **release**: to remove an event from its loop.
//! - **quit**: to let the running of a loop return. Nothing ends.
//! - **give up**: to abandon a loop with all that is on it.
//! - **gone**: said of a peer, or of the reader of a pipe, that has closed its side.

pub mod event;
pub mod ffi;
pub mod index;
pub mod inspect;
pub mod relay;
pub mod stats;
pub mod sys;
pub mod tee;
