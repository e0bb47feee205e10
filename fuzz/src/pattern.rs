//! Bytes that tell which stream they belong to, and where in it.

/// The byte at a place of a stream.
fn byte(stream: usize, at: usize) -> u8 {
    let mixed = at.wrapping_mul(31) ^ (at >> 8).wrapping_mul(7) ^ stream.wrapping_mul(97);
    mixed.to_le_bytes()[0]
}

/// The bytes of a stream from one place on.
pub fn bytes(stream: usize, from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| byte(stream, at)).collect()
}

/// Fails unless `bytes` are those of the stream from its begin on, as far as they go.
pub fn check(stream: usize, given: &[u8]) {
    let wrong = given
        .iter()
        .enumerate()
        .find(|&(at, &got)| got != byte(stream, at));
    assert!(wrong.is_none(), "stream {stream}: (place, byte) {wrong:?}");
}
