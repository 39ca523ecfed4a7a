//! Values for histograms, from workers to the main thread.

use std::sync::{Mutex, PoisonError};

/// What has been recorded and not shown yet: places of histograms, and values.
#[derive(Debug, Default)]
pub(super) struct Recorded(Mutex<Vec<(usize, u64)>>);

/// The most values that wait. The main thread comes every few milliseconds, but nothing
/// that clients cause may grow without bounds; what is more is not recorded.
const MOST: usize = 65_536;

impl Recorded {
    pub(super) fn push(&self, histogram: usize, value: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST {
            all.push((histogram, value));
        }
    }

    pub(super) fn take(&self) -> Vec<(usize, u64)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut all)
    }
}
