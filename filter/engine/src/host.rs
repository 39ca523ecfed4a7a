//! The engine's interface to the proxy it runs in.

pub(crate) mod headers;
pub(crate) mod metadata;
pub(crate) mod metrics;
pub(crate) mod shared_state;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use btp_policy::attach::Route;

use headers::HeaderView;
use metadata::MetadataValue;
use metrics::Metrics;
use shared_state::SharedState;

/// A text about an exchange, which can be read at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// The client's protocol, such as `HTTP/1.1`.
    Protocol,
    /// Why there is a response: `via_upstream`, or a reason of the proxy's.
    ResponseCodeDetails,
    /// The name of the cluster that the request goes to.
    UpstreamCluster,
    /// The address and port of the host that the request was sent to.
    UpstreamHost,
    /// The client's address and port, as the proxy trusts them.
    ClientAddress,
    /// The name of the route that took the request.
    RouteName,
    /// The filter state of this key.
    FilterState(&'a str),
    /// What [`crate::Action::NameExchange`] gave the exchange.
    ExchangeName,
    /// What the latest [`crate::Action::LogDecisions`] of any instance has set.
    LoggedDecisions,
}

/// `%RESPONSE_CODE_DETAILS%` of what an upstream answered.
pub(crate) const VIA_UPSTREAM: &str = "via_upstream";

/// One exchange as the host sees it. Reading changes nothing. Answers are borrowed where
/// possible: a host that has them in memory copies nothing, and one that must fetch them
/// returns owned values.
pub trait Host: Metrics + SharedState {
    /// Monotonic time in nanoseconds, from any starting point that all
    /// workers share.
    fn now_ns(&self) -> u64;

    /// Wall-clock time in milliseconds since 1970 (UTC). It may jump.
    fn wall_ms(&self) -> u64;

    /// 64 uniformly random bits. Some of them may reveal others.
    fn random(&mut self) -> u64;

    /// 64 bits that nobody can guess, whatever else he sees; `None` if there
    /// are none to be had.
    fn secret(&mut self) -> Option<u64>;

    /// All request headers in the order they came, names in lower case,
    /// `:method` and `:path` among them. Answers only until the request has
    /// been forwarded.
    fn request_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R;

    /// The first value of a request header (name in lower case). Answers
    /// only until the request has been forwarded.
    fn request_header(&self, name: &str) -> Option<Cow<'_, [u8]>>;

    /// All response headers in the order they came, names in lower case,
    /// `:status` among them. Answers only while response headers are available.
    fn response_headers<R>(&self, read: impl FnOnce(&dyn HeaderView) -> R) -> R;

    /// The first value of a response header (name in lower case, `:status`
    /// included). Answers only while response headers are available.
    fn response_header(&self, name: &str) -> Option<Cow<'_, [u8]>>;

    /// Something about the exchange. `None` if it is not known, or empty.
    fn attribute(&self, attribute: Attribute<'_>) -> Option<Cow<'_, [u8]>>;

    /// The value at a path of Envoy's dynamic metadata (namespace first). `None` if there
    /// is none, or it is an empty text.
    fn metadata(&self, path: &[String]) -> Option<MetadataValue<'_>>;

    /// When the client's request began: nanoseconds since 1970. Exchanges that the proxy
    /// begins anew for the same request have this in common, and no others; a host that
    /// cannot tell gives each another time, or `None` but under a plan that prints it
    /// ([`crate::Plan::prints_start_time`]).
    fn start_time_ns(&self) -> Option<u64>;

    /// How often the request has been sent to an upstream, 0 if never. Behind
    /// the router that is the number of the current attempt.
    fn attempts(&self) -> u32;

    /// What the metadata of the request's cluster says in `btp.backends`: the Services
    /// that it stands for.
    fn backends<R>(&self, read: impl FnOnce(&[&str]) -> R) -> R;

    /// The route, with the resources from its metadata and, if `labels` is set, its labels.
    fn route<R>(&self, labels: bool, read: impl FnOnce(&Route<'_>) -> R) -> R;
}

/// The status of the current response.
pub(crate) fn response_status<H: Host>(host: &H) -> Option<u16> {
    // Three digits (RFC 9110, 15).
    match *host.response_header(":status")? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            let digit = |byte: u8| u16::from(byte - b'0');
            Some(digit(a) * 100 + digit(b) * 10 + digit(c))
        }
        _ => None,
    }
}

/// Whether the current response came from an upstream, and not from the proxy itself.
pub(crate) fn is_via_upstream<H: Host>(host: &H) -> bool {
    let details = host.attribute(Attribute::ResponseCodeDetails);
    details.as_deref() == Some(VIA_UPSTREAM.as_bytes())
}

/// The client's address. `None` if it has none, as on a Unix socket.
pub(crate) fn client_ip<H: Host>(host: &H) -> Option<IpAddr> {
    let address: SocketAddr = parse(&host.attribute(Attribute::ClientAddress)?)?;
    Some(address.ip())
}

/// What a text stands for.
pub(crate) fn parse<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
