//! What extended headers set for the members after them.

use super::name::Name;
use super::outcome::{Fault, Omission};

/// The most entries a sparse map may claim: 2^32, which a map in memory would answer with 64 GiB.
///
/// Where GNU tar gives up depends on the machine's memory; this index keeps no map at all.
pub const MAX_MAP_ENTRIES: u64 = 1 << 32;

/// The keys that change the listing, or that GNU tar wants to be numbers.
///
/// Sources: POSIX pax, "Extended Header Keywords"; GNU tar manual, "Storing Sparse Files" (PAX
/// formats 0.0, 0.1 and 1.0) and "Including a Label in the Archive".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Path,
    SparseName,
    Label,
    Size,
    RealSize,
    SparseMajor,
    EntryCount,
    EntryOffset,
    EntryLength,
    Map,
    /// A number without an effect here, and the largest that is valid.
    Number(u64),
    /// A number of the volume, without an effect here; GNU tar reads it as soon as it comes.
    VolumeNumber,
    /// A time without an effect here.
    Time,
    Other,
}

impl Key {
    /// The key of a record by its name.
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"path" => Self::Path,
            b"GNU.sparse.name" => Self::SparseName,
            b"GNU.volume.label" => Self::Label,
            b"size" => Self::Size,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => Self::RealSize,
            b"GNU.sparse.major" => Self::SparseMajor,
            b"GNU.sparse.numblocks" => Self::EntryCount,
            b"GNU.sparse.numbytes" => Self::EntryLength,
            b"GNU.sparse.map" => Self::Map,
            b"GNU.sparse.offset" => Self::EntryOffset,
            b"GNU.sparse.minor" | b"uid" | b"gid" => Self::Number(u64::from(u32::MAX)),
            b"GNU.volume.size" | b"GNU.volume.offset" => Self::VolumeNumber,
            b"mtime" | b"atime" | b"ctime" => Self::Time,
            _ => Self::Other,
        }
    }

    /// The largest value, for a key whose value is a number.
    pub(super) fn largest(self) -> Option<u64> {
        match self {
            Self::Size | Self::RealSize | Self::EntryOffset | Self::EntryLength => {
                Some(super::number::MAX_OFFSET)
            }
            Self::SparseMajor => Some(u64::from(u32::MAX)),
            Self::EntryCount | Self::VolumeNumber => Some(u64::MAX),
            Self::Number(largest) => Some(largest),
            _ => None,
        }
    }
}

/// In which order GNU tar applies the records of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `x`: the last record of a key counts.
    FirstToLast,
    /// `g`: the first record of a key counts (xheader.c keeps them as a list it pushes to).
    LastToFirst,
}

/// The settings of one `x` header, or of the `g` header in force.
pub(super) struct Settings {
    order: Order,
    name: Name,
    name_is_sparse: bool,
    /// A `GNU.sparse.name` came, even an empty one: no `path` after it counts.
    sparse_name_done: bool,
    label: Name,
    size: Option<u64>,
    real_size: Option<u64>,
    sparse_major: Option<u64>,
    map: MapEffect,
    map_too_large: bool,
    /// What GNU tar will complain about when it applies these settings to a member.
    fault: Option<(Fault, u64)>,
    /// What it complains about at once.
    volume_fault: Option<(Fault, u64)>,
}

