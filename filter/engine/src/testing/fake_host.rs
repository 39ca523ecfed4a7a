//! A host whose clock and dice the test holds in its hand.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use btp_policy::attach::{ResourceRef, Route};

use hashbrown::HashMap;

use crate::host::headers::HeaderView;
use crate::host::metadata::MetadataValue;
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
    /// The client's port.
    pub source_port: u16,
    /// How often the request was sent to an upstream.
    pub attempts: u32,
    /// Request headers, names in lower case.
    pub request_headers: Vec<(String, Vec<u8>)>,
    /// Response headers, names in lower case.
    pub response_headers: Vec<(String, Vec<u8>)>,
    /// The cluster.
    pub cluster: Option<Vec<u8>>,
    /// What the cluster's metadata says in `btp.backends`.
    pub backends: Vec<String>,
    /// The client's protocol.
    pub protocol: Option<&'static str>,
    /// The host that the request was sent to.
    pub upstream_host: Option<&'static str>,
    /// The filter state, by its keys.
    pub filter_states: HashMap<String, Vec<u8>>,
    /// What access logs print of the exchange's decisions.
    pub logged_decisions: Vec<u8>,
    /// The exchange's name.
    pub exchange_name: Option<[u8; 16]>,
    /// Accounts that several hosts may share.
    pub accounts: SharedAccounts,
    /// Whose journal this worker writes.
    pub worker: Option<WorkerId>,
    /// `%RESPONSE_CODE_DETAILS%` of the current response.
    pub details: String,
    /// The dynamic metadata.
    pub metadata: HashMap<Vec<String>, MetadataValue<'static>>,
    /// When requests begin: nanoseconds since 1970; 0 if it cannot tell.
    pub start_time_ns: u64,
    /// How often headers or attributes were read.
    pub lookups: Cell<usize>,
    /// The names of the plan's cells.
    pub cell_names: CellNames,
    /// What all workers share.
    pub cells: SharedCells,
    counters: RefCell<HashMap<CounterId, u64>>,
    drawn: u64,
}

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

    fn count_lookup(&self) {
        self.lookups.set(self.lookups.get() + 1);
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
    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn wall_ms(&self) -> u64 {
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

    fn request_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        self.count_lookup();
        read(&self.request_headers)
    }

    fn request_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.count_lookup();
        self.request_headers.value(name).map(Cow::Borrowed)
    }

    fn response_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        self.count_lookup();
        read(&self.response_headers)
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.count_lookup();
        self.response_headers.value(name).map(Cow::Borrowed)
    }

    fn attribute(&self, attribute: Attribute<'_>) -> Option<Cow<'_, [u8]>> {
        self.count_lookup();
        let lent: Option<&[u8]> = match attribute {
            Attribute::Protocol => self.protocol.map(str::as_bytes),
            Attribute::ResponseCodeDetails => Some(self.details.as_bytes()),
            Attribute::UpstreamCluster => self.cluster.as_deref(),
            Attribute::UpstreamHost => self.upstream_host.map(str::as_bytes),
            Attribute::ClientAddress => {
                let address = SocketAddr::new(self.source?, self.source_port);
                return Some(Cow::Owned(address.to_string().into_bytes()));
            }
            Attribute::RouteName => self.route.as_deref(),
            Attribute::FilterState(key) => self.filter_states.get(key).map(Vec::as_slice),
            Attribute::LoggedDecisions => Some(self.logged_decisions.as_slice()),
            Attribute::ExchangeName => self.exchange_name.as_ref().map(<[u8; 16]>::as_slice),
        };
        lent.filter(|value| !value.is_empty()).map(Cow::Borrowed)
    }

    fn metadata(&self, path: &[String]) -> Option<MetadataValue<'_>> {
        self.count_lookup();
        self.metadata.get(path).cloned()
    }

    fn start_time_ns(&self) -> Option<u64> {
        self.count_lookup();
        Some(self.start_time_ns).filter(|start| *start > 0)
    }

    fn attempts(&self) -> u32 {
        self.count_lookup();
        self.attempts
    }

    fn backends<R>(&self, read: impl FnOnce(&[&str]) -> R) -> R {
        self.count_lookup();
        let backends: Vec<&str> = self.backends.iter().map(String::as_str).collect();
        read(&backends)
    }

    fn route<R>(&self, labels: bool, read: impl FnOnce(&Route<'_>) -> R) -> R {
        self.count_lookup();
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
}
