//! One exchange's view of the scripted proxy. Values that are read at the wrong time are
//! missing, as in Envoy.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use btp_policy::attach::{ResourceRef, Route};

use super::configs::Compiled;
use super::shared::Shared;
use crate::host::headers::{HeaderView, NO_HEADERS};
use crate::host::metadata::MetadataValue;
use crate::host::metrics::{CounterId, Labels, Metrics};
use crate::host::shared_state::accounts::{AccountId, Accounts, Entry};
use crate::host::shared_state::journal::{Journals, WorkerId};
use crate::host::shared_state::{CellId, Cells, Contended, SharedState, Update};
use crate::host::{Attribute, Host, VIA_UPSTREAM};

/// Headers as they came, whatever bytes they are.
pub(super) type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// What is known of an exchange.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) route: Option<Vec<u8>>,
    /// A resource that the route's metadata names.
    pub(super) resource: Option<[String; 3]>,
    pub(super) request: Headers,
    pub(super) response: Headers,
    pub(super) via_upstream: bool,
    pub(super) metadata: Vec<u8>,
    pub(super) cluster: Option<Vec<u8>>,
    pub(super) source: Option<IpAddr>,
    pub(super) attempts: u32,
    /// Its name, which the attempts upstream know as well.
    pub(super) name: Option<Vec<u8>>,
    /// What access logs print of its decisions.
    pub(super) decisions: Vec<u8>,
    pub(super) forwarded: bool,
    /// When the client's request began; 0 until the exchange begins.
    pub(super) started_ns: u64,
}

/// The host of one event.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) shared: &'a Shared,
    pub(super) config: &'a Compiled,
    pub(super) facts: &'a Facts,
    pub(super) random: &'a mut u64,
    /// Tells this worker's random numbers from those of all others.
    pub(super) serial: u8,
    pub(super) vm: Option<WorkerId>,
    /// Response headers are available.
    pub(super) responds: bool,
}

fn place(places: &[usize], index: u32) -> usize {
    places.get(index as usize).copied().unwrap_or(usize::MAX)
}

impl Metrics for View<'_> {
    fn add(&self, counter: CounterId, amount: u64) {
        let place = place(&self.config.counters, counter.0);
        self.shared.count(place, amount);
    }
}

impl<I: CellId> Cells<I> for View<'_> {
    fn update<T>(
        &self,
        id: I,
        step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended> {
        let names = self.config.plan.cells();
        self.shared.cells.update(id, names, step)
    }
}

impl SharedState for View<'_> {
    const LEASES: bool = true;
    const WORKERS_DIE: bool = true;

    fn is_first(&self, counter: CounterId) -> bool {
        let place = place(&self.config.counters, counter.0);
        let counters = self.shared.counters.borrow();
        counters.get(place).is_none_or(|count| *count == 0)
    }
}

impl Accounts for View<'_> {
    fn account(&self, budget: &Labels) -> Option<AccountId> {
        self.shared.account(budget)
    }

    fn post(&self, account: AccountId, entry: Entry, by: i64) {
        self.shared.post(account, entry, by);
    }

    fn set(&self, account: AccountId, entry: Entry, to: u64) {
        self.shared.set(account, entry, to);
    }

    fn total(&self, account: AccountId, entry: Entry) -> u64 {
        self.shared.total(account, entry)
    }
}

impl Journals for View<'_> {
    fn worker(&self) -> Option<WorkerId> {
        self.vm
    }
}

impl Host for View<'_> {
    fn now_ns(&self) -> u64 {
        self.shared.now_ns.get()
    }

    fn wall_ms(&self) -> u64 {
        self.shared.wall_ms.get()
    }

    fn random(&mut self) -> u64 {
        *self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*self.random ^ (*self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) & !0xff | u64::from(self.serial)
    }

    fn secret(&mut self) -> Option<u64> {
        Some(self.random())
    }

    fn request_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        if self.facts.forwarded {
            return read(&NO_HEADERS);
        }
        read(&self.facts.request)
    }

    fn request_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let found = self.facts.request.value(name);
        found.filter(|_| !self.facts.forwarded).map(Cow::Borrowed)
    }

    fn response_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        if !self.responds {
            return read(&NO_HEADERS);
        }
        read(&self.facts.response)
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let found = self.facts.response.value(name);
        found.filter(|_| self.responds).map(Cow::Borrowed)
    }

    fn attribute(&self, attribute: Attribute<'_>) -> Option<Cow<'_, [u8]>> {
        let facts = self.facts;
        let lent: Option<&[u8]> = match attribute {
            Attribute::RouteName => facts.route.as_deref(),
            Attribute::UpstreamCluster => facts.cluster.as_deref(),
            Attribute::ExchangeName => facts.name.as_deref(),
            Attribute::LoggedDecisions => Some(facts.decisions.as_slice()),
            Attribute::ResponseCodeDetails if facts.via_upstream => Some(VIA_UPSTREAM.as_bytes()),
            Attribute::ClientAddress => {
                let address = SocketAddr::new(facts.source?, 0);
                return Some(Cow::Owned(address.to_string().into_bytes()));
            }
            _ => Some(&facts.metadata),
        };
        lent.filter(|value| !value.is_empty()).map(Cow::Borrowed)
    }

    fn metadata(&self, _: &[String]) -> Option<MetadataValue<'_>> {
        let bytes = || Cow::Borrowed(&*self.facts.metadata);
        Some(match *self.facts.metadata {
            [] => return None,
            [0, ..] => MetadataValue::Composite(bytes()),
            [1] => MetadataValue::TextOrBoolean(bytes(), true),
            [2, ..] => MetadataValue::TextOrNumber(bytes(), 3.0),
            [3, ..] => MetadataValue::Number(3.0),
            [4, ..] => MetadataValue::Boolean(true),
            _ => MetadataValue::Text(bytes()),
        })
    }

    fn start_time_ns(&self) -> Option<u64> {
        Some(self.facts.started_ns)
    }

    fn attempts(&self) -> u32 {
        self.facts.attempts
    }

    fn backends<R>(&self, read: impl FnOnce(&[&str]) -> R) -> R {
        read(&[])
    }

    fn route<R>(&self, _: bool, read: impl FnOnce(&Route<'_>) -> R) -> R {
        let resource = self.facts.resource.as_ref().map(|it| ResourceRef {
            kind: &it[0],
            namespace: &it[1],
            name: &it[2],
            section: None,
        });
        read(&Route {
            name: self.facts.route.as_deref().unwrap_or_default(),
            resources: resource.as_slice(),
            labels: &[],
        })
    }
}
