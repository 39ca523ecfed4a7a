//! A host whose clock and dice the test holds in its hand.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;

use btp_policy::attach::{ResourceRef, Route};

use hashbrown::HashMap;

use crate::host::metrics::{CounterId, Labels, Metrics};
use crate::host::shared_state::accounts::{AccountId, Accounts, Entry};
use crate::host::shared_state::journal::{Journals, WorkerId};
use crate::host::shared_state::{CellId, CellNames, Cells, Contended, SharedState, Update};
use crate::host::{Attribute, Host};
use crate::plan::Plan;
use crate::testing::{SharedAccounts, SharedCells};

/// One exchange's view of a proxy, all in memory.
#[derive(Debug, Default)]
pub struct FakeHost {
    /// The clock, in nanoseconds.
    pub now_ns: u64,
    /// The wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The numbers that `random` gives, first to last; then it counts on
    /// from there, evenly spread.
    pub random: VecDeque<u64>,
    /// The numbers that `secret` gives, first to last; then those of `random`.
    pub secrets: VecDeque<u64>,
    /// The route's name.
    pub route: Option<Vec<u8>>,
    /// `kind`, `namespace`, `name` and `section` of the route's resources.
    pub resources: Vec<(
        &'static str,
        &'static str,
        &'static str,
        Option<&'static str>,
    )>,
    /// The route's labels.
    pub labels: Vec<(&'static str, &'static str)>,
    /// The client's address.
    pub source: Option<IpAddr>,
    /// The number of the attempt.
    pub attempt: Option<u32>,
    /// Request headers, names in lower case.
    pub request_headers: Vec<(String, Vec<u8>)>,
    /// Response headers, names in lower case.
    pub response_headers: Vec<(String, Vec<u8>)>,
    /// The cluster.
    pub cluster: Option<Vec<u8>>,
    /// How often the request was tried.
    pub tries: u32,
    /// Whether the response is an upstream's.
    pub via_upstream: bool,
    /// The exchange's name.
    pub exchange_name: Option<[u8; 16]>,
    /// Accounts that several hosts may share.
    pub accounts: SharedAccounts,
    /// Whose journal this worker writes.
    pub worker: Option<WorkerId>,
    /// `%RESPONSE_CODE_DETAILS%` of the response at hand.
    pub details: String,
    /// Values of attributes, by their names in `Debug` form.
    pub attributes: HashMap<String, Vec<u8>>,
    /// The dynamic metadata.
    pub metadata: HashMap<Vec<String>, Vec<u8>>,
    /// When requests begin: nanoseconds since 1970.
    pub start_time_ns: u64,
    /// How often headers or attributes were asked for.
    pub lookups: usize,
    /// The names of the plan's cells.
    pub cell_names: CellNames,
    /// What all workers share.
    pub cells: SharedCells,
    counters: RefCell<HashMap<CounterId, u64>>,
    drawn: u64,
}

/// `%RESPONSE_CODE_DETAILS%` of what an upstream answered.
pub(super) const VIA_UPSTREAM: &str = "via_upstream";

impl FakeHost {
    /// A host with the cells of this plan, all as they are at first.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            cell_names: plan.cells().clone(),
            ..Self::default()
        }
    }

    /// What a counter has come to.
    #[must_use]
    pub fn counter(&self, counter: CounterId) -> u64 {
        self.counters.borrow().get(&counter).copied().unwrap_or(0)
    }

    /// What is in a cell.
    #[must_use]
    pub fn cell<I: CellId>(&self, id: I) -> I::Cell {
        let cell = self.update(id, |cell| Update::Keep(cell.clone()));
        cell.unwrap_or_default()
    }

    fn lent(headers: &[(String, Vec<u8>)]) -> Vec<(&[u8], &[u8])> {
        let headers = headers.iter();
        headers
            .map(|(name, value)| (name.as_bytes(), value.as_slice()))
            .collect()
    }

    fn find(headers: &[(String, Vec<u8>)], name: &str) -> Option<usize> {
        headers.iter().position(|(other, _)| other == name)
    }
}

impl Metrics for FakeHost {
    fn add(&self, counter: CounterId, amount: u64) {
        *self.counters.borrow_mut().entry(counter).or_default() += amount;
    }
}

