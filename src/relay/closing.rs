//! How links and streams end: at the source's end, after a failure of the connection, or because the host wants it.

use super::connection::{Connection, Phase};
use super::schedule::Key;
use super::stream::{Carrier, StreamCore};
use crate::sys::Errno;

/// The connection has failed: ends every stream with `errno` (with `ECANCELED` if closing), then tells the host.
pub(super) fn fail(connection: &Connection, errno: Errno) {
    if connection.event_loop.is_given_up() {
        return;
    }
    let closing = connection.state.borrow().phase == Phase::Closing;
    connection.end(errno);
    end_streams(connection, if closing { Errno::CANCELED } else { errno });
    call_on_error(connection, errno);
    if closing {
        call_on_closed(connection);
    }
}

/// The time of a closing link is up. If the host did not turn its loop for a while, the connection may have had no
/// chance to take anything before the last pump; it has none either while a callback of the link runs.
pub(super) fn on_deadline(connection: &Connection) {
    if !connection.pumping.get() && !connection.has_progressed() {
        fail(connection, Errno::TIMEDOUT);
    }
}

/// Ends a closing link that has nothing left to write.
pub(super) fn end_if_written(connection: &Connection) {
    let state = connection.state.borrow();
    let written = state.phase == Phase::Closing && state.outgoing.is_empty();
    drop(state);
    if written {
        connection.end(Errno::CANCELED);
        // Some are left where an `on_end` turns the loop while the link is being closed.
        end_streams(connection, Errno::CANCELED);
        call_on_closed(connection);
    }
}

/// Closes a link that has ended with `errno`, and may still be telling its streams so.
pub(super) fn close_ended(connection: &Connection, errno: Errno) {
    // In an `on_end` of the link's failure the others have not been told of it yet.
    end_streams(connection, errno);
    call_on_error(connection, errno);
    call_on_closed(connection);
}

/// Ends the link and its streams without a word.
pub(super) fn abandon(connection: &Connection) {
    drop(connection.on_error.take());
    drop(connection.on_closed.take());
    connection.end(Errno::CANCELED);
    while let Some(stream) = connection.take_stream() {
        stream.abandon();
    }
}

/// A stream has no more to give, or cannot be read.
pub(super) fn end_stream(
    connection: &Connection,
    key: Key,
    stream: &StreamCore,
    end: Result<(), Errno>,
) {
    connection.detach(key);
    stream.end(end);
}

/// Ends the streams there are. Each stays the link's until its turn has come, for the host may free or close the link,
/// or give up the loop, as soon as it hears of the first.
pub(super) fn end_streams(connection: &Connection, errno: Errno) {
    while !connection.event_loop.is_given_up() {
        let Some(stream) = connection.take_stream() else {
            return;
        };
        stream.end(Err(errno));
    }
}

fn call_on_error(connection: &Connection, errno: Errno) {
    let on_error = connection.on_error.take();
    if let Some(on_error) = on_error.filter(|_| !connection.event_loop.is_given_up()) {
        on_error(errno);
    }
}

fn call_on_closed(connection: &Connection) {
    drop(connection.on_error.take());
    let on_closed = connection.on_closed.take();
    if let Some(on_closed) = on_closed.filter(|_| !connection.event_loop.is_given_up()) {
        on_closed();
    }
}
