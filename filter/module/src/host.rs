//! The engine's view of Envoy, for the stream whose hook runs.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use btp_engine::{
    AccountId, Accounts, Attribute, Cells, Contended, CounterId, Entry, HeaderView, Host, Journals,
    Labels, MetadataValue, Metrics, SharedState, Update, WorkerId,
};
use btp_policy::attach::Route;

use crate::abi::{self, HeaderRoom, Headers, Map, Stream};
use crate::clock::{monotonic_ns, wall_ns};
use crate::filter_config::FilterConfig;
use crate::in_force;
use crate::random;
use crate::route;
use crate::shared_state::{self, Located};

const NANOS_PER_MS: u64 = 1_000_000;
/// Under this name both instances of the filter know an exchange.
pub(crate) const EXCHANGE: &str = "btp_exchange";
/// What policies decided, under the name that Envoy gives it for the .wasm: access logs
/// are the same for both.
pub(crate) const DECISIONS: &str = "btp_decision";
/// The same, as Envoy names it for the .wasm: one access log prints what either build says.
pub(crate) const DECISIONS_AS_WASM: &str = "wasm.btp_decision";

/// Envoy as the engine's host. Without a stream all facts are missing.
pub(crate) struct ModuleHost<'a, 's> {
    pub(crate) config: &'a FilterConfig,
    pub(crate) stream: Option<&'a Stream<'s>>,
    pub(crate) began_ns: Option<u64>,
    pub(crate) request: LazyHeaders<'a>,
    pub(crate) response: LazyHeaders<'a>,
}

/// The headers of a map, valid as long as nothing is performed, and read when the first of
/// them is needed.
pub(crate) struct LazyHeaders<'a> {
    map: Map,
    room: Cell<Option<&'a mut HeaderRoom>>,
    headers: OnceCell<Headers<'a>>,
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
    /// No worker dies alone, so no worker needs another's journal.
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
        read(self.request.at(self.stream))
    }

    fn request_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let headers = self.request.at(self.stream);
        headers.value(name).map(Cow::from)
    }

    fn response_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R {
        read(self.response.at(self.stream))
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match self.response.headers.get() {
            Some(headers) => headers.value(name),
            // Mostly it is the status, and nothing else follows.
            None => self.stream?.header(Map::ResponseHeaders, name),
        }
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
            Attribute::LoggedDecisions => stream.filter_state(DECISIONS),
        };
        value.filter(|value| !value.is_empty()).map(Cow::from)
    }

    fn metadata(&self, path: &[String]) -> Option<MetadataValue<'_>> {
        self.config.metadata.value(self.stream?, path)
    }

    fn start_time_ns(&self) -> Option<u64> {
        let start = self.stream.and_then(Stream::start_ns);
        start.or(self.began_ns)
    }

    fn attempts(&self) -> u32 {
        let attempts = |stream: &Stream<'_>| {
            let count = stream.number(abi::Attribute::UpstreamRequestAttemptCount)?;
            u32::try_from(count).ok()
        };
        self.stream.and_then(attempts).unwrap_or(0)
    }

    fn backends<R>(&self, read: impl FnOnce(&[&str]) -> R) -> R {
        read(&self.stream.map(route::backends).unwrap_or_default())
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

impl<'a> ModuleHost<'a, '_> {
    /// The request's headers, as they are now.
    pub(crate) fn request_as_it_is(&self) -> Headers<'a> {
        *self.request.at(self.stream)
    }
}

impl<'a> LazyHeaders<'a> {
    pub(crate) fn new(map: Map, room: &'a mut HeaderRoom) -> Self {
        Self {
            map,
            room: Cell::new(Some(room)),
            headers: OnceCell::new(),
        }
    }

    fn at(&self, stream: Option<&'a Stream<'_>>) -> &Headers<'a> {
        let look = || Some(stream?.headers(self.map, self.room.take()?));
        self.headers.get_or_init(|| look().unwrap_or(Headers::NONE))
    }
}

impl HeaderView for Headers<'_> {
    fn value(&self, name: &str) -> Option<&[u8]> {
        Headers::values(*self, name).next()
    }

    fn values<'a>(&'a self, name: &str, show: &mut dyn FnMut(&'a [u8])) {
        Headers::values(*self, name).for_each(show);
    }

    fn for_each<'a>(&'a self, show: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        self.iter().for_each(|(name, value)| show(name, value));
    }
}
