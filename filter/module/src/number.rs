//! Numbers of the process, which workers change: every configuration that counts the
//! same has the same number, so that an update loses nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use btp_engine::{Family, Labels, MetricKind, Series};

/// A number, and how much of it Envoy has been shown.
#[derive(Debug, Default)]
pub(crate) struct Number {
    total: AtomicI64,
    /// The main thread's.
    shown: AtomicI64,
}

/// A number of a plan.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) series: Series,
    pub(crate) number: Arc<Number>,
}

/// Whether at the upstream position, of which family, and whose. Both positions count
/// for themselves; a gauge is one number, wherever it is changed.
type Key = (bool, Family, Labels);

static PROCESS: LazyLock<Mutex<HashMap<Key, Arc<Number>>>> = LazyLock::new(Mutex::default);

/// The numbers of these series, in their order. What no configuration has any more is
/// forgotten: Envoy has dropped it with the last one.
pub(crate) fn numbers(is_upstream: bool, series: &[Series]) -> Vec<Numbered> {
    let mut known = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|_, number| Arc::strong_count(number) > 1);
    let number = |series: &Series| {
        let is_apart = is_upstream && series.family.kind == MetricKind::Counter;
        let key = (is_apart, series.family, Labels::clone(&series.labels));
        Numbered {
            number: known.entry(key).or_default().clone(),
            series: series.clone(),
        }
    };
    series.iter().map(number).collect()
}

impl Number {
    /// Adds to it. A thread that sees this also sees all earlier changes of the adding
    /// thread.
    pub(crate) fn add(&self, amount: i64) {
        self.total.fetch_add(amount, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, to: i64) {
        self.total.store(to, Ordering::SeqCst);
    }

    pub(crate) fn total(&self) -> i64 {
        self.total.load(Ordering::SeqCst)
    }

    /// What it has come to, and by how much that differs from what was shown so far;
    /// from now on it counts as shown.
    pub(crate) fn show(&self) -> (i64, i64) {
        let total = self.total();
        (total, total - self.shown.swap(total, Ordering::Relaxed))
    }
}
