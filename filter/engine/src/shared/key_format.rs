//! The keys of what workers share, with the version of what stands under them.
//!
//! Shared data outlives the code that wrote it: on an update of the filter with
//! the same `vm_id` old and new machines use the same keys at the same time,
//! until the last exchange of the old ones has ended. So a key's last part is
//! the version of its value's format, and who writes another format raises the
//! version: no version reads another's format, and accounts are separate for a
//! while (docs/guides/upgrading.md says what that costs). Format
//! 0 has no such part: that is how keys were written before there were
//! versions, and nothing is forgotten where the format has stayed since.

/// What stands under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The key of all hashes: two words.
    Seed,
    /// Buckets of routes: slots of 20 bytes.
    Buckets,
    /// Buckets of `Distinct` values, in the same slots.
    ClientBuckets,
    /// Cells of `Distinct` values for which there is no slot. The block says how
    /// it was written.
    Cells,
    /// What counts requests in flight: slots of three words.
    InFlight,
    /// The same of `Distinct` values.
    ClientInFlight,
    /// Amounts of one quota: bytes of bodies, requests that wait.
    Amounts,
    /// The workers that live: pairs of words.
    WorkerRegistry,
}

impl Format {
    const fn version(self) -> u32 {
        match self {
            Self::Seed
            | Self::Buckets
            | Self::ClientBuckets
            | Self::Cells
            | Self::InFlight
            | Self::Amounts
            | Self::WorkerRegistry => 0,
            // Since 1 a slot says which rule's place it is.
            Self::ClientInFlight => 1,
        }
    }

    /// The key of this name, or the end of one with this end.
    pub(crate) fn key(self, name: &str) -> String {
        versioned_key(name, self.version())
    }
}

/// The key of a shared value whose format has this version.
#[must_use]
pub fn versioned_key(name: &str, version: u32) -> String {
    match version {
        0 => name.to_owned(),
        version => format!("{name}.{version}"),
    }
}

#[cfg(test)]
mod tests;
