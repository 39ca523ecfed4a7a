//! `limits`: bounds on what the filter remembers.

use std::ops::RangeInclusive;

use crate::problem::Problems;
use crate::read::Object;
use crate::regex::Regexes;

/// Bounds on what the filter remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Named routes whose governing policy is remembered.
    pub routes: usize,
    /// Clients that `Distinct` rate limits count at a time, all rules
    /// together.
    pub distinct_keys: usize,
    /// Bytes of a request that are kept for its response.
    pub request_value_bytes: usize,
    /// The same of all requests of a worker.
    pub request_value_bytes_per_worker: usize,
    /// Bytes that the tables of all regexes may take.
    pub regex_bytes: usize,
    /// Bytes that a configuration may take while it is loaded.
    pub configuration_bytes: usize,
}

/// The keys of `limits`, each with its bounds.
pub(crate) const LIMITS: [(&str, RangeInclusive<i64>); 6] = [
    ("configurationBytes", 1_048_576..=805_306_368),
    ("distinctKeys", 64..=1_048_576),
    ("regexBytes", 0..=268_435_456),
    ("requestValueBytes", 0..=65_536),
    ("requestValueBytesPerWorker", 0..=268_435_456),
    ("routes", 1..=1_000_000),
];

impl Default for Limits {
    fn default() -> Self {
        Self {
            routes: 10_000,
            distinct_keys: 65_536,
            request_value_bytes: 4096,
            request_value_bytes_per_worker: 16 << 20,
            configuration_bytes: 512 << 20,
            regex_bytes: Regexes::DEFAULT_BYTES,
        }
    }
}

impl Limits {
    pub(super) fn read(object: &Object<'_>, problems: &mut Problems) -> Option<Self> {
        let mut limits = Self::default();
        let Some(at) = object.get("limits") else {
            return Some(limits);
        };
        let object = at.object(&LIMITS.each_ref().map(|(name, _)| *name), problems)?;
        let mut is_right = true;
        for (name, bounds) in LIMITS {
            let Some(at) = object.get(name) else { continue };
            let number = at.integer(bounds, problems);
            match (limits.field(name), number.and_then(|it| it.try_into().ok())) {
                (Some(field), Some(number)) => *field = number,
                _ => is_right = false,
            }
        }
        is_right.then_some(limits)
    }

    fn field(&mut self, name: &str) -> Option<&mut usize> {
        match name {
            "configurationBytes" => Some(&mut self.configuration_bytes),
            "distinctKeys" => Some(&mut self.distinct_keys),
            "requestValueBytes" => Some(&mut self.request_value_bytes),
            "requestValueBytesPerWorker" => Some(&mut self.request_value_bytes_per_worker),
            "regexBytes" => Some(&mut self.regex_bytes),
            "routes" => Some(&mut self.routes),
            _ => None,
        }
    }
}
