//! Shared state as values of Envoy's shared data: the key of each value, and its format
//! byte by byte.
//!
//! Shared data outlives the code that wrote it. On an update of the filter with the same
//! `vm_id`, old and new VMs use the same keys at the same time, until the last exchange of
//! the old ones has ended. So a key's last part is the version of its value's format. A
//! change to a format must raise the version: accounts are separate from then on
//! (docs/guides/upgrading.md describes the cost). Format 0 has no such part: keys were
//! written that way before there were versions, and values in formats that have not changed
//! since are not forgotten. A new format may begin with the value under the key of an
//! earlier one ([`Stored::earlier`]).
//!
//! All numbers are little-endian. Bytes that are no whole entry are left out.

#![forbid(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod buckets;
mod bytes;
mod claims;
mod journal;
mod overflow;
mod processes;

use std::borrow::Cow;

use btp_engine::{CellId, CellKind, CellNames, SeedId};

pub use processes::Encoded;

/// A cell, as a value of shared data.
pub trait Stored: CellId {
    /// The value's key; `keys` are those of the plan.
    fn key(self, keys: &CellNames) -> Option<Cow<'_, str>> {
        self.name(keys)
    }

    /// Reads a value. One that nobody has written yet is empty.
    fn decode(self, value: Vec<u8>) -> Self::Cell;

    /// The value. It is empty for no cell but the default.
    fn encode(self, cell: &Self::Cell) -> Vec<u8>;

    /// The number of the one worker that writes the value. It makes it when it has
    /// something to write, and to others a value that is not there is empty.
    fn writer(self) -> Option<u32> {
        None
    }

    /// The key of an earlier format, whose value a cell begins with that nobody
    /// has written yet, and what reads it.
    fn earlier(self, _keys: &CellNames) -> Option<(String, Decode<Self::Cell>)> {
        None
    }
}

/// Reads a value.
pub type Decode<T> = fn(&[u8]) -> T;

/// The keys of a plan's cells.
#[must_use]
pub fn keys(names: &CellNames) -> CellNames {
    let names = names.clone();
    names.with_endings(|kind| versioned_key("", version(kind)))
}

/// The key of a shared value whose format has this version.
#[must_use]
pub fn versioned_key(name: &str, version: u32) -> String {
    match version {
        0 => name.to_owned(),
        version => format!("{name}.{version}"),
    }
}

/// The version of the values under the keys of a kind.
fn version(kind: CellKind) -> u32 {
    match kind {
        CellKind::Seed | CellKind::Overflow | CellKind::Quota | CellKind::Registry => 0,
        // Since 1 a bucket says under which rate it was written.
        CellKind::Buckets | CellKind::SharedBuckets => 1,
        // Since 1 a claim says on which quota it is.
        CellKind::SharedQuota => 1,
    }
}

/// Two words.
impl Stored for SeedId {
    fn decode(self, value: Vec<u8>) -> Self::Cell {
        bytes::words(&value).as_chunks().0.first().copied()
    }

    fn encode(self, cell: &Self::Cell) -> Vec<u8> {
        bytes::of_words(cell.as_ref().map_or(&[], |seed| &seed[..]))
    }
}

#[cfg(test)]
mod tests;
