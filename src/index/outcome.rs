//! How a stream ended, and what was wrong with it.

use std::fmt;

/// The longest name, in bytes, that an index can hold: 256 KiB. A longer one is passed over, and its line
/// [left out](Outcome::Omitted). Linux refuses paths of more than 4 KiB in one call; only names put together by
/// hand, or folders entered one by one, come near this.
pub const MAX_NAME: usize = 256 * 1024;

/// What was wrong with a tar stream. `Display` gives one line for a person.
///
/// A fault is noted exactly where GNU tar would end with status 2. The listing goes on after it, as GNU tar's does,
/// except after these: the stream is [no archive](Fault::is_no_archive), it is cut off, or a map is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Less than one block came.
    TooShort,
    /// The stream is compressed; the text names the program.
    Compressed(&'static str),
    /// The first block is neither a header nor zeros; noted only where the format is to be
    /// [detected](super::TarIndex::detecting).
    NoHeader,
    /// A block that had to be a header has a wrong checksum.
    HeaderChecksum,
    /// A header's size field is not a number.
    HeaderSize,
    /// Another number of a header cannot be read; the text names the field.
    HeaderNumber(&'static str),
    /// The stream ends inside a member's body.
    CutInBody,
    /// The stream ends inside the payload of a long name or an extended header.
    CutInExtendedHeader,
    /// The stream ends inside the map of a sparse member.
    CutInSparseMap,
    /// A record of an extended header is malformed.
    Record,
    /// A value in an extended header is not a number, or is out of range.
    RecordValue,
    /// A time in an extended header is a number followed by something else; an error since GNU tar 1.35.
    TimeTail,
    /// The map of a sparse member is malformed.
    SparseMap,
    /// An entry of a map at the beginning of the data reaches beyond the file's size; an error since GNU tar 1.35.
    SparseMapRange,
    /// The map of a sparse member claims more entries than
    /// [`MAX_MAP_ENTRIES`](super::MAX_MAP_ENTRIES).
    SparseMapTooLarge,
}

impl Fault {
    /// Whether the stream is not a tar archive at all.
    #[must_use]
    pub fn is_no_archive(self) -> bool {
        matches!(self, Self::TooShort | Self::Compressed(_) | Self::NoHeader)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => out.write_str("not a tar archive: shorter than one block"),
            Self::Compressed(program) => write!(out, "not a tar archive: compressed ({program})"),
            Self::NoHeader => out.write_str("not a tar archive: the first block is no header"),
            Self::HeaderChecksum => out.write_str("bad header: the checksum is wrong"),
            Self::HeaderSize => out.write_str("bad header: the size is not a number"),
            Self::HeaderNumber(field) => write!(out, "a header's {field} is not a number"),
            Self::CutInBody => out.write_str("the archive ends inside a member"),
            Self::CutInExtendedHeader => {
                out.write_str("the archive ends inside an extended header")
            }
            Self::CutInSparseMap => out.write_str("the archive ends inside a sparse member's map"),
            Self::Record => out.write_str("malformed record in an extended header"),
            Self::RecordValue => out.write_str("bad number in an extended header"),
            Self::TimeTail => out.write_str("junk behind a time in an extended header"),
            Self::SparseMap => out.write_str("malformed map of a sparse member"),
            Self::SparseMapRange => {
                out.write_str("the map of a sparse member reaches beyond its file")
            }
            Self::SparseMapTooLarge => out.write_str("the map of a sparse member is too large"),
        }
    }
}

/// Why the line of a member is left out. `Display` gives a few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omission {
    /// The name is longer than [`MAX_NAME`] bytes.
    NameTooLong,
    /// An extended header gives one long name to many members: with this line the index would have more than
    /// [`LINE_BYTES`](super::LINE_BYTES) bytes for each byte of the stream.
    NameRepeated,
}

impl fmt::Display for Omission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTooLong => write!(out, "a name of more than {MAX_NAME} bytes"),
            Self::NameRepeated => out.write_str("one long name for many members"),
        }
    }
}

/// How a stream ended. `Display` gives one line for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was wrong (GNU tar's status 0).
    Complete {
        /// Whether the end mark was seen. Without it the stream ended where a header was due: the listing is right,
        /// but its writer may have been interrupted.
        end_mark: bool,
    },
    /// Nothing was wrong with the archive, but not all its members are listed.
    Omitted {
        /// How many lines are left out.
        lines: u64,
        /// Why the first of them is.
        why: Omission,
        /// The stream's offset, in bytes, of the header of the first.
        offset: u64,
        /// As in [`Complete`](Self::Complete).
        end_mark: bool,
    },
    /// Something was wrong (GNU tar's status 2).
    Damaged {
        /// The first thing that was.
        what: Fault,
        /// Where: the stream's offset, in bytes, of the block it was found in, or the stream's
        /// length if it ended too early.
        offset: u64,
        /// How many lines are left out that could have been read.
        omitted: u64,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete { .. } => out.write_str("the index is complete"),
            Self::Omitted {
                lines, why, offset, ..
            } => write!(
                out,
                "{} left out: {why} (first at byte {offset})",
                Lines(*lines)
            ),
            Self::Damaged {
                what,
                offset,
                omitted,
            } => {
                write!(out, "{what} (at byte {offset})")?;
                if *omitted > 0 {
                    write!(out, "; {} left out", Lines(*omitted))?;
                }
                Ok(())
            }
        }
    }
}

/// So many lines, in words.
struct Lines(u64);

impl fmt::Display for Lines {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => out.write_str("1 line"),
            lines => write!(out, "{lines} lines"),
        }
    }
}