impl Settings {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            name: Name::default(),
            name_is_sparse: false,
            sparse_name_done: false,
            label: Name::default(),
            size: None,
            real_size: None,
            sparse_major: None,
            map: MapEffect::default(),
            map_too_large: false,
            fault: None,
            volume_fault: None,
        }
    }

    /// Forgets everything but keeps the names' memory.
    pub(super) fn clear(&mut self) {
        let name = std::mem::take(&mut self.name);
        let label = std::mem::take(&mut self.label);
        *self = Self {
            name,
            label,
            ..Self::new(self.order)
        };
        self.name.clear();
        self.label.clear();
    }

    /// Takes a text by swapping; `value` gets a buffer to overwrite.
    pub(super) fn set_text(&mut self, key: Key, value: &mut Name) {
        let is_sparse = key == Key::SparseName;
        if key == Key::Label {
            std::mem::swap(&mut self.label, value);
            return;
        }
        // An empty name is no name, and GNU.sparse.name beats path whatever their order.
        let wins = !value.is_empty()
            && match self.order {
                Order::FirstToLast => is_sparse || !self.sparse_name_done,
                Order::LastToFirst => !self.name.is_present() || is_sparse && !self.name_is_sparse,
            };
        if wins {
            std::mem::swap(&mut self.name, value);
            self.name_is_sparse = is_sparse;
        } else if is_sparse && self.order == Order::LastToFirst && !self.name_is_sparse {
            // It is empty and comes before the paths that were read.
            self.name.clear();
        }
        self.sparse_name_done |= is_sparse;
    }

    /// Takes a number.
    pub(super) fn set_number(&mut self, key: Key, value: u64) {
        let slot = match key {
            Key::Size => &mut self.size,
            Key::RealSize => &mut self.real_size,
            Key::SparseMajor => &mut self.sparse_major,
            Key::EntryCount => {
                self.map_too_large |= value > MAX_MAP_ENTRIES;
                return self.map.add(MapStep::Room(value), self.order);
            }
            Key::EntryOffset => return self.map.add(MapStep::Offset, self.order),
            Key::EntryLength => return self.map.add(MapStep::Entry, self.order),
            _ => return,
        };
        if self.order == Order::FirstToLast || slot.is_none() {
            *slot = Some(value);
        }
    }

    /// Takes the number of entries in a `GNU.sparse.map`.
    pub(super) fn set_map(&mut self, entries: u64) {
        self.map.add(MapStep::Map(entries), self.order);
    }

    /// Keeps the first fault in the value of `key`, or in the records themselves if there is none.
    ///
    /// A volume's numbers in a `g` are read even if no member follows (xheader.c, `decg`).
    pub(super) fn blame(&mut self, key: Option<Key>, fault: (Fault, u64)) {
        let at_once = key == Some(Key::VolumeNumber) && self.order == Order::LastToFirst;
        let slot = if at_once {
            &mut self.volume_fault
        } else {
            &mut self.fault
        };
        *slot = slot.or(Some(fault));
    }

    /// What GNU tar complains about before a member comes.
    pub(super) fn fault_at_once(&self) -> Option<(Fault, u64)> {
        self.volume_fault
    }

    /// Moves the label, if one is set, to `label`.
    pub(super) fn take_label(&mut self, label: &mut Name) {
        if self.label.is_present() {
            std::mem::swap(&mut self.label, label);
            self.label.clear();
        }
    }

    /// The name, if these settings have one.
    pub(super) fn name(&self) -> Option<Result<&[u8], Omission>> {
        self.name.get()
    }
}

/// Where the map of a sparse member of the posix class is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapPlace {
    /// The member is not sparse.
    Nowhere,
    /// In the records (sparse formats 0.0 and 0.1).
    Records,
    /// At the beginning of the body (sparse format 1.0).
    Body,
}

/// What a member gets from the `g` and the `x` header together.
pub(super) struct Combined<'a> {
    pub(super) name: Option<Result<&'a [u8], Omission>>,
    pub(super) size: Option<u64>,
    pub(super) real_size: Option<u64>,
    pub(super) map: MapPlace,
    /// What GNU tar would complain about when it applies the settings.
    pub(super) fault: Option<(Fault, u64)>,
    /// Whether the records give more entries than they made room for.
    pub(super) map_exceeds_room: bool,
    pub(super) map_too_large: bool,
}

