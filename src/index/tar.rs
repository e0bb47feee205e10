//! The stream of blocks: which comes next, and what follows a member.

use super::header::{BLOCK, Class, FIELD_NAME, Header, Kind};
use super::name::Name;
use super::outcome::{Fault, Outcome};
use super::pax::{Progress, Records};
use super::quote::Listing;
use super::settings::{Combined, MapPlace, Order, Settings, combine};
use super::sparse::{self, DecimalMap, EntryTable, Step};

const BLOCK_BYTES: u64 = BLOCK as u64;

/// Where an extended header's settings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// `x`, `X`: the next member.
    Own,
    /// `g`: all members from here on.
    Global,
}

/// What the next block is.
#[derive(Clone, Copy)]
enum State {
    /// The stream's first block: a header, if the stream is not compressed. Otherwise GNU tar looks for one in the
    /// blocks after it; with `detect` the stream is then not an archive.
    First { detect: bool },
    /// A header.
    Header,
    /// Part of a long name (`L`), of which this many bytes are still to come.
    LongName { left: u64 },
    /// Part of an extended header; the blocks of its payload have this many bytes still to come.
    Records { scope: Scope, left: u64 },
    /// More of a sparse member's table of entries; the data after it has this many bytes.
    EntryTable { table: EntryTable, packed: u64 },
    /// More of a sparse member's decimal map; map and data together have this many bytes.
    DecimalMap {
        map: DecimalMap,
        packed: u64,
        blocks: u64,
    },
    /// Nothing that matters.
    Ended,
}

/// What became of a block.
#[derive(PartialEq, Eq)]
enum Verdict {
    Taken,
    /// The state has changed; the same block has to be looked at again.
    Again,
}

/// The settings waiting for the next member.
struct Pending {
    /// `L`
    long_name: Name,
    /// `x`, if `extended`.
    own: Settings,
    extended: bool,
}

impl Pending {
    fn drop_all(&mut self) {
        self.long_name.clear();
        if self.extended {
            self.own.clear();
            self.extended = false;
        }
    }
}

/// The label of a volume made in the posix format (`GNU.volume.label`).
struct Label {
    text: Name,
    /// GNU tar dates the label by the last `g` header.
    dated: bool,
    printed: bool,
}

/// What is wrong if the label is not [`dated`](Label::dated).
const LABEL_DATE: Fault = Fault::HeaderNumber("modification time");

impl Label {
    /// Prints the label, if there is one, once. GNU tar treats it as a member, so settings for all members rename it.
    /// Returns whether its date is readable.
    fn print(
        &mut self,
        global: &Settings,
        offset: u64,
        listing: &mut Listing,
        sink: &mut dyn FnMut(&[u8]),
    ) -> bool {
        match self.text.get() {
            Some(label) if !self.printed => {
                listing.line(global.name().unwrap_or(label), offset, sink);
                self.printed = true;
                self.dated
            }
            _ => true,
        }
    }
}

/// A push parser that lists the members of a tar stream.
///
/// Bytes go in through [`push`](Self::push) in pieces of any size, and every split of a stream
/// gives the same lines. A member's line comes out as soon as its header is complete. Lines are
/// quoted as `LC_ALL=C tar -t` does, without the name's leading dot, and end with a newline.
///
/// Bodies need not be shown: [`skippable`](Self::skippable) returns how many of the next bytes may be dropped unread;
/// call [`skip`](Self::skip) with the number that was dropped.
///
/// Damage never stops the parser from taking input; see [`Fault`] for what ends the listing.
/// A parser may be sent to another thread. It uses less than 2 MiB whatever comes.
///
/// ```
/// use amrelay::index::{Outcome, TarIndex};
///
/// let end_mark = [0; 1024];
/// let mut lines = Vec::new();
/// let mut index = TarIndex::new();
/// index.push(&end_mark, &mut |piece| lines.extend_from_slice(piece));
/// assert_eq!(index.finish(), Outcome::Complete { end_mark: true });
/// assert!(lines.is_empty());
/// ```
pub struct TarIndex {
    state: State,
    /// Bytes before the next block of interest, and what it means if the stream ends there.
    skip_left: u64,
    cut: Fault,
    /// The beginning of an incomplete block.
    partial: [u8; BLOCK],
    filled: usize,
    /// Bytes seen or skipped.
    offset: u64,
    damage: Option<(Fault, u64)>,
    /// A block of zeros came where a header was due.
    mark_seen: bool,
    pending: Pending,
    global: Settings,
    records: Records,
    label: Label,
    listing: Listing,
}

