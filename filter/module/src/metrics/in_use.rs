//! Which numbers have been counted, under this configuration or one before: those of
//! the process that a configuration still has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use btp_engine::{Family, Labels, Series};

/// Whether a number has been counted. All configurations that have it share this.
#[derive(Clone, Debug, Default)]
pub(super) struct InUse(Arc<AtomicBool>);

/// Whether at the upstream position, of which family, and whose. Both positions count
/// for themselves.
type Key = (bool, Family, Labels);

static PROCESS: LazyLock<Mutex<HashMap<Key, InUse>>> = LazyLock::new(Mutex::default);

/// Shows what has been counted at the upstream position.
pub(super) fn of_upstream(mut show: impl FnMut(Family, &Labels)) {
    let known = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    for ((is_upstream, family, labels), in_use) in &*known {
        if *is_upstream && in_use.get() {
            show(*family, labels);
        }
    }
}

impl InUse {
    /// Of these numbers, in their order. What no configuration has any more is
    /// forgotten: Envoy has dropped it with the last one.
    pub(super) fn of(is_upstream: bool, series: &[Series]) -> Vec<Self> {
        let mut known = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, it| Arc::strong_count(&it.0) > 1);
        let key = |it: &Series| (is_upstream, it.family, Labels::clone(&it.labels));
        let of = |it| known.entry(key(it)).or_default().clone();
        series.iter().map(of).collect()
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self) {
        // Read first: a write costs all workers.
        if !self.get() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
