//! Changes of metrics that wait for somebody who can show them.
//!
//! Envoy keeps what streams at the upstream position count under their cluster's name,
//! and calls them no more when they end. So they leave to the streams at listeners what
//! they count, and these show it in their next hook: the exchange that an attempt
//! belongs to has one before its client sees a response. When nobody comes, the main
//! thread is asked to.

use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use btp_engine::{Family, Labels};
use hashbrown::{Equivalent, HashMap};

use crate::clock::monotonic_ns;
use crate::listeners;
#[cfg(feature = "planted-panics")]
use crate::shared_state;
use crate::timer;

/// What streams at listeners show for others.
static HANDED_OVER: LazyLock<Owed> = LazyLock::new(Owed::default);

/// The main thread is going to be asked.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// So long it is left to streams, in nanoseconds.
const PATIENCE_NS: u64 = 100_000_000;

/// How a metric changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// By so much, less than nothing for gauges only.
    Add(i64),
    /// To this.
    Set(u64),
}

/// Changes that nobody has shown yet.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// Read by every hook, and so apart from the lock.
    is_any: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    series: Vec<Series>,
    places: HashMap<Key, usize>,
    /// Places of those with a change, each once.
    changed: Vec<usize>,
}

#[derive(Debug)]
struct Series {
    family: Family,
    labels: Labels,
    change: Option<Change>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key(&'static str, Labels);

/// The same, lent. It must have the same hash.
#[derive(Hash)]
struct Lent<'a>(&'static str, &'a Labels);

/// Series that are remembered with nothing to show, so that to owe allocates nothing.
const KEPT: usize = 4096;

/// Leaves a change to the streams at listeners, or to the main thread.
pub(crate) fn hand_over(family: Family, labels: &Labels, change: Change) {
    HANDED_OVER.add(family, labels, change);
    // Read first: a write costs all workers.
    if !IS_ASKED.load(Ordering::Relaxed) && !IS_ASKED.swap(true, Ordering::Relaxed) {
        let is_asked = timer::call_at(monotonic_ns().saturating_add(PATIENCE_NS), ask);
        // The next change tries again.
        IS_ASKED.fetch_and(is_asked, Ordering::Relaxed);
    }
}

/// Asks the main thread, through any configuration at a listener.
fn ask() {
    IS_ASKED.store(false, Ordering::Relaxed);
    if HANDED_OVER.is_any() {
        listeners::call_one();
    }
}

/// What was handed over.
pub(crate) fn handed_over() -> &'static Owed {
    &HANDED_OVER
}

impl Owed {
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// Leaves a change of one series.
    pub(crate) fn add(&self, family: Family, labels: &Labels, change: Change) {
        let mut table = self.lock();
        table.add(family, labels, change);
        self.is_any.store(true, Ordering::Relaxed);
    }

    /// Takes all that is owed, and shows it.
    pub(crate) fn settle(&self, mut show: impl FnMut(Family, &Labels, Change)) {
        if !self.is_any() {
            return;
        }
        let mut table = self.lock();
        let Table {
            series, changed, ..
        } = &mut *table;
        // One by one, so that a panic leaves the others to the next.
        while let Some(place) = changed.last().copied() {
            #[cfg(feature = "planted-panics")]
            shared_state::locked("Owed");
            changed.pop();
            let Some(series) = series.get_mut(place) else {
                continue;
            };
            if let Some(change) = series.change.take() {
                show(series.family, &series.labels, change);
            }
        }
        self.is_any.store(false, Ordering::Relaxed);
        if table.series.len() > KEPT {
            *table = Table::default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, family: Family, labels: &Labels, change: Change) {
        let place = match self.places.get(&Lent(family.name, labels)) {
            Some(place) => *place,
            None => {
                let place = self.series.len();
                self.series.push(Series {
                    family,
                    labels: labels.clone(),
                    change: None,
                });
                self.places.insert(Key(family.name, labels.clone()), place);
                place
            }
        };
        if let Some(series) = self.series.get_mut(place) {
            if series.change.is_none() {
                self.changed.push(place);
            }
            series.change = Some(change.after(series.change));
        }
    }
}

impl Change {
    /// Both, one after the other.
    fn after(self, earlier: Option<Self>) -> Self {
        match (earlier, self) {
            (None, _) | (_, Self::Set(_)) => self,
            (Some(Self::Add(earlier)), Self::Add(by)) => Self::Add(earlier.saturating_add(by)),
            (Some(Self::Set(to)), Self::Add(by)) => Self::Set(to.saturating_add_signed(by)),
        }
    }
}

impl Equivalent<Key> for Lent<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0 && *self.1 == key.1
    }
}
