//! A native host for many threads: counters are atomics, tables and blocks
//! stand behind a lock.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;

use crate::counters::CounterId;
use crate::shared::{BlockId, Blocks, Contended, Counters, Step, TableId, Tables};

/// The shared state of a proxy whose workers are threads.
#[derive(Debug)]
pub struct ThreadedHost {
    counters: Vec<AtomicU64>,
    blocks: Mutex<HashMap<BlockId, Vec<u8>>>,
    tables: Mutex<BTreeMap<u32, Vec<u64>>>,
}

impl ThreadedHost {
    /// A host with this many counters, all zero.
    #[must_use]
    pub fn new(counters: usize) -> Self {
        let zeros = std::iter::repeat_with(AtomicU64::default);
        Self {
            counters: zeros.take(counters).collect(),
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
    fn no_increment_is_lost() {
        let host = ThreadedHost::new(1);
        let count = |bytes: &mut Vec<u8>| {
            let before = bytes.first_chunk().copied().map_or(0, u64::from_le_bytes);
            *bytes = (before + 1).to_le_bytes().to_vec();
            Step::Write(before + 1)
        };
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        host.block(BlockId(0), count).unwrap();
                        host.add(CounterId(0), 1);
                    }
                });
            }
        });
        assert_eq!(host.block(BlockId(0), count), Ok(THREADS * ROUNDS + 1));
        assert_eq!(host.read(CounterId(0)), THREADS * ROUNDS);
    }

    #[test]
    fn a_bounded_table_admits_exactly_its_bound() {
        const BOUND: usize = 1_000;
        let host = ThreadedHost::new(1);
        let admit = |words: &mut Vec<u64>| {
            let room = words.len() < BOUND;
            words.push(1);
            room
        };
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..ROUNDS / 10 {
                        if host.update_table(TableId(0), admit) {
                            host.add(CounterId(0), 1);
                        }
                    }
                });
            }
        });
        assert_eq!(host.read(CounterId(0)), 1_000);
    }
}
