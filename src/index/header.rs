//! One 512-byte header block: is it one, of which class, and what its fields say.
//!
//! Layouts: POSIX.1-1988 `ustar`; GNU tar manual, "Basic Tar Format", for the gnu and star ones.

use super::number::{self, MAX_OFFSET, Notation};

/// Bytes in a block, the unit of a tar stream.
pub(super) const BLOCK: usize = 512;

/// Room for the longest name a header can hold: prefix, slash, name.
pub(super) const FIELD_NAME: usize = 155 + 1 + 100;

const CHECKSUM: std::ops::Range<usize> = 148..156;
const MAGIC: usize = 257;

/// What a block is where a header is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All zeros: the end mark.
    Zero,
    /// The checksum fits.
    Good,
    /// Anything else.
    Bad,
}

/// Which tar a header follows, as far as it changes the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// No known magic.
    V7,
    /// GNU tar's `gnu` and `oldgnu`.
    Gnu,
    /// POSIX.1-1988.
    Ustar,
    /// `ustar` with times in octal where the prefix would end (Schily's star).
    Star,
    /// `ustar` behind an extended header.
    Posix,
}

/// A view of a header block.
#[derive(Clone, Copy)]
pub(super) struct Header<'a>(pub(super) &'a [u8; BLOCK]);

impl<'h> Header<'h> {
    /// Judges the checksum, as GNU tar does: the checksum field counts as spaces, and either the
    /// sum of unsigned or the sum of signed bytes may match (some old tars added signed ones).
    pub(super) fn kind(self) -> Kind {
        let total = sum(self.0);
        if total == 0 {
            return Kind::Zero;
        }
        let field = &self.0[CHECKSUM];
        let in_field = field.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let unsigned = total - in_field + 8 * u32::from(b' ');
        let Some(recorded) = number::field(field, Notation::Octal, 0, MAX_OFFSET) else {
            return Kind::Bad;
        };
        if recorded == u64::from(unsigned) || Some(recorded) == self.signed_sum(unsigned) {
            Kind::Good
        } else {
            Kind::Bad
        }
    }

    fn signed_sum(self, unsigned: u32) -> Option<u64> {
        let high = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte >> 7)).sum::<u32>();
        let negative = high(self.0) - high(&self.0[CHECKSUM]);
        unsigned.checked_sub(256 * negative).map(u64::from)
    }

    fn has_ustar_magic(self) -> bool {
        self.0[MAGIC..].starts_with(b"ustar\0")
    }

    fn has_gnu_magic(self) -> bool {
        self.0[MAGIC..].starts_with(b"ustar  \0")
    }

    /// The class; `extended` tells whether an extended header is in force for this member.
    pub(super) fn class(self, extended: bool) -> Class {
        if self.has_gnu_magic() {
            Class::Gnu
        } else if !self.has_ustar_magic() {
            Class::V7
        } else if self.has_star_times() {
            Class::Star
        } else if extended {
            Class::Posix
        } else {
            Class::Ustar
        }
    }

    fn has_star_times(self) -> bool {
        let time =
            |start: usize| matches!(self.0[start], b'0'..=b'7') && self.0[start + 11] == b' ';
        self.0[475] == 0 && time(476) && time(488)
    }

    /// The type byte.
    pub(super) fn type_flag(self) -> u8 {
        self.0[156]
    }

    /// The body's size in bytes, or `None` if the field is not a number. A hard link has none: GNU tar does not even
    /// read its size field.
    pub(super) fn size(self) -> Option<u64> {
        if self.type_flag() == b'1' {
            return Some(0);
        }
        number::field(&self.0[124..136], Notation::Any, 0, MAX_OFFSET)
    }

    /// The name in the header's own fields; `room` is where prefix and name are joined.
    pub(super) fn name<'r>(self, room: &'r mut [u8; FIELD_NAME]) -> &'r [u8]
    where
        'h: 'r,
    {
        let name = until_nul(&self.0[..100]);
        if self.0[345] == 0 || !self.has_ustar_magic() {
            return name;
        }
        let prefix = until_nul(&self.0[345..500]);
        let length = prefix.len() + 1 + name.len();
        room[..prefix.len()].copy_from_slice(prefix);
        room[prefix.len()] = b'/';
        room[prefix.len() + 1..length].copy_from_slice(name);
        &room[..length]
    }

    /// The first field besides the size that GNU tar would not accept as a number.
    ///
    /// GNU tar prefers a user or group name it can resolve to the number; as that depends on the
    /// machine, the numbers beside a name are not judged here.
    pub(super) fn unreadable_number(self, class: Class) -> Option<&'static str> {
        let id = u64::from(u32::MAX);
        let block = self.0;
        let named = |name: usize| class != Class::V7 && block[name] != 0;
        let readable_device = |at: usize| {
            readable(
                &block[at..at + 8],
                1 << 31,
                u64::from(i32::MAX.unsigned_abs()),
            )
        };
        let device = class != Class::V7 && matches!(self.type_flag(), b'3' | b'4');
        if !readable(&block[100..108], 1 << 63, u64::MAX) {
            Some("mode")
        } else if !self.has_readable_time() {
            Some("modification time")
        } else if class == Class::Star && !readable_time(&block[476..488]) {
            Some("access time")
        } else if class == Class::Star && !readable_time(&block[488..500]) {
            Some("change time")
        } else if !named(265) && !readable(&block[108..116], 0, id) {
            Some("user id")
        } else if !named(297) && !readable(&block[116..124], 0, id) {
            Some("group id")
        } else if device && !(readable_device(329) && readable_device(337)) {
            Some("device number")
        } else {
            None
        }
    }

    /// Whether the modification time is a number.
    pub(super) fn has_readable_time(self) -> bool {
        readable_time(&self.0[136..148])
    }

    /// The program that compressed a stream that begins with this block.
    ///
    /// The magic numbers are those GNU tar 1.35 knows (buffer.c, `magic`); it believes a header
    /// with magic and checksum first.
    pub(super) fn compressed(self) -> Option<&'static str> {
        const MAGICS: [(&[u8], &str); 9] = [
            (b"\x1f\x9d", "compress"),
            (b"\x1f\x8b", "gzip"),
            (b"BZh", "bzip2"),
            (b"LZIP", "lzip"),
            (b"\xffLZMA\0", "lzma"),
            (b"\x5d\0\0", "lzma"),
            (b"\x89LZO", "lzop"),
            (b"\xfd7zXZ\0", "xz"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
        ];
        let found = MAGICS.iter().find(|(magic, _)| self.0.starts_with(magic))?;
        let believed = self.0[MAGIC..].starts_with(b"ustar\0") || self.has_gnu_magic();
        (!believed || self.kind() != Kind::Good).then_some(found.1)
    }
}

/// The sum of all bytes. Sixteen narrow sums side by side are what vector units are good at.
fn sum(block: &[u8; BLOCK]) -> u32 {
    let mut lanes = [0_u16; 16];
    for chunk in block.chunks_exact(lanes.len()) {
        for (lane, &byte) in lanes.iter_mut().zip(chunk) {
            *lane += u16::from(byte);
        }
    }
    lanes.iter().map(|&lane| u32::from(lane)).sum()
}

fn readable_time(field: &[u8]) -> bool {
    readable(field, 1 << 63, MAX_OFFSET)
}

fn readable(field: &[u8], below_zero: u64, largest: u64) -> bool {
    number::is_plain_octal(field)
        || number::field(field, Notation::Any, below_zero, largest).is_some()
}

/// The part of a field before its first NUL.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}
