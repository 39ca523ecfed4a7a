//! A native proxy whose workers are threads: counters and the clock are atomics,
//! and those who change cells race.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use btp_policy::attach::Route;

use super::{FakeHost, SharedCells};
use crate::host::headers::HeaderView;
use crate::host::metadata::MetadataValue;
use crate::host::metrics::{CounterId, Labels, Metrics};
use crate::host::shared_state::accounts::{AccountId, Accounts, Entry};
use crate::host::shared_state::journal::{Journals, WorkerId};
use crate::host::shared_state::{CellId, CellNames, Cells, Contended, SharedState, Update};
use crate::host::{Attribute, Host};
use crate::plan::Plan;

/// What the workers share.
#[derive(Debug)]
pub struct ThreadedHost {
    /// The clock, in nanoseconds. It stands still unless somebody moves it.
    pub now_ns: AtomicU64,
    counters: Vec<AtomicU64>,
    cells: SharedCells,
    cell_names: CellNames,
}

/// One worker's view of it, with an exchange of its own. `LEASES`: whether workers
/// take several tokens or permits at a time.
#[derive(Debug)]
pub struct WorkerHost<'a, const LEASES: bool> {
    /// What is known of the exchange. The clock and all that is shared are
    /// the proxy's.
    pub exchange: FakeHost,
    shared: &'a ThreadedHost,
}

impl ThreadedHost {
    /// A host with this many counters, all zero.
    #[must_use]
    pub fn new(counters: usize) -> Self {
        let zeros = std::iter::repeat_with(AtomicU64::default);
        let cells = SharedCells::default();
        cells.yield_to_others();
        Self {
            now_ns: AtomicU64::new(0),
            counters: zeros.take(counters).collect(),
            cells,
            cell_names: CellNames::default(),
        }
    }

    /// The same with the cells of this plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self {
            cell_names: plan.cells().clone(),
            ..Self::new(plan.counters().len())
        }
    }

    /// A worker, whose random numbers begin with `seed`.
    #[must_use]
    pub fn worker<const LEASES: bool>(&self, seed: u64) -> WorkerHost<'_, LEASES> {
        let mut exchange = FakeHost::default();
        exchange.cells = self.cells.clone();
        exchange.cell_names = self.cell_names.clone();
        // What workers draw to tell each other apart must differ.
        exchange
            .random
            .extend((0..8).map(|n| seed.wrapping_mul(8) + n));
        WorkerHost {
            exchange,
            shared: self,
        }
    }

    /// What a counter has come to.
    #[must_use]
    pub fn counter(&self, counter: CounterId) -> u64 {
        let count = self.count_of(counter);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn count_of(&self, counter: CounterId) -> Option<&AtomicU64> {
        self.counters.get(usize::try_from(counter.0).ok()?)
    }
}

impl Metrics for ThreadedHost {
    fn add(&self, counter: CounterId, amount: u64) {
        if let Some(counter) = self.count_of(counter) {
            counter.fetch_add(amount, Ordering::Relaxed);
        }
    }
}

impl<I: CellId> Cells<I> for ThreadedHost {
    fn update<T>(
        &self,
        id: I,
        step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended> {
        self.cells.update(id, &self.cell_names, step)
    }
}

impl<const LEASES: bool> Metrics for WorkerHost<'_, LEASES> {
    fn add(&self, counter: CounterId, amount: u64) {
        self.shared.add(counter, amount);
    }
}

impl<I: CellId, const LEASES: bool> Cells<I> for WorkerHost<'_, LEASES> {
    fn update<T>(
        &self,
        id: I,
        step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended> {
        self.shared.update(id, step)
    }
}

impl<const LEASES: bool> SharedState for WorkerHost<'_, LEASES> {
    const LEASES: bool = LEASES;
    /// Sandboxes make both so.
    const WORKERS_DIE: bool = LEASES;

    fn is_first(&self, counter: CounterId) -> bool {
        self.shared.counter(counter) == 0
    }
}

/// Accounts are shared by handing each exchange the same ones.
impl<const LEASES: bool> Accounts for WorkerHost<'_, LEASES> {
    fn account(&self, budget: &Labels) -> Option<AccountId> {
        self.exchange.account(budget)
    }

    fn post(&self, account: AccountId, entry: Entry, by: i64) {
        self.exchange.post(account, entry, by);
    }

    fn set(&self, account: AccountId, entry: Entry, to: u64) {
        self.exchange.set(account, entry, to);
    }

    fn total(&self, account: AccountId, entry: Entry) -> u64 {
        self.exchange.total(account, entry)
    }
}

impl<const LEASES: bool> Journals for WorkerHost<'_, LEASES> {
    fn worker(&self) -> Option<WorkerId> {
        self.exchange.worker()
    }
}

impl<const LEASES: bool> Host for WorkerHost<'_, LEASES> {
    fn now_ns(&self) -> u64 {
        self.shared.now_ns.load(Ordering::SeqCst)
    }

    fn wall_ms(&self) -> u64 {
        self.exchange.wall_ms()
    }

    fn random(&mut self) -> u64 {
        self.exchange.random()
    }

    fn secret(&mut self) -> Option<u64> {
        self.exchange.secret()
    }

    fn request_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        self.exchange.request_headers(read)
    }

    fn request_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.exchange.request_header(name)
    }

    fn response_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        self.exchange.response_headers(read)
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.exchange.response_header(name)
    }

    fn attribute(&self, attribute: Attribute<'_>) -> Option<Cow<'_, [u8]>> {
        self.exchange.attribute(attribute)
    }

    fn metadata(&self, path: &[String]) -> Option<MetadataValue<'_>> {
        self.exchange.metadata(path)
    }

    fn start_time_ns(&self) -> Option<u64> {
        self.exchange.start_time_ns()
    }

    fn attempts(&self) -> u32 {
        self.exchange.attempts()
    }

    fn backends<R>(&self, read: impl FnOnce(&[&str]) -> R) -> R {
        self.exchange.backends(read)
    }

    fn route<R>(&self, labels: bool, read: impl FnOnce(&Route<'_>) -> R) -> R {
        self.exchange.route(labels, read)
    }
}

#[cfg(test)]
mod tests;
