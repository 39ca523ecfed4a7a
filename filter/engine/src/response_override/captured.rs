//! The values of one request in one buffer: a value that is part of another,
//! or begins like it, takes no room of its own.

use std::borrow::Cow;

use crate::response_override::memory_quota::{MemoryQuota, Reservation};

/// Values that were kept, in the order of the plan's items.
#[derive(Debug, Default)]
pub(super) enum CapturedValues {
    /// The request had none of them.
    #[default]
    Nothing,
    Values {
        bytes: Box<[u8]>,
        locations: Box<[Location]>,
        /// Gives its bytes back when it is dropped.
        _reservation: Reservation,
    },
    /// The worker had no room for any.
    NoRoom,
}

/// A captured value, which cannot be read from the host any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CapturedValue<'a> {
    Value(Cow<'a, [u8]>),
    /// The request did not have it.
    Absent,
    /// There was no room for it.
    Dropped,
}

/// A part of a header's value.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    pub(super) header: &'a str,
    pub(super) start: usize,
    pub(super) bytes: Cow<'a, [u8]>,
}

/// How much memory requests may take for their values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueLimits<'a> {
    /// The most bytes of one exchange.
    pub(crate) of_exchange: usize,
    /// The most bytes of all, what they need beside their values included.
    pub(crate) of_worker: usize,
    /// What is taken of these.
    pub(crate) quota: &'a MemoryQuota,
}

/// What was not kept for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// Values that the exchange had no room for.
    pub(crate) too_long: u64,
    /// The worker had no room for the exchange.
    pub(crate) no_room: bool,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    Absent,
    Dropped,
    /// In the buffer, or while that is filled in this copy.
    Cursor {
        copy: usize,
        start: usize,
        length: usize,
    },
}

/// What is copied.
#[derive(Debug, Default)]
struct Copies<'a> {
    parts: Vec<Part<'a>>,
    size: usize,
}

impl CapturedValues {
    /// Keeps what was found, in this order.
    pub(super) fn keep<'a>(
        found: impl Iterator<Item = Option<Part<'a>>>,
        limits: ValueLimits<'_>,
        shortage: &mut Shortage,
    ) -> Self {
        let mut copies = Copies::default();
        let locations = found.map(|part| match part {
            Some(part) => copies.add(part, limits.of_exchange),
            None => Location::Absent,
        });
        let mut locations: Box<[Location]> = locations.collect();
        if locations
            .iter()
            .all(|location| *location == Location::Absent)
        {
            return Self::Nothing;
        }
        let dropped = locations
            .iter()
            .filter(|location| **location == Location::Dropped);
        shortage.too_long = u64::try_from(dropped.count()).unwrap_or(u64::MAX);
        let size = copies.size.saturating_add(size_of_val(&*locations));
        let Some(reservation) = limits.quota.reserve(size, limits.of_worker) else {
            shortage.no_room = true;
            return Self::NoRoom;
        };
        let mut bytes = Vec::with_capacity(copies.size);
        let starts = copies.parts.iter().map(|part| {
            bytes.extend_from_slice(&part.bytes);
            bytes.len() - part.bytes.len()
        });
        let starts: Vec<usize> = starts.collect();
        for location in &mut locations {
            if let Location::Cursor { copy, start, .. } = location {
                *start += starts.get(*copy).copied().unwrap_or_default();
            }
        }
        Self::Values {
            bytes: bytes.into(),
            locations,
            _reservation: reservation,
        }
    }

    /// The value of the item with this index.
    pub(super) fn get(&self, item: usize) -> CapturedValue<'_> {
        let (bytes, locations) = match self {
            Self::Nothing => return CapturedValue::Absent,
            Self::NoRoom => return CapturedValue::Dropped,
            Self::Values {
                bytes, locations, ..
            } => (bytes, locations),
        };
        match locations.get(item) {
            Some(Location::Cursor { start, length, .. }) => {
                let value = bytes.get(*start..).and_then(|rest| rest.get(..*length));
                CapturedValue::Value(Cow::Borrowed(value.unwrap_or_default()))
            }
            Some(Location::Dropped) => CapturedValue::Dropped,
            Some(Location::Absent) | None => CapturedValue::Absent,
        }
    }
}

impl<'a> CapturedValue<'a> {
    /// The value, if there is one.
    pub(super) fn value(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Dropped => None,
        }
    }
}

impl<'a> Part<'a> {
    /// All of a header's value.
    pub(super) fn whole(header: &'a str, bytes: Cow<'a, [u8]>) -> Self {
        Self {
            header,
            start: 0,
            bytes,
        }
    }

    /// Its first bytes, at most so many.
    pub(super) fn cut(mut self, most: usize) -> Self {
        match &mut self.bytes {
            Cow::Borrowed(bytes) => *bytes = bytes.get(..most).unwrap_or(bytes),
            Cow::Owned(bytes) => bytes.truncate(most),
        }
        self
    }

    fn end(&self) -> usize {
        self.start.saturating_add(self.bytes.len())
    }
}

impl<'a> Copies<'a> {
    /// Copies what is not copied yet, unless it would be more than `most` in
    /// all.
    fn add(&mut self, part: Part<'a>, most: usize) -> Location {
        let length = part.bytes.len();
        let around = self.parts.iter().position(|other| {
            other.header == part.header && other.start <= part.start && part.end() <= other.end()
        });
        if let Some((copy, other)) = around.and_then(|copy| Some((copy, self.parts.get(copy)?))) {
            let start = part.start - other.start;
            return Location::Cursor {
                copy,
                start,
                length,
            };
        }
        let same_start =
            |other: &Part<'_>| other.header == part.header && other.start == part.start;
        let shorter = self.parts.iter().position(same_start);
        let copy = shorter.unwrap_or(self.parts.len());
        let replaced = self.parts.get(copy).map_or(0, |other| other.bytes.len());
        let size = (self.size - replaced).saturating_add(length);
        if size > most {
            return Location::Dropped;
        }
        self.size = size;
        match self.parts.get_mut(copy) {
            Some(other) => *other = part,
            None => self.parts.push(part),
        }
        Location::Cursor {
            copy,
            start: 0,
            length,
        }
    }
}
