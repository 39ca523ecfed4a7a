//! What all workers of the scripted proxy share, whatever configuration they
//! run: counters, gauges, tables, blocks and meters, each found by its name.

use std::cell::{Cell, RefCell};

use hashbrown::HashMap;

use crate::host::journal::{Journals, Page, WorkerId};
use crate::host::metrics::{MeterId, MeterKind, Meters};
use crate::host::values::{Contended, Step};

/// The shared store of one proxy.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) now_ns: Cell<u64>,
    pub(super) wall_ms: Cell<u64>,
    pub(super) counters: RefCell<Vec<u64>>,
    pub(super) gauges: RefCell<Vec<i64>>,
    pub(super) tables: RefCell<Vec<Vec<u64>>>,
    pub(super) blocks: RefCell<Vec<Vec<u8>>>,
    pub(super) meters: RefCell<Vec<(String, u64)>>,
    journals: RefCell<HashMap<Page, Vec<u8>>>,
    /// The table of machines that live.
    pub(super) vms: RefCell<Vec<u64>>,
    /// So many of the next changes of a table or block are lost to others.
    pub(super) contended: Cell<u32>,
    /// So many of the next changes succeed at the second attempt.
    pub(super) raced: Cell<u32>,
}

impl Shared {
    /// A store with so many counters, gauges, tables and blocks.
    pub(super) fn new([counters, gauges, tables, blocks]: [usize; 4]) -> Self {
        Self {
            counters: RefCell::new(vec![0; counters]),
            gauges: RefCell::new(vec![0; gauges]),
            tables: RefCell::new(vec![Vec::new(); tables]),
            blocks: RefCell::new(vec![Vec::new(); blocks]),
            ..Self::default()
        }
    }

    pub(super) fn count(&self, counter: usize, amount: u64) {
        if let Some(count) = self.counters.borrow_mut().get_mut(counter) {
            *count = count.saturating_add(amount);
        }
    }

    pub(super) fn change_table(
        &self,
        table: usize,
        mut step: impl FnMut(&mut Vec<u64>) -> bool,
    ) -> bool {
        let mut tables = self.tables.borrow_mut();
        let Some(table) = tables.get_mut(table) else {
            return false;
        };
        let mut changed = table.clone();
        if took_one(&self.contended) {
            step(&mut changed);
            return false;
        }
        if took_one(&self.raced) {
            step(&mut table.clone());
        }
        let counts = step(&mut changed);
        if counts {
            *table = changed;
        }
        counts
    }

    pub(super) fn change_block<T>(
        &self,
        block: usize,
        step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended> {
        let mut blocks = self.blocks.borrow_mut();
        self.change(blocks.get_mut(block).ok_or(Contended)?, step)
    }

    fn change<T>(
        &self,
        block: &mut Vec<u8>,
        mut step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended> {
        let mut changed = block.clone();
        if took_one(&self.contended) {
            step(&mut changed);
            return Err(Contended);
        }
        if took_one(&self.raced) {
            step(&mut block.clone());
        }
        match step(&mut changed) {
            Step::Keep(value) => Ok(value),
            Step::Write(value) => {
                *block = changed;
                Ok(value)
            }
        }
    }

    /// The sum of all meters whose name ends like this.
    pub(super) fn metered(&self, ending: &str) -> u64 {
        let meters = self.meters.borrow();
        let named = meters.iter().filter(|(name, _)| name.ends_with(ending));
        named.map(|(_, level)| *level).sum()
    }
}

/// As seen by nobody in particular.
impl Journals for Shared {
    fn worker(&self) -> Option<WorkerId> {
        None
    }

    fn page<T>(
        &self,
        page: Page,
        step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended> {
        let mut journals = self.journals.borrow_mut();
        self.change(journals.entry(page).or_default(), step)
    }
}

impl Meters for Shared {
    fn meter(&self, _: MeterKind, name: &str) -> Option<MeterId> {
        let mut meters = self.meters.borrow_mut();
        let found = meters.iter().position(|(other, _)| other == name);
        let index = found.unwrap_or(meters.len());
        if found.is_none() {
            meters.push((name.to_owned(), 0));
        }
        u32::try_from(index).ok().map(MeterId)
    }

    fn adjust(&self, meter: MeterId, by: i64) {
        let mut meters = self.meters.borrow_mut();
        if let Some((name, level)) = meters.get_mut(meter.0 as usize) {
            let changed = level.checked_add_signed(by);
            assert!(changed.is_some(), "{name} falls below zero: {level} {by}");
            *level = changed.unwrap_or_default();
        }
    }

    fn set(&self, meter: MeterId, to: u64) {
        if let Some((_, level)) = self.meters.borrow_mut().get_mut(meter.0 as usize) {
            *level = to;
        }
    }

    fn level(&self, meter: MeterId) -> u64 {
        let meters = self.meters.borrow();
        meters.get(meter.0 as usize).map_or(0, |(_, level)| *level)
    }
}

fn took_one(left: &Cell<u32>) -> bool {
    let before = left.get();
    left.set(before.saturating_sub(1));
    before > 0
}
