//! Numbers: the fields of a header and the decimals of extended headers and sparse maps.
//!
//! A header's field holds octal digits (POSIX), or big-endian binary behind a byte 0x80 or 0xff
//! (GNU tar, "base-256", for sizes of 8 GiB and more), or a sign and base-64 digits (GNU tar
//! 1.13.6 to 1.13.11). GNU tar reads all of them in every header whatever its magic says.

/// The largest size or offset: GNU tar's `off_t`, 2^63 − 1.
pub(super) const MAX_OFFSET: u64 = i64::MAX as u64;

/// What `isspace` accepts in the C locale; vertical tab and form feed included.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn is_octal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'7')
}

/// How a field may be written besides octal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// Octal only: the checksum.
    Octal,
    /// Octal, base-256 or base-64.
    Any,
}

/// The magnitude of the number in `field`, or `None` if there is no number from −`below_zero`
/// to `largest`.
///
/// The fields have at most 12 bytes, so that octal digits cannot overflow.
pub(super) fn field(
    field: &[u8],
    notation: Notation,
    below_zero: u64,
    largest: u64,
) -> Option<u64> {
    // Some old tar left a NUL in front where the field before it overflowed.
    let digits = field.strip_prefix(b"\0").unwrap_or(field);
    let blanks = digits.iter().take_while(|&&byte| is_space(byte)).count();
    let digits = &digits[blanks..];
    let first = *digits.first()?;

    let (negative, magnitude, rest) = if is_octal(first) {
        let (magnitude, rest) = octal(digits);
        (false, magnitude, rest)
    } else if notation == Notation::Octal {
        (false, 0, digits)
    } else if matches!(first, b'+' | b'-') {
        let (magnitude, rest) = base64(&digits[1..])?;
        (first == b'-', magnitude, rest)
    } else if matches!(first, 0x80 | 0xff) && digits.len() > 1 {
        (first == 0xff, base256(digits)?, &digits[digits.len()..])
    } else {
        (false, 0, digits)
    };
    let ended = rest.first().is_none_or(|&byte| byte == 0 || is_space(byte));
    let limit = if negative { below_zero } else { largest };
    (ended && magnitude <= limit).then_some(magnitude)
}

fn octal(digits: &[u8]) -> (u64, &[u8]) {
    let mut value = 0;
    let mut rest = digits;
    while let [byte @ b'0'..=b'7', tail @ ..] = rest {
        value = (value << 3) | u64::from(byte - b'0');
        rest = tail;
    }
    (value, rest)
}

fn base64(digits: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut rest = digits;
    while let Some((&byte, tail)) = rest.split_first() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        if value >> 58 != 0 {
            return None;
        }
        value = (value << 6) | u64::from(digit);
        rest = tail;
    }
    Some((value, rest))
}

/// The first byte carries only the sign; the others are two's complement.
fn base256(digits: &[u8]) -> Option<u64> {
    let negative = digits[0] == 0xff;
    let sign = if negative { u64::MAX } else { 0 };
    let mut value = sign;
    for (index, &byte) in digits[1..].iter().enumerate() {
        // The bits that are shifted out next may only repeat the sign.
        if index > 0 && value >> 56 != sign >> 56 {
            return None;
        }
        value = (value << 8) | u64::from(byte);
    }
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// Whether `field` is the octal number with one closing byte that nearly every tar writes: a quick
/// yes that spares [`field`].
pub(super) fn is_plain_octal(field: &[u8]) -> bool {
    let (digits, end) = field.split_at(field.len() - 1);
    matches!(end, [0 | b' ']) & digits.iter().fold(true, |all, &byte| all & is_octal(byte))
}

/// A decimal number that arrives byte by byte and ends at a NUL.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Decimal {
    value: u64,
    form: Form,
}

/// What the bytes of a [`Decimal`] are so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Empty,
    Digits,
    /// Digits and the NUL after them.
    Ended,
    /// No digits at the beginning, something other than a NUL after them, or too large.
    Invalid,
}