impl<I: CellId> Cells<I> for FakeHost {
    fn update<T>(
        &self,
        id: I,
        step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended> {
        self.cells.update(id, &self.cell_names, step)
    }
}

impl SharedState for FakeHost {
    const LEASES: bool = true;
    const WORKERS_DIE: bool = true;

    fn is_first(&self, counter: CounterId) -> bool {
        self.counter(counter) == 0
    }
}

impl Accounts for FakeHost {
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

impl Journals for FakeHost {
    fn worker(&self) -> Option<WorkerId> {
        self.worker
    }
}

impl Host for FakeHost {
    fn now_ns(&mut self) -> u64 {
        self.now_ns
    }

    fn wall_ms(&mut self) -> u64 {
        self.wall_ms
    }

    fn random(&mut self) -> u64 {
        // Multiples of an odd number near 2^64/φ visit 0..2^64 evenly.
        self.drawn = self.drawn.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.pop_front().unwrap_or(self.drawn)
    }

    fn secret(&mut self) -> Option<u64> {
        self.secrets.pop_front().or_else(|| Some(self.random()))
    }

    fn request_headers<R>(&mut self, read: impl FnOnce(&[(&[u8], &[u8])]) -> R) -> R {
        self.lookups += 1;
        read(&Self::lent(&self.request_headers))
    }

    fn response_headers<R>(&mut self, read: impl FnOnce(&[(&[u8], &[u8])]) -> R) -> R {
        self.lookups += 1;
        read(&Self::lent(&self.response_headers))
    }

    fn response_is_local(&mut self) -> bool {
        self.lookups += 1;
        self.details != VIA_UPSTREAM
    }

    fn attribute(&mut self, attribute: Attribute<'_>) -> Option<Vec<u8>> {
        self.lookups += 1;
        match attribute {
            Attribute::RouteName => self.route.clone(),
            Attribute::ResponseCodeDetails => Some(self.details.clone().into_bytes()),
            _ => self.attributes.get(&format!("{attribute:?}")).cloned(),
        }
    }

    fn metadata(&mut self, path: &[String]) -> Option<Vec<u8>> {
        self.lookups += 1;
        self.metadata.get(path).cloned()
    }

    fn start_time_ns(&mut self) -> Option<u64> {
        self.lookups += 1;
        Some(self.start_time_ns)
    }

    fn request_header<R>(&mut self, name: &str, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.lookups += 1;
        let found = Self::find(&self.request_headers, name);
        read(found.and_then(|i| Some(self.request_headers.get(i)?.1.as_slice())))
    }

    fn response_header<R>(&mut self, name: &str, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.lookups += 1;
        let found = Self::find(&self.response_headers, name);
        read(found.and_then(|i| Some(self.response_headers.get(i)?.1.as_slice())))
    }

    fn route_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.lookups += 1;
        read(self.route.as_deref())
    }

    fn route<R>(&mut self, labels: bool, read: impl FnOnce(&Route<'_>) -> R) -> R {
        self.lookups += 1;
        let resource = |&(kind, namespace, name, section): &(_, _, _, _)| ResourceRef {
            kind,
            namespace,
            name,
            section,
        };
        let resources: Vec<ResourceRef<'_>> = self.resources.iter().map(resource).collect();
        read(&Route {
            name: self.route.as_deref().unwrap_or_default(),
            resources: &resources,
            labels: if labels { &self.labels } else { &[] },
        })
    }

    fn attempt(&mut self) -> Option<u32> {
        self.lookups += 1;
        self.attempt
    }

    fn source_address(&mut self) -> Option<IpAddr> {
        self.lookups += 1;
        self.source
    }

    fn exchange_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.lookups += 1;
        read(self.exchange_name.as_ref().map(<[u8; 16]>::as_slice))
    }

    fn tries(&mut self) -> u32 {
        self.lookups += 1;
        self.tries
    }

    fn is_via_upstream(&mut self) -> bool {
        self.lookups += 1;
        self.via_upstream
    }

    fn cluster_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.lookups += 1;
        read(self.cluster.as_deref())
    }
}
