//! The rate limit service in Envoy's configuration: a cluster, and the filter that calls
//! it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use btp_policy::node::Node;
use btp_policy::scalar::Duration;

use super::key::is_plain;
pub(crate) use crate::envoy::http_filter::GLOBAL_LIMITS as NAME;
use crate::envoy::json::{node, put};
use crate::host_port::HostPort;

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit";
const CLUSTER_TYPE: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const PROTOCOL: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// What a client is told if the service does not answer and nobody is to pass
/// then. Envoy's own choice, 500, would blame the backend.
const UNAVAILABLE: u32 = 503;

/// A rate limit service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Where it listens.
    pub(crate) endpoint: HostPort,
    /// What its file is written as.
    pub(crate) format: Format,
    /// What its limits are known under.
    pub(crate) domain: Domain,
    /// How long Envoy waits for an answer.
    pub(crate) timeout: Duration,
    /// Whether requests are refused that it does not answer.
    pub(crate) fail_closed: bool,
}

/// What a service reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The configuration of envoyproxy/ratelimit.
    #[default]
    Envoy,
    /// The limits file of Limitador.
    Limitador,
}

/// A domain: what keeps the limits of one file apart from those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(String);

/// Why a text is no domain. Prints as a predicate whose subject is the text.
#[derive(Debug)]
pub struct NoDomain;

impl Service {
    /// One that might be there, to say where fields would be in force.
    pub(crate) fn assumed() -> Option<Self> {
        Some(Self {
            endpoint: "ratelimit:8081".parse().ok()?,
            format: Format::default(),
            domain: "btp".parse().ok()?,
            timeout: Duration::from_millis(100),
            fail_closed: false,
        })
    }

    /// The cluster; `is_resource`: it is for a file of clusters.
    pub(crate) fn cluster(&self, is_resource: bool) -> Node {
        let host = self.endpoint.host();
        let is_address = host.parse::<IpAddr>().is_ok();
        let mut cluster = node!({});
        put(&mut cluster, "@type", is_resource.then_some(CLUSTER_TYPE));
        put(&mut cluster, "name", Some(NAME));
        let kind = if is_address { "STATIC" } else { "STRICT_DNS" };
        put(&mut cluster, "type", Some(kind));
        // `localhost` is both, and a service may listen on one of them.
        let family = (!is_address).then_some("V4_PREFERRED");
        put(&mut cluster, "dns_lookup_family", family);
        put(&mut cluster, "connect_timeout", Some("1s"));
        // Beyond Envoy's 1024 requests at a time nobody would be asked, and they
        // would pass.
        let most = u32::MAX;
        let thresholds = node!([{ "max_pending_requests": most, "max_requests": most }]);
        let breakers = node!({ "thresholds": (thresholds) });
        put(&mut cluster, "circuit_breakers", Some(breakers));
        let http2 = node!({
            "@type": (format!("type.googleapis.com/{PROTOCOL}")),
            "explicit_http_config": { "http2_protocol_options": {} }
        });
        let options = node!({ PROTOCOL: (http2) });
        put(
            &mut cluster,
            "typed_extension_protocol_options",
            Some(options),
        );
        let socket = node!({
            "address": host,
            "port_value": (u32::from(self.endpoint.port())),
        });
        let endpoint = node!({ "endpoint": { "address": { "socket_address": (socket) } } });
        let assignment = node!({
            "cluster_name": NAME,
            "endpoints": [{ "lb_endpoints": [(endpoint)] }]
        });
        put(&mut cluster, "load_assignment", Some(assignment));
        cluster
    }

    /// The filter. It is off but on the routes that say so.
    pub(crate) fn filter(&self) -> Node {
        let mut config = node!({
            "@type": TYPE,
            "domain": (self.domain.as_str()),
            "timeout": (self.timeout),
            "failure_mode_deny": (self.fail_closed),
        });
        let status = self.fail_closed.then(|| node!({ "code": UNAVAILABLE }));
        put(&mut config, "status_on_error", status);
        put(
            &mut config,
            "enable_x_ratelimit_headers",
            Some("DRAFT_VERSION_03"),
        );
        // By that header the filter's retry budgets stop the router.
        put(
            &mut config,
            "disable_x_envoy_ratelimited_header",
            Some(true),
        );
        let service = node!({
            "transport_api_version": "V3",
            "grpc_service": { "envoy_grpc": { "cluster_name": NAME } }
        });
        put(&mut config, "rate_limit_service", Some(service));
        node!({ "name": NAME, "disabled": true, "typed_config": (config) })
    }
}

impl Domain {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = NoDomain;

    fn from_str(text: &str) -> Result<Self, NoDomain> {
        match !text.is_empty() && text.chars().all(is_plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(NoDomain),
        }
    }
}

impl fmt::Display for NoDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("must contain only letters, digits, and . _ - /")
    }
}

impl std::error::Error for NoDomain {}
