//! The portable way: read and write through one buffer.

use std::io;

use super::flow::{Flow, FlowError};

/// Passes the stream on to its end.
pub(super) fn run(flow: &mut Flow, buffer: &mut [u8]) -> Result<(), FlowError> {
    loop {
        let count = flow.receive(buffer)?;
        if count == 0 {
            return Ok(());
        }
        let bytes = &buffer[..count];
        // The output's reader works on its share while CRC and index are at it here.
        let offered = flow.offer(bytes);
        flow.sum(bytes);
        let taken = offered?;
        flow.list(bytes)?;
        flow.send(&bytes[taken..])?;
    }
}

/// Passes on exactly `count` bytes that CRC and index have seen already.
pub(super) fn pass_seen(
    flow: &mut Flow,
    mut count: usize,
    buffer: &mut [u8],
) -> Result<(), FlowError> {
    while count > 0 {
        let piece = count.min(buffer.len());
        let bytes = flow.receive(&mut buffer[..piece])?;
        if bytes == 0 {
            return Err(FlowError::Input(io::ErrorKind::UnexpectedEof.into()));
        }
        flow.send(&buffer[..bytes])?;
        count -= bytes;
    }
    Ok(())
}
