//! A native host for many threads: cells and counters are atomics, blocks
//! stand behind a lock.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;

use crate::counters::CounterId;
use crate::shared::{
    BlockId, Blocks, CellId, Cells, Contended, Counters, Step, TableId, Tables, Updated,
};

/// The shared state of a proxy whose workers are threads. Tables, which no
/// test needs to be fast, are behind one lock.
#[derive(Debug)]
pub struct ThreadedHost {
    cells: Vec<AtomicU64>,
    counters: Vec<AtomicU64>,
    blocks: Mutex<HashMap<BlockId, Vec<u8>>>,
    tables: Mutex<BTreeMap<u32, Vec<u64>>>,
}

impl ThreadedHost {
    /// A host with this many cells and counters, all zero.
    #[must_use]
    pub fn new(cells: usize, counters: usize) -> Self {
        let zeros = |count| {
            std::iter::repeat_with(AtomicU64::default)
                .take(count)
                .collect()
        };
        Self {
            cells: zeros(cells),
            counters: zeros(counters),
            blocks: Mutex::default(),
            tables: Mutex::default(),
        }
    }

    fn slot(slots: &[AtomicU64], index: u32) -> Option<&AtomicU64> {
        slots.get(usize::try_from(index).ok()?)
    }
}

impl Counters for ThreadedHost {
    fn add(&self, counter: CounterId, amount: u64) {
        if let Some(slot) = Self::slot(&self.counters, counter.0) {
            slot.fetch_add(amount, Ordering::Relaxed);
        }
    }

    fn read(&self, counter: CounterId) -> u64 {
        Self::slot(&self.counters, counter.0).map_or(0, |slot| slot.load(Ordering::Relaxed))
    }
}

impl Blocks for ThreadedHost {
    fn block<T>(
        &self,
        block: BlockId,
        mut step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended> {
        let mut blocks = self.blocks.lock().map_err(|_| Contended)?;
        let bytes = blocks.entry(block).or_default();
        let mut new = bytes.clone();
        match step(&mut new) {
            Step::Keep(value) => Ok(value),
            Step::Write(value) => {
                *bytes = new;
                Ok(value)
            }
        }
    }
}

impl Cells for ThreadedHost {
    fn update(&self, cell: CellId, mut step: impl FnMut(u64) -> Option<u64>) -> Updated {
        const TRIES: usize = 64;
        let Some(slot) = Self::slot(&self.cells, cell.0) else {
            return Updated::Contended;
        };
        let mut current = slot.load(Ordering::Acquire);
        for _ in 0..TRIES {
            let Some(new) = step(current) else {
                return Updated::Kept(current);
            };
            match slot.compare_exchange_weak(current, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Updated::To(new),
                Err(other) => current = other,
            }
        }
        Updated::Contended
    }
}

impl Tables for ThreadedHost {
    fn update_table(&self, table: TableId, mut step: impl FnMut(&mut Vec<u64>) -> bool) -> bool {
        let Ok(mut tables) = self.tables.lock() else {
            return false;
        };
        let current = tables.entry(table.0).or_default();
        let mut changed = current.clone();
        let counts = step(&mut changed);
        if counts {
            *current = changed;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: u64 = 8;
    const ROUNDS: u64 = 20_000;

    #[test]
    fn no_increment_is_lost_and_no_refusal_counted() {
        let host = ThreadedHost::new(1, 1);
        let cell = CellId(0);
        let granted: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut granted = 0;
                        for _ in 0..ROUNDS {
                            if let Updated::To(_) = host.update(cell, |value| Some(value + 1)) {
                                granted += 1;
                            }
                            host.add(CounterId(0), 1);
                        }
                        granted
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(host.update(cell, |_| None), Updated::Kept(granted));
        assert_eq!(host.read(CounterId(0)), THREADS * ROUNDS);
    }

    #[test]
    fn a_bounded_cell_admits_exactly_its_bound() {
        const BOUND: u64 = 1_000;
        let host = ThreadedHost::new(1, 1);
        let admit = |value: u64| (value < BOUND).then_some(value + 1);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        if let Updated::To(_) = host.update(CellId(0), admit) {
                            host.add(CounterId(0), 1);
                        }
                    }
                });
            }
        });
        assert_eq!(host.read(CounterId(0)), BOUND);
    }

    #[test]
    fn what_does_not_exist_is_refused_not_admitted() {
        let host = ThreadedHost::new(0, 0);
        assert_eq!(host.update(CellId(9), Some), Updated::Contended);
        assert_eq!(host.read(CounterId(9)), 0);
    }
}
