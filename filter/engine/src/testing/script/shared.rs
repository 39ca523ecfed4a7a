//! What all workers of the scripted proxy share, whatever configuration they
//! run: counters, gauges, cells and meters, each found by its name.

use std::cell::{Cell, RefCell};

use crate::host::metrics::{MeterId, MeterKind, Meters};
use crate::host::shared_state::journal::{Journals, WorkerId};
use crate::host::shared_state::{CellId, CellNames, Cells, Contended, Update};
use crate::shared::vm_memory::VmTable;
use crate::testing::SharedCells;

/// The shared store of one proxy.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) now_ns: Cell<u64>,
    pub(super) wall_ms: Cell<u64>,
    pub(super) counters: RefCell<Vec<u64>>,
    pub(super) gauges: RefCell<Vec<i64>>,
    pub(super) cells: SharedCells,
    pub(super) meters: RefCell<Vec<(String, u64)>>,
    /// The table of machines that live.
    pub(super) vms: RefCell<VmTable>,
}

impl Shared {
    /// A store with so many counters and gauges.
    pub(super) fn new(counters: usize, gauges: usize) -> Self {
        Self {
            counters: RefCell::new(vec![0; counters]),
            gauges: RefCell::new(vec![0; gauges]),
            ..Self::default()
        }
    }

    pub(super) fn count(&self, counter: usize, amount: u64) {
        if let Some(count) = self.counters.borrow_mut().get_mut(counter) {
            *count = count.saturating_add(amount);
        }
    }

    /// The sum of all meters whose name ends like this.
    pub(super) fn metered(&self, ending: &str) -> u64 {
        let meters = self.meters.borrow();
        let named = meters.iter().filter(|(name, _)| name.ends_with(ending));
        named.map(|(_, level)| *level).sum()
    }
}

impl<I: CellId> Cells<I> for Shared {
    fn update<T>(
        &self,
        id: I,
        step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended> {
        self.cells.update(id, &CellNames::default(), step)
    }
}

/// As seen by nobody in particular.
impl Journals for Shared {
    fn worker(&self) -> Option<WorkerId> {
        None
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