/// Applies first `global`, then `own`.
pub(super) fn combine<'a>(global: &'a Settings, own: &'a Settings) -> Combined<'a> {
    let name = if own.name_is_sparse || !global.sparse_name_done {
        own.name().or(global.name())
    } else {
        global.name()
    };
    let after_global = global.map.apply((0, 0));
    let (_, entries) = own.map.apply(after_global);
    let excess = global.map.exceeds((0, 0)) || own.map.exceeds(after_global);
    let map = if own
        .sparse_major
        .or(global.sparse_major)
        .is_some_and(|major| major > 0)
    {
        MapPlace::Body
    } else if entries > 0 {
        MapPlace::Records
    } else {
        MapPlace::Nowhere
    };
    Combined {
        name,
        size: own.size.or(global.size),
        real_size: own.real_size.or(global.real_size),
        map,
        fault: global.fault.or(own.fault),
        map_exceeds_room: excess,
        map_too_large: global.map_too_large || own.map_too_large,
    }
}

/// One record's step in building a map.
#[derive(Debug, Clone, Copy)]
enum MapStep {
    /// `GNU.sparse.numblocks`: makes room for so many entries and forgets those it had.
    Room(u64),
    /// `GNU.sparse.map`: forgets the entries, takes so many as long as there is room.
    Map(u64),
    /// `GNU.sparse.offset`: needs room for an entry, but completes none.
    Offset,
    /// `GNU.sparse.numbytes`: completes one entry, if there is room.
    Entry,
}

/// What a series of steps does to a map, whatever it starts from.
///
/// Only how many entries there are matters here, and how many there is room for. Every series
/// comes down to: set the room or leave it; set the number of entries or leave it; add entries as
/// long as there is room. Thus records need not be kept to be applied in another order or later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct MapEffect {
    room: Option<u64>,
    entries: Option<u64>,
    more: u64,
    /// The room needed at the start: at least this much,
    needs: u64,
    /// and so much more than there are entries at the start.
    needs_free: u64,
    /// Room made within the series was too small.
    exceeded: bool,
}

impl MapEffect {
    fn add(&mut self, step: MapStep, order: Order) {
        match order {
            Order::FirstToLast => self.append(step),
            Order::LastToFirst => self.prepend(step),
        }
    }

    fn append(&mut self, step: MapStep) {
        let mut wanted = self.more;
        match step {
            MapStep::Room(room) => (self.room, self.entries, wanted) = (Some(room), Some(0), 0),
            MapStep::Map(entries) => (self.entries, wanted) = (Some(entries), 0),
            MapStep::Offset | MapStep::Entry => wanted = wanted.saturating_add(1),
        }
        if !matches!(step, MapStep::Offset) {
            self.more = wanted;
        }
        let total = self.entries.unwrap_or(0).saturating_add(wanted);
        match (self.room, self.entries) {
            (Some(room), _) => self.exceeded |= total > room,
            (None, Some(_)) => self.needs = self.needs.max(total),
            (None, None) => self.needs_free = self.needs_free.max(total),
        }
    }

    /// Puts a step before the others; what they set themselves hides it.
    fn prepend(&mut self, step: MapStep) {
        match step {
            MapStep::Room(room) => {
                self.exceeded |= self.needs.max(self.needs_free) > room;
                (self.needs, self.needs_free) = (0, 0);
                self.room = self.room.or(Some(room));
                self.entries = self.entries.or(Some(0));
            }
            MapStep::Map(entries) => {
                self.needs = self.needs.max(entries.saturating_add(self.needs_free));
                self.needs_free = 0;
                self.entries = self.entries.or(Some(entries));
            }
            MapStep::Offset => self.needs_free = self.needs_free.max(1),
            MapStep::Entry => {
                self.needs_free = self.needs_free.saturating_add(1);
                if self.entries.is_none() {
                    self.more = self.more.saturating_add(1);
                }
            }
        }
    }

    /// From (room, entries) to (room, entries).
    fn apply(&self, (room, entries): (u64, u64)) -> (u64, u64) {
        let room = self.room.unwrap_or(room);
        let entries = self.entries.unwrap_or(entries).saturating_add(self.more);
        (room, entries.min(room))
    }

    /// Whether more entries come than there is room for, from (room, entries) on.
    fn exceeds(&self, (room, entries): (u64, u64)) -> bool {
        self.exceeded
            || self.needs > room
            || (self.needs_free > 0 && entries.saturating_add(self.needs_free) > room)
    }
}
