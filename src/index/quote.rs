//! The listing's lines: a name as `tar -t` quotes it, without the dot that Amanda's `sed` removes.

/// Bytes gathered before they go to the sink.
const CAPACITY: usize = 16 * 1024;

/// Bytes of a name quoted at once; each grows to at most four.
const CHUNK: usize = 1024;

/// Gathers lines, so that the sink is called once for many of them.
pub(super) struct Listing {
    gathered: Vec<u8>,
    lines: u64,
}

impl Listing {
    pub(super) fn new() -> Self {
        Self {
            gathered: Vec::with_capacity(CAPACITY),
            lines: 0,
        }
    }

    /// Lines so far.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Adds the line of one name, which holds no NUL.
    pub(super) fn line(&mut self, name: &[u8], sink: &mut dyn FnMut(&[u8])) {
        // Amanda's filter is sed -e 's/^\.//' (client-src/sendbackup-gnutar.c).
        let name = name.strip_prefix(b".").unwrap_or(name);
        for chunk in name.chunks(CHUNK) {
            self.make_room(4 * CHUNK, sink);
            quote(chunk, &mut self.gathered);
        }
        self.make_room(1, sink);
        self.gathered.push(b'\n');
        self.lines = self.lines.saturating_add(1);
    }

    fn make_room(&mut self, bytes: usize, sink: &mut dyn FnMut(&[u8])) {
        if self.gathered.len() + bytes > CAPACITY {
            self.flush(sink);
        }
    }

    /// Hands over what was gathered.
    pub(super) fn flush(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if !self.gathered.is_empty() {
            sink(&self.gathered);
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
            let digit = |shift: u8| b'0' + (byte >> shift & 7);
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
            listing.line(name, &mut sink);
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
        listing.line(&name, &mut sink);
        listing.flush(&mut sink);
        assert!(longest <= CAPACITY);
        assert_eq!(all.len(), 400_001);
        assert!(all[..400_000].chunks(4).all(|escape| escape == b"\\377"));
    }
}
