//! `limits`: bounds on what the filter remembers.

use super::schema::{
    CONFIGURATION_BYTES, DISTINCT_KEYS, LIMITS, METRIC_SERIES, REGEX_BYTES, REQUEST_VALUE_BYTES,
    REQUEST_VALUE_BYTES_PER_WORKER, ROUTES,
};
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::regex::Regexes;

/// Bounds on what the filter remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Named routes whose effective policy is remembered.
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
    /// Series of metrics that have labels of their own.
    pub metric_series: usize,
    /// Bytes that a configuration may take while it is loaded.
    pub configuration_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            routes: 10_000,
            distinct_keys: 65_536,
            metric_series: 20_000,
            request_value_bytes: 4096,
            request_value_bytes_per_worker: 16 << 20,
            configuration_bytes: 512 << 20,
            regex_bytes: Regexes::DEFAULT_BYTES,
        }
    }
}

impl Limits {
    pub(super) fn read(config: &Object<'_>, problems: &mut Problems) -> Option<Self> {
        config.or_default("limits", problems, Self::read_fields)
    }

    fn read_fields(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&LIMITS, problems)?;
        let mut limits = Self::default();
        let mut is_right = true;
        for (name, [least, most], limit) in limits.fields() {
            let number = object.or(name, *limit, problems, |at, problems| {
                at.integer(least..=most, problems)?.try_into().ok()
            });
            match number {
                Some(number) => *limit = number,
                None => is_right = false,
            }
        }
        is_right.then_some(limits)
    }

    fn fields(&mut self) -> [(&'static str, [i64; 2], &mut usize); 7] {
        [
            (
                "configurationBytes",
                CONFIGURATION_BYTES,
                &mut self.configuration_bytes,
            ),
            ("distinctKeys", DISTINCT_KEYS, &mut self.distinct_keys),
            ("metricSeries", METRIC_SERIES, &mut self.metric_series),
            ("regexBytes", REGEX_BYTES, &mut self.regex_bytes),
            (
                "requestValueBytes",
                REQUEST_VALUE_BYTES,
                &mut self.request_value_bytes,
            ),
            (
                "requestValueBytesPerWorker",
                REQUEST_VALUE_BYTES_PER_WORKER,
                &mut self.request_value_bytes_per_worker,
            ),
            ("routes", ROUTES, &mut self.routes),
        ]
    }
}