impl Decimal {
    /// Takes the next byte. What follows a NUL is ignored.
    pub(super) fn push(&mut self, byte: u8) {
        self.form = match (self.form, byte) {
            (Form::Empty | Form::Digits, b'0'..=b'9') => {
                let shifted = self.value.checked_mul(10);
                match shifted.and_then(|value| value.checked_add(u64::from(byte - b'0'))) {
                    Some(value) => {
                        self.value = value;
                        Form::Digits
                    }
                    None => Form::Invalid,
                }
            }
            (Form::Digits, 0) | (Form::Ended, _) => Form::Ended,
            _ => Form::Invalid,
        }
    }

    /// The number, if there were only digits and it is at most `largest`.
    pub(super) fn finish(&self, largest: u64) -> Option<u64> {
        let readable = matches!(self.form, Form::Digits | Form::Ended);
        (readable && self.value <= largest).then_some(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(bytes: &[u8]) -> Option<u64> {
        field(bytes, Notation::Any, 0, MAX_OFFSET)
    }

    #[test]
    fn octal_fields_may_be_padded_and_full() {
        assert_eq!(size(b"00000000017\0"), Some(15));
        assert_eq!(size(b"777777777777"), Some((1 << 36) - 1));
        assert_eq!(size(b"\0 \t\n\x0b\x0c\r17 x"), Some(15));
        assert_eq!(size(b"17\0junk"), Some(15));
        assert_eq!(size(&[0; 12]), Some(0));
        assert_eq!(size(b"\0\x0017\0       "), Some(0));
        for bad in [
            &b"            "[..],
            b"\0           ",
            b"17x         ",
            b"8           ",
            b"9",
            b"",
        ] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn binary_fields_are_sign_and_big_endian() {
        assert_eq!(size(b"\x80\0\0\0\0\0\0\0\0\0\x01\x02"), Some(0x102));
        assert_eq!(
            size(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
            Some(MAX_OFFSET)
        );
        assert_eq!(size(b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), None);
        assert_eq!(size(b"\x80\0\0\x01\0\0\0\0\0\0\0\0"), None);
        assert_eq!(size(&[0xff; 12]), None);
        assert_eq!(field(&[0xff; 12], Notation::Any, 1, 0), Some(1));
        for first in [0x81, 0xc0, 0xfe, 0xa0] {
            let mut bytes = [0; 12];
            bytes[0] = first;
            assert_eq!(size(&bytes), None, "{first:x}");
        }
        assert_eq!(size(b"           \x80"), None);
        assert_eq!(
            field(b"\x80\0\0\0\0\0\0\x01", Notation::Octal, 0, 100),
            None
        );
    }

    #[test]
    fn base64_fields_have_a_sign() {
        assert_eq!(size(b"+BA         "), Some(64));
        assert_eq!(size(b"+/+\0"), Some(63 * 64 + 62));
        assert_eq!(size(b"+aZ "), Some(26 * 64 + 25));
        assert_eq!(size(b"+09"), Some(52 * 64 + 61));
        assert_eq!(size(b"-A          "), Some(0));
        assert_eq!(size(b"-B          "), None);
        assert_eq!(size(b"+"), Some(0));
        assert_eq!(size(b"+//////////f"), None);
        assert_eq!(size(b"+QAAAAAAAAAA"), None);
    }

    #[test]
    fn plain_octal_is_only_a_shortcut() {
        assert!(is_plain_octal(b"0000644\0") && is_plain_octal(b"0000644 "));
        assert!(!is_plain_octal(b"  644 \0\0") && !is_plain_octal(b"0000648\0"));
    }

    #[test]
    fn decimals_end_at_a_nul() {
        let read = |text: &[u8]| {
            let mut decimal = Decimal::default();
            for &byte in text {
                decimal.push(byte);
            }
            decimal.finish(u64::MAX)
        };
        assert_eq!(read(b"00000000000000000000000000012\0x"), Some(12));
        assert_eq!(read(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            &b""[..],
            b"\x001",
            b"-1",
            b" 1",
            b"1 ",
            b"18446744073709551616",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
