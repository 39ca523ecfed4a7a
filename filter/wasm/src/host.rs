//! The engine's view of Envoy, for the stream that hostcalls are about now.

use std::borrow::Cow;

use btp_engine::{
    AccountId, Accounts, Attribute, Cells, Contended, CounterId, Entry, HeaderView, Host, Journals,
    Labels, MetadataValue, Metrics, SharedState, Update, WorkerId,
};
use btp_formats::Stored;
use btp_policy::attach::{ResourceRef, Route};

use crate::abi::{self, HostError, Map};
use crate::loaded::Loaded;
use crate::metadata;
use crate::pairs;
use crate::shared_data;
use crate::vm;
use crate::vm::process::Process;

const NANOS_PER_MS: u64 = 1_000_000;
const ROUTE_NAME: &str = "xds\0route_name";
/// Where Envoy Gateway notes what a route was made from.
const RESOURCES: &str = "xds\0route_metadata\0filter_metadata\0envoy-gateway\0resources";
/// The property of a cluster's Services: a list of texts.
const BACKENDS: &str = "xds\0cluster_metadata\0filter_metadata\0btp\0backends";
/// The property of a route's labels.
const LABELS: &str = "xds\0route_metadata\0filter_metadata\0btp\0labels";

/// The property of the dynamic metadata, in which filters record facts.
const DYNAMIC_METADATA: &str = "metadata\0filter_metadata";
/// Under this name both instances of the filter know an exchange.
const EXCHANGE: &str = "btp_exchange";
/// Access logs print what policies decided as `%FILTER_STATE(wasm.btp_decision:PLAIN)%`.
pub(crate) const DECISIONS: &str = "btp_decision";

/// Envoy as the engine's host.
pub(crate) struct WasmHost<'a> {
    pub(crate) loaded: &'a Loaded,
}

impl Metrics for WasmHost<'_> {
    fn add(&self, counter: CounterId, amount: u64) {
        self.loaded.metrics.add(counter, amount);
    }
}

impl<I: Stored> Cells<I> for WasmHost<'_> {
    fn update<T>(
        &self,
        id: I,
        step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended> {
        shared_data::update_cell(id, &self.loaded.keys, vm::worker, step)
    }
}

impl SharedState for WasmHost<'_> {
    /// Two calls into Envoy for each, a microsecond together.
    const LEASES: bool = true;
    const WORKERS_DIE: bool = true;

    /// Envoy's counter is the account: all workers add to it.
    fn is_first(&self, counter: CounterId) -> bool {
        self.loaded.metrics.read(counter) == 0
    }
}

impl Accounts for WasmHost<'_> {
    fn account(&self, budget: &Labels) -> Option<AccountId> {
        Process.account(budget)
    }

    fn post(&self, account: AccountId, entry: Entry, by: i64) {
        Process.post(account, entry, by);
    }

    fn set(&self, account: AccountId, entry: Entry, to: u64) {
        Process.set(account, entry, to);
    }

    fn total(&self, account: AccountId, entry: Entry) -> u64 {
        Process.total(account, entry)
    }
}

impl Journals for WasmHost<'_> {
    fn worker(&self) -> Option<WorkerId> {
        Process.worker()
    }
}

impl Host for WasmHost<'_> {
    fn now_ns(&self) -> u64 {
        abi::monotonic_ns()
    }

    fn wall_ms(&self) -> u64 {
        abi::wall_ns() / NANOS_PER_MS
    }

    fn random(&mut self) -> u64 {
        self.loaded.random.next()
    }

    fn secret(&mut self) -> Option<u64> {
        getrandom::u64().ok()
    }

    fn request_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        let block = abi::headers(Map::RequestHeaders).unwrap_or_default();
        read(&pairs::all(&block))
    }

    fn request_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        abi::header(Map::RequestHeaders, name).map(Cow::Owned)
    }

    fn response_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        let block = abi::headers(Map::ResponseHeaders).unwrap_or_default();
        read(&pairs::all(&block))
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        abi::header(Map::ResponseHeaders, name).map(Cow::Owned)
    }

    fn attribute(&self, attribute: Attribute<'_>) -> Option<Cow<'_, [u8]>> {
        let value = match attribute {
            Attribute::Protocol => abi::property("request\0protocol"),
            Attribute::ResponseCodeDetails => abi::property("response\0code_details"),
            Attribute::UpstreamCluster => abi::property("xds\0cluster_name"),
            Attribute::UpstreamHost => abi::property("upstream\0address"),
            Attribute::ClientAddress => abi::property("source\0address"),
            Attribute::RouteName => abi::property(ROUTE_NAME),
            Attribute::FilterState(key) => abi::property(&format!("filter_state\0{key}")),
            Attribute::ExchangeName => abi::property(EXCHANGE),
            Attribute::LoggedDecisions => abi::property(DECISIONS),
        };
        value.filter(|value| !value.is_empty()).map(Cow::Owned)
    }

    fn metadata(&self, path: &[String]) -> Option<MetadataValue<'_>> {
        let path = path
            .iter()
            .fold(DYNAMIC_METADATA.to_owned(), |path, part| path + "\0" + part);
        let value = abi::property(&path).filter(|value| !value.is_empty());
        value.map(metadata::value)
    }

    fn start_time_ns(&self) -> Option<u64> {
        let time = abi::property("request\0time")?;
        Some(u64::from_le_bytes(time.try_into().ok()?))
    }

    fn attempts(&self) -> u32 {
        let count = abi::property("upstream\0request_attempt_count");
        let count = count.and_then(|count| Some(u64::from_le_bytes(*count.first_chunk()?)));
        count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn backends<R>(&self, read: impl FnOnce(&[&str]) -> R) -> R {
        let backends = abi::property(BACKENDS).unwrap_or_default();
        let texts = pairs::entries(&backends).filter_map(|(it, _)| std::str::from_utf8(it).ok());
        read(&texts.collect::<Vec<_>>())
    }

    fn route<R>(&self, labels: bool, read: impl FnOnce(&Route<'_>) -> R) -> R {
        let name = abi::property(ROUTE_NAME).unwrap_or_default();
        let resources = abi::property(RESOURCES).unwrap_or_default();
        let resources: Vec<ResourceRef<'_>> = pairs::entries(&resources)
            .map(|(resource, _)| resource_ref(resource))
            .collect();
        let labelled = if labels {
            abi::property(LABELS).unwrap_or_default()
        } else {
            Vec::new()
        };
        let labels: Vec<(&str, &str)> = pairs::entries(&labelled).filter_map(texts).collect();
        read(&Route {
            name: &name,
            resources: &resources,
            labels: &labels,
        })
    }
}

/// Gives the current exchange this id.
pub(crate) fn set_exchange_id(name: &[u8]) -> Result<(), HostError> {
    abi::set_property(EXCHANGE, name)
}

fn resource_ref(resource: &[u8]) -> ResourceRef<'_> {
    let mut found = ResourceRef::default();
    for (name, value) in pairs::entries(resource).filter_map(texts) {
        match name {
            "kind" => found.kind = value,
            "namespace" => found.namespace = value,
            "name" => found.name = value,
            "sectionName" => found.section = Some(value).filter(|section| !section.is_empty()),
            _ => {}
        }
    }
    found
}

fn texts<'a>((name, value): (&'a [u8], &'a [u8])) -> Option<(&'a str, &'a str)> {
    Some((
        std::str::from_utf8(name).ok()?,
        std::str::from_utf8(value).ok()?,
    ))
}
