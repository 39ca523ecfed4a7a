//! What the engine asks of the proxy it runs in.

pub(crate) mod metrics;
pub(crate) mod shared_state;

use std::net::IpAddr;

use btp_policy::attach::Route;

use metrics::Metrics;
use shared_state::SharedState;

/// What can be asked about an exchange at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// The client's protocol, such as `HTTP/1.1`.
    Protocol,
    /// Why there is a response: `via_upstream`, or a reason of the proxy's.
    ResponseCodeDetails,
    /// The name of the cluster that the request was sent to.
    UpstreamCluster,
    /// The address and port of the host that the request was sent to.
    UpstreamHost,
    /// The client's address and port.
    ClientAddress,
    /// The route's name.
    RouteName,
    /// The filter state of this key.
    FilterState(&'a str),
}

/// One exchange as the host sees it. Values are lent to a closure, so that a
/// host that has them in memory copies nothing.
pub trait Host: Metrics + SharedState {
    /// Monotonic time in nanoseconds, from any starting point that all
    /// workers share.
    fn now_ns(&mut self) -> u64;

    /// Wall-clock time in milliseconds since 1970 (UTC). It may jump.
    fn wall_ms(&mut self) -> u64;

    /// 64 uniformly random bits. Who sees some may work out others.
    fn random(&mut self) -> u64;

    /// 64 bits that nobody can guess, whatever else he sees; `None` if there
    /// are none to be had.
    fn secret(&mut self) -> Option<u64>;

    /// All request headers in the order they came, names in lower case,
    /// `:method` and `:path` among them. Answers only until the request has
    /// been forwarded.
    fn request_headers<R>(&mut self, read: impl FnOnce(&[(&[u8], &[u8])]) -> R) -> R;

    /// The first value of a request header (name in lower case). Answers
    /// only until the request has been forwarded.
    fn request_header<R>(&mut self, name: &str, read: impl FnOnce(Option<&[u8]>) -> R) -> R;

    /// The first value of a response header (name in lower case, `:status`
    /// included). Answers only while response headers are at hand.
    fn response_header<R>(&mut self, name: &str, read: impl FnOnce(Option<&[u8]>) -> R) -> R;

    /// All response headers in the order they came, names in lower case,
    /// `:status` among them. Answers only while response headers are at hand.
    fn response_headers<R>(&mut self, read: impl FnOnce(&[(&[u8], &[u8])]) -> R) -> R;

    /// Whether the response at hand was made by the proxy itself, and not by
    /// an upstream. Answers only while response headers are at hand.
    fn response_is_local(&mut self) -> bool;

    /// Something about the exchange, as text. `None` if it is not known.
    fn attribute(&mut self, attribute: Attribute<'_>) -> Option<Vec<u8>>;

    /// What stands under a path of Envoy's dynamic metadata (namespace first):
    /// text as it is, a number as the eight bytes of a little-endian double, a
    /// boolean as one byte. `None` if nothing does, or it is empty.
    fn metadata(&mut self, path: &[String]) -> Option<Vec<u8>>;

    /// When the request began: nanoseconds since 1970.
    fn start_time_ns(&mut self) -> Option<u64>;

    /// The name of the route that took the request. `None` if no route did,
    /// or if it has no name.
    fn route_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R;

    /// The same route with what its metadata says of it: the resources it
    /// was made from and, if asked for, its labels.
    fn route<R>(&mut self, labels: bool, read: impl FnOnce(&Route<'_>) -> R) -> R;

    /// Behind the router: the number of the attempt at hand, from 1.
    fn attempt(&mut self) -> Option<u32>;

    /// The client's address as the proxy trusts it. `None` if it has none,
    /// as on a Unix socket.
    fn source_address(&mut self) -> Option<IpAddr>;

    /// The name that the exchange was given, if it was.
    fn exchange_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R;

    /// How often the request has been tried so far; 0 if never.
    fn tries(&mut self) -> u32;

    /// Whether the response at hand came from an upstream, and not from the
    /// proxy itself.
    fn is_via_upstream(&mut self) -> bool;

    /// The cluster that the request goes to, if there is one.
    fn cluster_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R;
}

/// The status of the response at hand.
pub(crate) fn response_status<H: Host>(host: &mut H) -> Option<u16> {
    host.response_header(":status", |value| {
        std::str::from_utf8(value?).ok()?.parse().ok()
    })
}
