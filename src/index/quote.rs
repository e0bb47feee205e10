//! The listing's lines: a name as `tar -t` quotes it, without the dot that Amanda's `sed` removes.

use super::header::BLOCK;
use super::outcome::Omission;

/// Bytes gathered before they go to the sink.
const CAPACITY: usize = 16 * 1024;

/// The most bytes of a line for one byte of its name, `\ooo`, and of all lines for each byte of the stream.
///
/// A name that comes with its own member cannot exceed that. One that a global header gives to many members can: lines
/// beyond the bound are [left out](super::Outcome::Omitted), so that a small archive does not fill a disk with its
/// index.
pub const LINE_BYTES: u64 = 4;

/// Bytes of a name that are quoted at once, and the most bytes that result.
const CHUNK: usize = 1024;
const MOST_OF_A_CHUNK: usize = 4 * CHUNK;

/// Gathers lines, so that the sink is called once for many of them.
pub(super) struct Listing {
    gathered: Vec<u8>,
    lines: u64,
    /// Bytes of lines given to the sink so far.
    handed: u64,
    omitted: Omitted,
}

/// The lines that were left out so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Omitted {
    pub(super) lines: u64,
    /// Why the first one was left out, and the offset of its header.
    pub(super) first: Option<(Omission, u64)>,
}

impl Listing {
    pub(super) fn new() -> Self {
        Self {
            gathered: Vec::with_capacity(CAPACITY),
            lines: 0,
            handed: 0,
            omitted: Omitted::default(),
        }
    }

    /// Lines so far.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// The lines that were left out.
    pub(super) fn omitted(&self) -> Omitted {
        self.omitted
    }

    /// Adds the line of the member whose header is at `offset`, or leaves it out. The name holds no NUL.
    pub(super) fn line(
        &mut self,
        name: Result<&[u8], Omission>,
        offset: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) {
        match name.and_then(|name| self.check(name, offset)) {
            Ok(name) => self.print(name, sink),
            Err(why) => {
                self.omitted.lines += 1;
                self.omitted.first = self.omitted.first.or(Some((why, offset)));
            }
        }
    }

    /// Whether all lines, with the most that this name's can have, are within the bound for so much of the stream.
    fn check<'n>(&self, name: &'n [u8], offset: u64) -> Result<&'n [u8], Omission> {
        let before = self.handed + self.gathered.len() as u64;
        let most = before.saturating_add(LINE_BYTES * name.len() as u64 + 1);
        let seen = offset.saturating_add(BLOCK as u64);
        if most > seen.saturating_mul(LINE_BYTES) {
            return Err(Omission::NameRepeated);
        }
        Ok(name)
    }

    fn print(&mut self, name: &[u8], sink: &mut dyn FnMut(&[u8])) {
        // Amanda's filter is sed -e 's/^\.//' (client-src/sendbackup-gnutar.c).
        let name = name.strip_prefix(b".").unwrap_or(name);
        for chunk in name.chunks(CHUNK) {
            self.make_room(MOST_OF_A_CHUNK, sink);
            quote(chunk, &mut self.gathered);
        }
        self.make_room(1, sink);
        self.gathered.push(b'\n');
        self.lines += 1;
    }

    fn make_room(&mut self, bytes: usize, sink: &mut dyn FnMut(&[u8])) {
        if self.gathered.len() + bytes > CAPACITY {
            self.flush(sink);
        }
    }

    /// Gives the gathered lines to the sink.
    pub(super) fn flush(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if !self.gathered.is_empty() {
            sink(&self.gathered);
            self.handed += self.gathered.len() as u64;
            self.gathered.clear();
        }
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

/// GNU tar's default quoting style `escape` in the C locale (GNU tar manual, "Quoting Member
/// Names"): C escapes where there is one, else three octal digits.
fn quote(mut name: &[u8], out: &mut Vec<u8>) {
    // Nearly every name is plain, which vector units see at once where nothing ends the loop early.
    if name.iter().fold(true, |all, &byte| all & is_plain(byte)) {
        return out.extend_from_slice(name);
    }
    loop {
        let plain = name
            .iter()
            .position(|&byte| !is_plain(byte))
            .unwrap_or(name.len());
        out.extend_from_slice(&name[..plain]);
        let Some((&byte, rest)) = name[plain..].split_first() else {
            return;
        };
        let letter = match byte {
            0x07 => b'a',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0b => b'v',
            0x0c => b'f',
            b'\r' => b'r',
            b'\\' => b'\\',
            _ => 0,
        };
        if letter == 0 {
            let digit = |shift: u8| b'0' + ((byte >> shift) & 7);
            out.extend_from_slice(&[b'\\', digit(6), digit(3), digit(0)]);
        } else {
            out.extend_from_slice(&[b'\\', letter]);
        }
        name = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(names: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        let mut sink = |piece: &[u8]| all.extend_from_slice(piece);
        let mut listing = Listing::new();
        for name in names {
            listing.line(Ok(name), 1000, &mut sink);
        }
        listing.flush(&mut sink);
        all
    }

    #[test]
    fn only_one_leading_dot_goes() {
        let names: &[&[u8]] = &[
            b".", b"./", b"./x", b".x", b"..", b"../x", b"./.x", b"/abs", b"", b"a\n.b",
        ];
        let expected = b"\n/\n/x\nx\n.\n./x\n/.x\n/abs\n\na\\n.b\n";
        assert_eq!(lines(names), expected);
    }

    #[test]
    fn long_names_come_in_bounded_pieces() {
        let name = vec![0xff; 100_000];
        let mut all = Vec::new();
        let mut longest = 0;
        let mut sink = |piece: &[u8]| {
            longest = longest.max(piece.len());
            all.extend_from_slice(piece);
        };
        let mut listing = Listing::new();
        listing.line(Ok(&name), 100_000, &mut sink);
        listing.flush(&mut sink);
        assert!(longest <= CAPACITY);
        assert_eq!(all.len(), 400_001);
        assert!(all[..400_000].chunks(4).all(|escape| escape == b"\\377"));
    }

    #[test]
    fn lines_beyond_the_bound_are_left_out() {
        let mut listing = Listing::new();
        let mut all = Vec::new();
        let mut sink = |piece: &[u8]| all.extend_from_slice(piece);
        let name = [0xff; 1000];
        // A name needs room for all its bytes to be quoted, and a newline.
        for offset in [488, 489, 1488, 1489] {
            listing.line(Ok(&name), offset, &mut sink);
        }
        listing.line(Err(Omission::NameTooLong), 5000, &mut sink);
        listing.flush(&mut sink);
        assert_eq!((all.len(), listing.lines()), (8002, 2));
        let omitted = listing.omitted();
        assert_eq!(omitted.lines, 3);
        assert_eq!(omitted.first, Some((Omission::NameRepeated, 488)));
    }
}
