//! The records of an extended header (POSIX pax, "pax Extended Header"): `length key=value\n`.
//!
//! They are read byte by byte as they come; of the values only those that matter are held.

use super::name::Name;
use super::number::{Decimal, MAX_OFFSET};
use super::outcome::Fault;
use super::settings::{Key, Settings};

/// Longer than any key that matters.
const KEY_ROOM: usize = 24;

/// Whether records are still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Go on with the payload's next bytes.
    More,
    /// The rest of the payload has no records.
    Finished,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    BlanksInFront,
    Length,
    Blanks,
    Key,
    Value,
}

/// How the value in hand is read.
#[derive(Clone, Copy)]
enum Value {
    Ignored,
    Text { whole: bool },
    Number { number: Decimal, largest: u64 },
    Map(PairCount),
    Time(Time),
}

/// Reads one payload after the other.
pub(super) struct Records {
    /// Bytes of the payload that are left.
    payload_left: u64,
    /// Bytes of the record that are left, once its length is known.
    record_left: u64,
    /// Bytes of the record so far.
    taken: u64,
    part: Part,
    length: Decimal,
    blank_seen: bool,
    key: [u8; KEY_ROOM],
    key_length: usize,
    current: Key,
    value: Value,
    text: Name,
}

impl Records {
    pub(super) fn new() -> Self {
        Self {
            payload_left: 0,
            record_left: 0,
            taken: 0,
            part: Part::BlanksInFront,
            length: Decimal::default(),
            blank_seen: false,
            key: [0; KEY_ROOM],
            key_length: 0,
            current: Key::Other,
            value: Value::Ignored,
            text: Name::default(),
        }
    }

    /// Begins a payload of `size` bytes.
    pub(super) fn begin(&mut self, size: u64) {
        self.payload_left = size;
        self.begin_record();
    }

    fn begin_record(&mut self) {
        self.part = Part::BlanksInFront;
        self.taken = 0;
        self.length = Decimal::default();
        self.blank_seen = false;
        self.key_length = 0;
    }

    /// Takes the next block of the payload, padding included. `offset` is the block's, for faults
    /// in values, which are kept in `settings` until a member uses them.
    ///
    /// An error means a malformed record; the rest of the payload is then ignored.
    pub(super) fn block(
        &mut self,
        block: &[u8],
        settings: &mut Settings,
        offset: u64,
    ) -> Result<Progress, Fault> {
        let inside = usize::try_from(self.payload_left).map_or(block.len(), |n| n.min(block.len()));
        let mut bytes = &block[..inside];
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.part == Part::Value {
                let used = self.value_bytes(bytes, settings, offset)?;
                self.payload_left -= used as u64;
                bytes = &bytes[used..];
            } else {
                if self.framing_byte(byte)? == Progress::Finished {
                    return Ok(Progress::Finished);
                }
                self.payload_left -= 1;
                bytes = rest;
            }
        }
        match (self.payload_left, self.part) {
            (0, Part::BlanksInFront) => Ok(Progress::Finished),
            (0, _) => Err(Fault::Record),
            _ => Ok(Progress::More),
        }
    }

    /// A byte before the value.
    fn framing_byte(&mut self, byte: u8) -> Result<Progress, Fault> {
        let is_blank = matches!(byte, b' ' | b'\t');
        match self.part {
            Part::BlanksInFront if is_blank => {}
            Part::BlanksInFront if byte == 0 => return Ok(Progress::Finished),
            Part::BlanksInFront if !byte.is_ascii_digit() => return Err(Fault::Record),
            Part::BlanksInFront | Part::Length if byte.is_ascii_digit() => {
                self.part = Part::Length;
                self.length.push(byte);
            }
            Part::Length => {
                // The length counts from the record's first byte, blanks in front included.
                let most = self.taken.saturating_add(self.payload_left);
                let length = self.length.finish(most).ok_or(Fault::Record)?;
                if !is_blank {
                    return Err(Fault::Record);
                }
                self.record_left = length.checked_sub(self.taken).ok_or(Fault::Record)?;
                self.part = Part::Blanks;
                return self.framing_byte(byte);
            }
            Part::Blanks if is_blank => self.count_record_byte()?,
            _ => return self.key_byte(byte),
        }
        self.taken += 1;
        Ok(Progress::More)
    }

    fn count_record_byte(&mut self) -> Result<(), Fault> {
        self.record_left = self.record_left.checked_sub(1).ok_or(Fault::Record)?;
        Ok(())
    }

    fn key_byte(&mut self, byte: u8) -> Result<Progress, Fault> {
        self.part = Part::Key;
        self.count_record_byte()?;
        match byte {
            0 => return Err(Fault::Record),
            b'=' => self.begin_value(),
            _ => {
                if let Some(place) = self.key.get_mut(self.key_length) {
                    *place = byte;
                }
                self.key_length = self.key_length.saturating_add(1);
            }
        }
        Ok(Progress::More)
    }

    fn begin_value(&mut self) {
        self.part = Part::Value;
        self.current = self.key.get(..self.key_length).map_or(Key::Other, Key::of);
        self.value = match self.current {
            Key::Path | Key::SparseName | Key::Label => {
                self.text.begin();
                Value::Text { whole: false }
            }
            Key::Map => Value::Map(PairCount::default()),
            Key::Time => Value::Time(Time::default()),
            key => key
                .largest()
                .map_or(Value::Ignored, |largest| Value::Number {
                    number: Decimal::default(),
                    largest,
                }),
        };
    }

    /// Takes bytes of the value, or the newline after it; returns how many.
    fn value_bytes(
        &mut self,
        bytes: &[u8],
        settings: &mut Settings,
        offset: u64,
    ) -> Result<usize, Fault> {
        let left = self.record_left.checked_sub(1).ok_or(Fault::Record)?;
        if left == 0 {
            if bytes[0] != b'\n' {
                return Err(Fault::Record);
            }
            self.finish_value(settings, offset);
            self.begin_record();
            return Ok(1);
        }
        let used = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let piece = &bytes[..used];
        match &mut self.value {
            Value::Ignored | Value::Text { whole: true } => {}
            Value::Text { whole } => *whole = self.text.append(piece),
            Value::Number { number, .. } => piece.iter().for_each(|&byte| number.push(byte)),
            Value::Map(pairs) => piece.iter().for_each(|&byte| pairs.push(byte)),
            Value::Time(time) => piece.iter().for_each(|&byte| time.push(byte)),
        }
        self.record_left -= used as u64;
        Ok(used)
    }

    fn finish_value(&mut self, settings: &mut Settings, offset: u64) {
        let fault_unless = |valid: bool| (!valid).then_some(Fault::RecordValue);
        let fault = match &mut self.value {
            Value::Ignored => None,
            Value::Text { .. } => {
                settings.set_text(self.current, &mut self.text);
                None
            }
            Value::Number { number, largest } => {
                let number = number.finish(*largest);
                if let Some(value) = number {
                    settings.set_number(self.current, value);
                }
                fault_unless(number.is_some())
            }
            Value::Time(time) => time.fault(),
            Value::Map(pairs) => {
                let valid = pairs.finish();
                settings.set_map(pairs.pairs);
                fault_unless(valid)
            }
        };
        if let Some(fault) = fault {
            settings.blame(Some(self.current), (fault, offset));
        }
    }
}

