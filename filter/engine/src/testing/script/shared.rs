//! What all workers of the scripted proxy share, whatever configuration they
//! run: counters, gauges, cells and accounts, each found by its name.

use std::cell::{Cell, RefCell};

use crate::host::metrics::Labels;
use crate::host::shared_state::accounts::{AccountId, Accounts, Entry};
use crate::host::shared_state::journal::{Journals, WorkerId};
use crate::host::shared_state::{CellId, CellNames, Cells, Contended, Update};
use crate::shared::vm_memory::VmTable;
use crate::testing::{SharedAccounts, SharedCells};

/// The shared store of one proxy.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) now_ns: Cell<u64>,
    pub(super) wall_ms: Cell<u64>,
    pub(super) counters: RefCell<Vec<u64>>,
    pub(super) gauges: RefCell<Vec<i64>>,
    pub(super) cells: SharedCells,
    pub(super) accounts: SharedAccounts,
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

/// The view of no particular worker.
impl Journals for Shared {
    fn worker(&self) -> Option<WorkerId> {
        None
    }
}

impl Accounts for Shared {
    fn account(&self, budget: &Labels) -> Option<AccountId> {
        self.accounts.account(budget)
    }

    fn post(&self, account: AccountId, entry: Entry, by: i64) {
        self.accounts.post(account, entry, by);
    }

    fn set(&self, account: AccountId, entry: Entry, to: u64) {
        self.accounts.set(account, entry, to);
    }

    fn total(&self, account: AccountId, entry: Entry) -> u64 {
        self.accounts.total(account, entry)
    }
}
