//! The engine's view of Envoy, for the stream whose hook runs.

use std::borrow::Cow;
use std::fmt;

use btp_engine::{
    AccountId, Accounts, Attribute, Cells, Contended, CounterId, Entry, HeaderView, Host, Journals,
    Labels, MetadataValue, Metrics, SharedState, Update, WorkerId,
};
use btp_policy::attach::Route;

use crate::abi::{self, Map, Stream};
use crate::beginning::Beginning;
use crate::clock::{monotonic_ns, wall_ns};
use crate::filter_config::FilterConfig;
use crate::in_force;
use crate::random;
use crate::route;
use crate::shared_state::{self, Located};

const NANOS_PER_MS: u64 = 1_000_000;
/// Under this name both instances of the filter know an exchange.
pub(crate) const EXCHANGE: &str = "btp_exchange";

/// Envoy, as the engine asks for it. Without a stream nothing is known of it.
pub(crate) struct ModuleHost<'a, 's> {
    pub(crate) config: &'a FilterConfig,
    pub(crate) stream: Option<&'a Stream<'s>>,
    pub(crate) beginning: Beginning,
}

/// The headers of a map, where Envoy has them.
struct EnvoyHeaders<'a, 's> {
    stream: Option<&'a Stream<'s>>,
    map: Map,
}

impl Metrics for ModuleHost<'_, '_> {
    fn add(&self, counter: CounterId, amount: u64) {
        self.config.metrics.add(counter, amount);
    }
}

impl<I: Located> Cells<I> for ModuleHost<'_, '_> {
    fn update<T>(
        &self,
        id: I,
        step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended> {
        self.config.cells.update(id, step)
    }
}

impl SharedState for ModuleHost<'_, '_> {
    /// A lock that is nearly always free.
    const LEASES: bool = false;
    /// A panic is caught, and all else takes the process along.
    const WORKERS_DIE: bool = false;

    fn is_first(&self, counter: CounterId) -> bool {
        self.config.metrics.is_first(counter)
    }
}

impl Accounts for ModuleHost<'_, '_> {
    fn account(&self, budget: &Labels) -> Option<AccountId> {
        shared_state::account(budget)
    }

    fn post(&self, account: AccountId, entry: Entry, by: i64) {
        shared_state::post(account, entry, by);
        in_force::call_soon();
    }

    fn set(&self, account: AccountId, entry: Entry, to: u64) {
        shared_state::set(account, entry, to);
        in_force::call_soon();
    }

    fn total(&self, account: AccountId, entry: Entry) -> u64 {
        shared_state::total(account, entry)
    }
}

impl Journals for ModuleHost<'_, '_> {
    /// No worker dies alone, so nobody reads what another has written down.
    fn worker(&self) -> Option<WorkerId> {
        None
    }
}

impl Host for ModuleHost<'_, '_> {
    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn wall_ms(&self) -> u64 {
        wall_ns() / NANOS_PER_MS
    }

    fn random(&mut self) -> u64 {
        random::next()
    }

    fn secret(&mut self) -> Option<u64> {
        random::secret()
    }

    fn request_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        read(&self.headers(Map::RequestHeaders))
    }

    fn request_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.stream?
            .header(Map::RequestHeaders, name)
            .map(Cow::from)
    }

    fn response_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        read(&self.headers(Map::ResponseHeaders))
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.stream?
            .header(Map::ResponseHeaders, name)
            .map(Cow::from)
    }

    fn attribute(&self, attribute: Attribute<'_>) -> Option<Cow<'_, [u8]>> {
        let stream = self.stream?;
        let value = match attribute {
            Attribute::Protocol => stream.text(abi::Attribute::RequestProtocol),
            Attribute::ResponseCodeDetails => stream.text(abi::Attribute::ResponseCodeDetails),
            Attribute::UpstreamCluster => stream.text(abi::Attribute::XdsClusterName),
            Attribute::UpstreamHost => stream.text(abi::Attribute::UpstreamAddress),
            Attribute::ClientAddress => stream.text(abi::Attribute::SourceAddress),
            Attribute::RouteName => stream.text(abi::Attribute::XdsRouteName),
            Attribute::FilterState(key) => stream.filter_state(key),
            Attribute::ExchangeName => stream.filter_state(EXCHANGE),
        };
        value.filter(|value| !value.is_empty()).map(Cow::from)
    }

    fn metadata(&self, path: &[String]) -> Option<MetadataValue<'_>> {
        self.config.metadata.value(self.stream?, path)
    }

    fn start_time_ns(&self) -> Option<u64> {
        Some(self.beginning.at_ns)
    }

    fn attempts(&self) -> u32 {
        let attempts = |stream: &Stream<'_>| {
            let count = stream.number(abi::Attribute::UpstreamRequestAttemptCount)?;
            u32::try_from(count).ok()
        };
        self.stream.and_then(attempts).unwrap_or(0)
    }

    fn route<R>(&self, labels: bool, read: impl FnOnce(&Route<'_>) -> R) -> R {
        let name = self.attribute(Attribute::RouteName).unwrap_or_default();
        let resources = self.stream.map(route::resources).unwrap_or_default();
        let labels = self.stream.filter(|_| labels).map(route::labels);
        if let Some(stream) = self.stream {
            let hints = &self.config.route_hints;
            route::check(stream, &resources, labels.as_deref(), hints);
        }
        read(&Route {
            name: &name,
            resources: &resources,
            labels: &labels.unwrap_or_default(),
        })
    }
}

impl<'a, 's> ModuleHost<'a, 's> {
    fn headers(&self, map: Map) -> EnvoyHeaders<'a, 's> {
        EnvoyHeaders {
            stream: self.stream,
            map,
        }
    }
}

impl HeaderView for EnvoyHeaders<'_, '_> {
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.stream?.header(self.map, name)
    }

    fn values<'a>(&'a self, name: &str, show: &mut dyn FnMut(&'a [u8])) {
        let Some(stream) = self.stream else { return };
        let values = (0..).map_while(|index| stream.header_at(self.map, name, index));
        values.for_each(show);
    }

    fn for_each<'a>(&'a self, show: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        if let Some(stream) = self.stream {
            stream.for_each_header(self.map, show);
        }
    }
}

impl fmt::Debug for EnvoyHeaders<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.map.fmt(f)
    }
}