/// Counts the pairs of a `GNU.sparse.map`: `offset,length,offset,length…`. Whole pairs before a
/// fault count.
#[derive(Debug, Clone, Copy, Default)]
struct PairCount {
    pairs: u64,
    number: Decimal,
    in_length: bool,
    ended: bool,
    invalid: bool,
}

impl PairCount {
    fn push(&mut self, byte: u8) {
        if self.ended {
            return;
        }
        if byte.is_ascii_digit() {
            return self.number.push(byte);
        }
        let readable = self.number.finish(MAX_OFFSET).is_some();
        if readable && self.in_length {
            self.pairs += 1;
        }
        let was_length = self.in_length;
        self.in_length = !self.in_length;
        self.number = Decimal::default();
        // A list may end after a length, but not after a comma or an offset.
        self.ended = byte != b',' || !readable;
        self.invalid = self.ended && !(byte == 0 && readable && was_length);
    }

    /// Ends the list; returns whether it was well formed.
    fn finish(&mut self) -> bool {
        self.push(0);
        !self.invalid
    }
}

/// Judges a time as GNU tar 1.35 does: an integer within 64 bits, then perhaps a point and more digits.
#[derive(Debug, Clone, Copy, Default)]
struct Time {
    number: Decimal,
    negative: bool,
    /// A digit after the point is not 0.
    has_fraction: bool,
    part: TimePart,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TimePart {
    #[default]
    Sign,
    Digits,
    Fraction,
    /// Nothing after a NUL counts.
    Ended,
    /// Something that does not belong to a time.
    Tail,
}

impl Time {
    fn push(&mut self, byte: u8) {
        self.part = match self.part {
            TimePart::Sign if byte == b'-' => {
                self.negative = true;
                TimePart::Digits
            }
            TimePart::Sign | TimePart::Digits if byte.is_ascii_digit() => {
                self.number.push(byte);
                TimePart::Digits
            }
            TimePart::Digits if byte == b'.' => TimePart::Fraction,
            TimePart::Fraction if byte.is_ascii_digit() => {
                self.has_fraction |= byte != b'0';
                TimePart::Fraction
            }
            TimePart::Ended => TimePart::Ended,
            TimePart::Tail => TimePart::Tail,
            _ if byte == 0 => TimePart::Ended,
            _ => TimePart::Tail,
        }
    }

    fn fault(self) -> Option<Fault> {
        // A fraction counts from the second below, which must be representable.
        let largest = MAX_OFFSET + u64::from(self.negative && !self.has_fraction);
        if self.number.finish(largest).is_none() {
            Some(Fault::RecordValue)
        } else if self.part == TimePart::Tail {
            Some(Fault::TimeTail)
        } else {
            None
        }
    }
}
