//! How a stream ended, and what was wrong with it.

use std::fmt;

/// What was wrong with a tar stream. `Display` gives one line for a person.
///
/// A fault is noted exactly where GNU tar would end with status 2; apart from those that end the
/// index ([`Fault::ends_index`]) the listing goes on behind it, as GNU tar's does.
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
    /// A header's size field is no number.
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
    /// A value in an extended header is no number, or out of range.
    RecordValue,
    /// The map of a sparse member is malformed.
    SparseMap,
    /// The map of a sparse member claims more entries than
    /// [`MAX_MAP_ENTRIES`](super::MAX_MAP_ENTRIES).
    SparseMapTooLarge,
    /// A name is longer than [`MAX_NAME`](super::MAX_NAME) bytes.
    NameTooLong,
}

impl Fault {
    /// Whether nothing behind this fault is listed.
    #[must_use]
    pub fn ends_index(self) -> bool {
        matches!(
            self,
            Self::TooShort
                | Self::Compressed(_)
                | Self::NoHeader
                | Self::CutInBody
                | Self::CutInExtendedHeader
                | Self::CutInSparseMap
                | Self::SparseMapTooLarge
                | Self::NameTooLong
        )
    }

    /// Whether the stream is no tar archive at all.
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
            Self::SparseMap => out.write_str("malformed map of a sparse member"),
            Self::SparseMapTooLarge => out.write_str("the map of a sparse member is too large"),
            Self::NameTooLong => out.write_str("name too long"),
        }
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was wrong (GNU tar's status 0).
    Complete {
        /// Whether the end mark was seen. Without it the stream ended where a header was due:
        /// the listing is right, but its writer was perhaps interrupted.
        end_mark: bool,
    },
    /// Something was wrong (GNU tar's status 2).
    Damaged {
        /// The first thing that was.
        what: Fault,
        /// Where: the stream's offset, in bytes, of the block it was found in, or the stream's
        /// length if it ended too early.
        offset: u64,
    },
}
