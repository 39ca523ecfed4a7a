//! Meters of atomics, for as many threads as a test likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::host::metrics::{MeterId, MeterKind, Meters};

/// The process-wide numbers of a proxy; clones share them.
#[derive(Clone, Debug, Default)]
pub struct SharedMeters {
    named: Arc<Mutex<Vec<Named>>>,
}

type Named = (String, Arc<AtomicU64>);

impl SharedMeters {
    /// The number of this name; 0 if nobody has made it.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let found = named.iter().find(|(other, _)| other == name);
        found.map_or(0, |(_, number)| number.load(Ordering::SeqCst))
    }

    /// Sets all counters to zero, as an administrator can.
    pub fn reset(&self, name: &str) {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, number) in named.iter().filter(|(other, _)| other == name) {
            number.store(0, Ordering::SeqCst);
        }
    }

    fn number(&self, meter: MeterId) -> Option<Arc<AtomicU64>> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let index = usize::try_from(meter.0).ok()?;
        named.get(index).map(|(_, number)| Arc::clone(number))
    }
}

impl Meters for SharedMeters {
    fn meter(&self, _kind: MeterKind, name: &str) -> Option<MeterId> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let found = named.iter().position(|(other, _)| other == name);
        let index = found.unwrap_or_else(|| {
            named.push((name.to_owned(), Arc::default()));
            named.len() - 1
        });
        u32::try_from(index).ok().map(MeterId)
    }

    fn adjust(&self, meter: MeterId, by: i64) {
        if let Some(number) = self.number(meter) {
            number.fetch_add(by.cast_unsigned(), Ordering::SeqCst);
        }
    }

    fn set(&self, meter: MeterId, to: u64) {
        if let Some(number) = self.number(meter) {
            number.store(to, Ordering::SeqCst);
        }
    }

    fn level(&self, meter: MeterId) -> u64 {
        self.number(meter)
            .map_or(0, |number| number.load(Ordering::SeqCst))
    }
}