impl Default for TarIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl TarIndex {
    /// A parser at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::First { detect: false },
            skip_left: 0,
            cut: Fault::CutInBody,
            partial: [0; BLOCK],
            filled: 0,
            offset: 0,
            damage: None,
            mark_seen: false,
            pending: Pending {
                long_name: Name::default(),
                own: Settings::new(Order::FirstToLast),
                extended: false,
            },
            global: Settings::new(Order::LastToFirst),
            records: Records::new(),
            label: Label {
                text: Name::default(),
                dated: true,
                printed: false,
            },
            listing: Listing::new(),
        }
    }

    /// A parser at the beginning of a stream that may be anything. Unless its first block is zeros or a tar header
    /// with the right checksum, there are no lines, and the outcome is a fault that [is no
    /// archive](Fault::is_no_archive). With an archive it works like [`new`](Self::new).
    #[must_use]
    pub fn detecting() -> Self {
        Self {
            state: State::First { detect: true },
            ..Self::new()
        }
    }

    /// Feeds the next bytes of the stream; hands the lines they complete to `sink`, in pieces of at most 16 KiB that
    /// need not end with a line. When it returns, nothing is held back.
    pub fn push(&mut self, mut input: &[u8], sink: &mut dyn FnMut(&[u8])) {
        while !input.is_empty() {
            let unseen = usize::try_from(self.skippable()).unwrap_or(usize::MAX);
            if unseen > 0 {
                let unseen = unseen.min(input.len());
                self.skip(unseen as u64);
                input = &input[unseen..];
            } else if let (0, Some((block, rest))) = (self.filled, input.split_first_chunk()) {
                self.block(block, sink);
                input = rest;
            } else {
                let (piece, rest) = input.split_at(input.len().min(BLOCK - self.filled));
                self.partial[self.filled..][..piece.len()].copy_from_slice(piece);
                self.filled += piece.len();
                self.offset = self.offset.saturating_add(piece.len() as u64);
                input = rest;
                if self.filled == BLOCK {
                    self.filled = 0;
                    self.offset -= BLOCK_BYTES;
                    let block = self.partial;
                    self.block(&block, sink);
                }
            }
        }
        self.listing.flush(sink);
    }

    /// How many of the bytes that come next will not be looked at: what is left of a member's body, or all
    /// (`u64::MAX`) once the listing has ended. The caller may drop this many unread.
    #[must_use]
    pub fn skippable(&self) -> u64 {
        if matches!(self.state, State::Ended) {
            u64::MAX
        } else {
            self.skip_left
        }
    }

    /// Notes that `count` bytes passed unseen.
    ///
    /// # Panics
    /// If `count` is more than [`skippable`](Self::skippable): the parser would be out of step.
    pub fn skip(&mut self, count: u64) {
        assert!(
            count <= self.skippable(),
            "bytes were skipped that had to be seen"
        );
        self.skip_left = self.skip_left.saturating_sub(count);
        self.offset = self.offset.saturating_add(count);
    }

    /// Notes that the stream has ended, and returns how. Further calls return the same.
    #[must_use]
    pub fn finish(&self) -> Outcome {
        let cut = match self.state {
            State::First { .. } => Some(Fault::TooShort),
            State::Ended => None,
            _ if self.skip_left > 0 => Some(self.cut),
            State::Header => None,
            State::LongName { .. } | State::Records { .. } => Some(Fault::CutInExtendedHeader),
            State::EntryTable { .. } | State::DecimalMap { .. } => Some(Fault::CutInSparseMap),
        };
        let (end_mark, omitted) = (self.mark_seen, self.listing.omitted());
        let damage = self.damage.or(cut.map(|what| (what, self.offset)));
        match (damage, omitted.first) {
            (Some((what, offset)), _) => Outcome::Damaged {
                what,
                offset,
                omitted: omitted.lines,
            },
            (None, Some((why, offset))) => Outcome::Omitted {
                lines: omitted.lines,
                why,
                offset,
                end_mark,
            },
            (None, None) => Outcome::Complete { end_mark },
        }
    }

    /// Lines given to the sink so far.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.listing.lines()
    }

    /// Bytes of the stream that were pushed or skipped so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn note(&mut self, fault: Fault) {
        self.damage = self.damage.or(Some((fault, self.offset)));
    }

    fn end(&mut self, fault: Fault) {
        self.note(fault);
        self.state = State::Ended;
    }

    /// Takes a block; `offset` is where it begins, until it is taken.
    fn block(&mut self, block: &[u8; BLOCK], sink: &mut dyn FnMut(&[u8])) {
        while self.look_at(block, sink) == Verdict::Again {}
        self.offset = self.offset.saturating_add(BLOCK_BYTES);
    }

    fn look_at(&mut self, block: &[u8; BLOCK], sink: &mut dyn FnMut(&[u8])) -> Verdict {
        match self.state {
            State::First { detect } => {
                self.state = State::Header;
                if let Some(program) = Header(block).compressed() {
                    self.end(Fault::Compressed(program));
                    return Verdict::Taken;
                }
                if detect && Header(block).kind() == Kind::Bad {
                    self.end(Fault::NoHeader);
                    return Verdict::Taken;
                }
                return Verdict::Again;
            }
            State::Header => self.header(Header(block), sink),
            State::LongName { left } => self.long_name(block, left),
            State::Records { scope, left } => self.records(block, scope, left),
            State::EntryTable { table, packed } => {
                let packed = packed.saturating_sub(if table.is_packed { BLOCK_BYTES } else { 0 });
                self.after_entries(table, table.extension(block), packed);
            }
            State::DecimalMap {
                map,
                packed,
                blocks,
            } => {
                return self.decimal_map(block, map, packed, blocks);
            }
            State::Ended => {}
        }
        Verdict::Taken
    }

    /// Lets `bytes` pass, rounded up to whole blocks; then a header is due.
    fn pass(&mut self, bytes: u64, cut: Fault) {
        self.skip_left = round_up(bytes);
        self.cut = cut;
        self.state = State::Header;
    }

    fn header(&mut self, header: Header<'_>, sink: &mut dyn FnMut(&[u8])) {
        let size = match header.kind() {
            // GNU tar lists nothing after the first block of zeros. It reads one more header, to see the second block
            // of the end mark, and complains if that has unreadable fields.
            Kind::Zero | Kind::Bad if self.mark_seen => return self.state = State::Ended,
            Kind::Zero => return self.mark_seen = true,
            Kind::Bad => return self.bad_header(Fault::HeaderChecksum),
            Kind::Good => match header.size() {
                Some(size) => size,
                None => return self.bad_header(Fault::HeaderSize),
            },
        };
        match header.type_flag() {
            b'L' => {
                self.pending.long_name.begin();
                self.payload(
                    State::LongName {
                        left: round_up(size),
                    },
                    size,
                );
            }
            b'K' => self.pass(size, Fault::CutInExtendedHeader),
            b'x' | b'X' => {
                self.pending.own.clear();
                self.pending.extended = true;
                self.begin_records(Scope::Own, size);
            }
            b'g' => {
                // A label takes effect at once, even if no member comes before the next global header.
                self.global.take_label(&mut self.label.text);
                self.global.clear();
                self.label.dated = header.has_readable_time();
                self.begin_records(Scope::Global, size);
            }
            _ if self.mark_seen => self.state = State::Ended,
            _ => self.member(header, size, sink),
        }
    }

    /// Goes on to the next block, as GNU tar does until a good header comes.
    fn bad_header(&mut self, fault: Fault) {
        self.note(fault);
        self.pending.drop_all();
        if self.mark_seen {
            self.state = State::Ended;
        }
    }

    fn begin_records(&mut self, scope: Scope, size: u64) {
        self.records.begin(size);
        self.payload(
            State::Records {
                scope,
                left: round_up(size),
            },
            size,
        );
    }

    fn payload(&mut self, state: State, size: u64) {
        self.state = if size == 0 { State::Header } else { state };
    }

    fn long_name(&mut self, block: &[u8; BLOCK], left: u64) {
        let left = left - BLOCK_BYTES;
        // The name goes on to the end of its last block: GNU tar looks for the NUL, not at the size.
        let whole = self.pending.long_name.append(block);
        if whole || left == 0 {
            self.pass(left, Fault::CutInExtendedHeader);
        } else {
            self.state = State::LongName { left };
        }
    }

    fn records(&mut self, block: &[u8; BLOCK], scope: Scope, left: u64) {
        let left = left - BLOCK_BYTES;
        let settings = match scope {
            Scope::Own => &mut self.pending.own,
            Scope::Global => &mut self.global,
        };
        let progress = self.records.block(block, settings, self.offset);
        self.damage = self.damage.or(settings.fault_at_once());
        match progress {
            Ok(Progress::More) => return self.state = State::Records { scope, left },
            Ok(Progress::Finished) => {}
            // GNU tar reads the records of an `x` only when its member comes.
            Err(fault) if scope == Scope::Own => {
                settings.blame(None, (fault, self.offset));
            }
            Err(fault) => self.note(fault),
        }
        self.pass(left, Fault::CutInExtendedHeader);
    }

    fn member(&mut self, header: Header<'_>, size: u64, sink: &mut dyn FnMut(&[u8])) {
        let class = header.class(self.pending.extended);
        if let Some(field) = header.unreadable_number(class) {
            self.note(Fault::HeaderNumber(field));
        }
        self.global.take_label(&mut self.label.text);
        self.pending.own.take_label(&mut self.label.text);
        let combined = combine(&self.global, &self.pending.own);
        let excess = combined
            .map_exceeds_room
            .then_some((Fault::SparseMap, self.offset));
        self.damage = self.damage.or(combined.fault).or(excess);
        if combined.map_too_large {
            return self.end(Fault::SparseMapTooLarge);
        }
        if class == Class::Posix
            && !self
                .label
                .print(&self.global, self.offset, &mut self.listing, sink)
        {
            self.damage = self.damage.or(Some((LABEL_DATE, self.offset)));
        }
        let mut room = [0; FIELD_NAME];
        let name = combined
            .name
            .or(self.pending.long_name.get())
            .unwrap_or_else(|| Ok(header.name(&mut room)));
        self.listing.line(name, self.offset, sink);
        let body = Body::of(header, class, size, &combined);
        self.pending.drop_all();
        self.body(body);
    }

    fn body(&mut self, body: Body) {
        match body {
            Body::Plain(bytes) => self.pass(bytes, Fault::CutInBody),
            Body::Entries {
                table,
                step,
                packed,
            } => {
                if !table.has_real_size() {
                    self.note(Fault::HeaderNumber("real size"));
                }
                self.after_entries(table, step, packed);
            }
            Body::Decimals { packed, file_size } => {
                self.state = State::DecimalMap {
                    map: DecimalMap::new(file_size),
                    packed,
                    blocks: 0,
                };
            }
        }
    }

    /// Goes on after a table of entries, or with its next block.
    fn after_entries(&mut self, table: EntryTable, step: Step, packed: u64) {
        if step == Step::More {
            return self.state = State::EntryTable { table, packed };
        }
        if let Step::Faulty(fault) = step {
            self.note(fault);
        }
        self.pass(packed, Fault::CutInBody);
    }

    fn decimal_map(
        &mut self,
        block: &[u8; BLOCK],
        mut map: DecimalMap,
        packed: u64,
        blocks: u64,
    ) -> Verdict {
        let blocks = blocks.saturating_add(1);
        match map.block(block) {
            Step::More => {
                self.state = State::DecimalMap {
                    map,
                    packed,
                    blocks,
                }
            }
            Step::Done => {
                let map_bytes = blocks.saturating_mul(BLOCK_BYTES);
                self.pass(packed.saturating_sub(map_bytes), Fault::CutInBody);
            }
            Step::TooLarge => self.end(Fault::SparseMapTooLarge),
            Step::Faulty(fault) => {
                // The data is taken to begin with the block in which the map broke off.
                self.note(fault);
                self.pass(packed.saturating_sub(BLOCK_BYTES), Fault::CutInBody);
                if packed == 0 {
                    return Verdict::Again;
                }
            }
        }
        Verdict::Taken
    }
}

