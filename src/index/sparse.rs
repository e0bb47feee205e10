//! The maps in front of a sparse member's data (GNU tar manual, "Storing Sparse Files").
//!
//! The listing needs no map, only where it ends: the readers here count entries and forget them.

use super::header::BLOCK;
use super::number::{self, Decimal, MAX_OFFSET, Notation};
use super::outcome::Fault;
use super::settings::MAX_MAP_ENTRIES;

/// What a block of a map says about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It belongs to the map, too.
    More,
    /// It does not.
    Done,
    /// It does not: the map is malformed.
    Faulty(Fault),
    /// The map is longer than any machine could hold.
    TooLarge,
}

/// Bytes of an entry: offset and length, 12 each.
const ENTRY: usize = 24;
/// Entries in an extension block, and the place of its flag after them.
const EXTENSION_ENTRIES: usize = 21;
const EXTENSION_FLAG: usize = EXTENSION_ENTRIES * ENTRY;

/// A table of entries in header fields: types `S` of the gnu and star classes.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryTable {
    /// The file's size; every entry has to lie within it.
    real_size: Option<u64>,
    /// Extension blocks are part of the packed size (star).
    pub(super) is_packed: bool,
}

impl EntryTable {
    /// The gnu class: entries in the header, extension blocks while the flag says so.
    pub(super) fn gnu(header: &[u8; BLOCK], real_size: Option<u64>) -> (Self, Step) {
        let table = Self {
            real_size,
            is_packed: false,
        };
        (table, table.entries(&header[386..482], header[482]))
    }

    /// The star class: the same with other places; newer ones keep all entries in extensions.
    pub(super) fn star(header: &[u8; BLOCK], real_size: Option<u64>) -> (Self, Step) {
        let table = Self {
            real_size,
            is_packed: true,
        };
        let step = if header[345] == 0 && header[366] != 0 {
            table.entries(&header[356..452], header[355])
        } else {
            Step::More
        };
        (table, step)
    }

    /// Whether the header's real size could be read; otherwise GNU tar goes on with 0.
    pub(super) fn has_real_size(&self) -> bool {
        self.real_size.is_some()
    }

    /// An extension block.
    pub(super) fn extension(&self, block: &[u8; BLOCK]) -> Step {
        self.entries(&block[..EXTENSION_FLAG], block[EXTENSION_FLAG])
    }

    fn entries(&self, entries: &[u8], flag: u8) -> Step {
        let read = |field: &[u8]| number::field(field, Notation::Any, 0, MAX_OFFSET);
        for entry in entries.chunks_exact(ENTRY) {
            let (offset, length) = entry.split_at(ENTRY / 2);
            if length[0] == 0 {
                // The table ends here even if the flag announces more.
                return Step::Done;
            }
            let end = read(offset)
                .zip(read(length))
                .map(|(offset, length)| offset + length);
            if end.is_none_or(|end| end > self.real_size.unwrap_or(0)) {
                return Step::Faulty(Fault::SparseMap);
            }
        }
        if flag == 0 { Step::Done } else { Step::More }
    }
}

/// The real size in an `S` header of the gnu (at 483) or star class (at 452).
pub(super) fn real_size(header: &[u8; BLOCK], at: usize) -> Option<u64> {
    number::field(&header[at..at + 12], Notation::Any, 0, MAX_OFFSET)
}

/// The longest line in a map of format 1.0, in digits.
const MAX_DIGITS: u8 = 19;

/// A map of sparse format 1.0 at the beginning of the body: a count, then offset and length of
/// each entry, each a decimal line. It ends with its block.
#[derive(Debug, Clone, Copy)]
pub(super) struct DecimalMap {
    /// The file's size; every entry has to lie within it.
    file_size: u64,
    line: Decimal,
    line_length: u8,
    /// Lines still to come; unknown while the count is read.
    lines_left: Option<u64>,
    /// The entry's offset, once it is read.
    offset: u64,
}

impl DecimalMap {
    pub(super) fn new(file_size: u64) -> Self {
        Self {
            file_size,
            line: Decimal::default(),
            line_length: 0,
            lines_left: None,
            offset: 0,
        }
    }

    /// Takes the map's next block. After [`Step::Faulty`] this block is not part of the map.
    pub(super) fn block(&mut self, block: &[u8; BLOCK]) -> Step {
        for &byte in block {
            if byte != b'\n' {
                if self.line_length == MAX_DIGITS {
                    return Step::Faulty(Fault::SparseMap);
                }
                self.line_length += 1;
                self.line.push(byte);
                continue;
            }
            let largest = if self.lines_left.is_some() {
                MAX_OFFSET
            } else {
                u64::MAX
            };
            let Some(number) = self.line.finish(largest) else {
                return Step::Faulty(Fault::SparseMap);
            };
            let left = match self.lines_left {
                None if number > MAX_MAP_ENTRIES => return Step::TooLarge,
                None => 2 * number,
                Some(left) if left % 2 == 0 => {
                    self.offset = number;
                    left - 1
                }
                Some(_) if self.offset + number > self.file_size => {
                    return Step::Faulty(Fault::SparseMapRange);
                }
                Some(left) => left - 1,
            };
            if left == 0 {
                return Step::Done;
            }
            self.lines_left = Some(left);
            self.line = Decimal::default();
            self.line_length = 0;
        }
        Step::More
    }
}