/// What follows a member's header, sizes in bytes.
#[derive(Clone, Copy)]
enum Body {
    /// Data only.
    Plain(u64),
    /// A sparse member; `step` tells whether more blocks of its table come first.
    Entries {
        table: EntryTable,
        step: Step,
        packed: u64,
    },
    /// A sparse member whose map is part of the data.
    Decimals { packed: u64, file_size: u64 },
}

impl Body {
    fn of(header: Header<'_>, class: Class, size: u64, combined: &Combined<'_>) -> Self {
        let packed = combined.size.unwrap_or(size);
        let effective = combined.real_size.unwrap_or(packed);
        let flag = header.type_flag();
        match class {
            Class::Posix if combined.map == MapPlace::Body => {
                return Self::Decimals {
                    packed,
                    file_size: effective,
                };
            }
            Class::Posix if combined.map == MapPlace::Records => return Self::Plain(packed),
            Class::Gnu if flag == b'S' => {
                let real_size = sparse::real_size(header.0, 483);
                let (table, step) = EntryTable::gnu(header.0, real_size);
                return Self::Entries {
                    table,
                    step,
                    packed: effective,
                };
            }
            Class::Star if flag == b'S' => {
                let real_size = sparse::real_size(header.0, 452);
                let (table, step) = EntryTable::star(header.0, real_size);
                return Self::Entries {
                    table,
                    step,
                    packed: effective,
                };
            }
            _ => {}
        }
        // Whatever size a directory claims, GNU tar takes none of it for a body.
        Self::Plain(if flag == b'5' { 0 } else { effective })
    }
}

/// To whole blocks. The largest size, 2^63 − 1, gives 2^63.
fn round_up(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}
