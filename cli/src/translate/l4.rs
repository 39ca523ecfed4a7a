//! What of a policy holds for connections and datagrams that are handed on as
//! they are: what Envoy Gateway sets on the clusters of TCP and UDP listeners.
//!
//! Unlike in Envoy Gateway `connection` of a Gateway's policy holds for TCP,
//! too, and datagrams stay with an endpoint by the client's address.

use btp_policy::node::Node;
use btp_policy::problem::Problem;
use btp_policy::spec::{Owner, owner_of};

use super::change::{Change, Operation, Path, Target};
use super::{Context, translate};
use crate::envoy::json::node;
use crate::envoy::l4::L4;
use crate::envoy::tree::{field, find, text};

/// A field of a spec that does not hold there, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmet {
    /// The field, below `spec`.
    pub(crate) field: String,
    pub(crate) reason: &'static str,
}

const OF_TCP: [&str; 9] = [
    "circuitBreaker",
    "connection",
    "dns",
    "healthCheck",
    "loadBalancer",
    "proxyProtocol",
    "tcpKeepalive",
    "telemetry",
    "timeout",
];
const OF_UDP: [&str; 2] = ["dns", "loadBalancer"];

/// Parts of these that only requests have.
const OF_REQUESTS: [&[&str]; 6] = [
    &["telemetry", "tracing"],
    &["timeout", "http"],
    &["circuitBreaker", "maxParallelRequests"],
    &["circuitBreaker", "maxParallelRetries"],
    &["circuitBreaker", "maxRequestsPerConnection"],
    &["circuitBreaker", "retryBudget"],
];
/// Parts of a `loadBalancer` that read a request.
const OF_HEADERS: [&[&str]; 5] = [
    &["loadBalancer", "consistentHash", "cookie"],
    &["loadBalancer", "consistentHash", "header"],
    &["loadBalancer", "consistentHash", "headers"],
    &["loadBalancer", "consistentHash", "queryParams"],
    &["loadBalancer", "endpointOverride"],
];

const HTTP_ONLY: &str = "for HTTP only";

/// Whether a field of `spec` says something of the clusters of such traffic.
pub(crate) fn holds_for(l4: L4, name: &str) -> bool {
    match l4 {
        L4::Tcp => OF_TCP.contains(&name),
        L4::Udp => OF_UDP.contains(&name),
    }
}

/// The changes that `spec` amounts to there.
///
/// # Errors
/// As [`translate`].
pub(crate) fn translate_l4(
    spec: &Node,
    l4: L4,
    context: &Context<'_>,
) -> Result<Vec<Change>, Vec<Problem>> {
    let holds = |change: &Change| {
        let below = change.field.strip_prefix("spec.").unwrap_or_default();
        let name = below.split('.').next().unwrap_or_default();
        holds_for(l4, name)
            && matches!(change.target, Target::Cluster | Target::Bootstrap)
            && !matches!(change.operation, Operation::HttpOptions(_))
    };
    let mut changes = translate(spec, context)?;
    let named = changes.iter().find_map(|it| match &it.operation {
        Operation::RouteStatName(..) if l4 == L4::Tcp => Some(Change {
            target: Target::L4Proxy,
            ..it.clone()
        }),
        _ => None,
    });
    changes.retain(holds);
    changes.extend(named);
    let hash = find(spec, &["loadBalancer", "consistentHash"]);
    if hash.and_then(|it| text(it, "type")) == Some("SourceIP") {
        changes.push(by_address(l4));
    }
    Ok(changes)
}

/// Without it an endpoint is drawn by chance.
fn by_address(l4: L4) -> Change {
    let (path, policies) = match l4 {
        L4::Tcp => ("hash_policy", node!([{ "source_ip": {} }])),
        L4::Udp => ("hash_policies", node!([{ "source_ip": true }])),
    };
    Change {
        field: "spec.loadBalancer.consistentHash".to_owned(),
        also: Vec::new(),
        target: Target::L4Proxy,
        path: Path::from(path),
        operation: Operation::Set(policies),
    }
}

/// The fields of `spec` that do not hold there; `None`: where a filter sends what
/// it gets is its own business.
pub(crate) fn unmet(spec: &Node, l4: Option<L4>) -> Vec<Unmet> {
    let mut found = Vec::new();
    let mut add = |path: &[&str], reason| {
        let field = path.join(".");
        found.push(Unmet { field, reason });
    };
    for name in super::names(spec) {
        let is_setting = !matches!(owner_of(name), None | Some(Owner::Attachment));
        // This one has nothing to do anywhere.
        let holds = l4.is_some_and(|l4| holds_for(l4, name));
        if is_setting && name != "routingType" && !holds {
            let reason = match l4 {
                None => "its backends are not known here",
                Some(L4::Udp) if holds_for(L4::Tcp, name) => {
                    "only loadBalancer and dns apply to datagrams"
                }
                Some(_) => HTTP_ONLY,
            };
            add(&[name], reason);
        }
    }
    let is_there = |path: &[&str]| {
        let holds = l4.is_some_and(|l4| holds_for(l4, path[0]));
        holds && find(spec, path).is_some()
    };
    for path in OF_REQUESTS.into_iter().filter(|path| is_there(path)) {
        add(path, HTTP_ONLY);
    }
    for path in OF_HEADERS.into_iter().filter(|path| is_there(path)) {
        add(path, "there are no headers to choose an endpoint by");
    }
    let reports = ["loadBalancer", "backendUtilization"];
    if is_there(&reports) && find(spec, &reports).is_some_and(|it| field(it, "outOfBand").is_none())
    {
        add(&reports, "without outOfBand no endpoint reports its load");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    fn spec(text: &str) -> Node {
        json::parse(text.as_bytes()).unwrap()
    }

    fn changes(text: &str, l4: L4) -> Vec<String> {
        let changes = translate_l4(&spec(text), l4, &Context::default()).unwrap();
        let shown = changes
            .iter()
            .map(|it| format!("{:?} {}", it.target, it.path));
        shown.collect()
    }

    fn fields(text: &str, l4: L4) -> Vec<String> {
        unmet(&spec(text), Some(l4))
            .into_iter()
            .map(|it| it.field)
            .collect()
    }

    const ALL: &str = r#"{"targetRefs":[],"rateLimit":{"local":{"rules":[]}},
        "retry":{},"http2":{},"routingType":"Service","timeout":{"tcp":{"connectTimeout":"1s"},
        "http":{"requestTimeout":"1s","connectionIdleTimeout":"1s"}},
        "circuitBreaker":{"maxRequestsPerConnection":1,"perEndpoint":{}},
        "tcpKeepalive":{"probes":3},"connection":{},"proxyProtocol":{"version":"V1"},
        "dns":{"dnsRefreshRate":"1s"},
        "loadBalancer":{"type":"ConsistentHash","consistentHash":{"type":"SourceIP"}}}"#;

    #[test]
    fn connections_have_what_is_not_about_http() {
        let found = changes(ALL, L4::Tcp);
        for wanted in [
            "Cluster upstream_connection_options.tcp_keepalive",
            "Cluster per_connection_buffer_limit_bytes",
            "Cluster connect_timeout",
            "Cluster circuit_breakers.thresholds[DEFAULT]",
            "Cluster circuit_breakers.per_host_thresholds",
            "Cluster transport_socket",
            "Cluster load_balancing_policy",
            "L4Proxy hash_policy",
        ] {
            assert!(found.iter().any(|it| it == wanted), "{wanted}: {found:?}");
        }
        let rest = found
            .iter()
            .find(|it| it.contains("max_retries") || it.contains("Route"));
        assert_eq!(rest, None);
        assert_eq!(
            fields(ALL, L4::Tcp),
            [
                "rateLimit",
                "retry",
                "http2",
                "timeout.http",
                "circuitBreaker.maxRequestsPerConnection"
            ]
        );
    }

    #[test]
    fn datagrams_have_endpoints_and_names() {
        let found = changes(ALL, L4::Udp);
        let others = ["tcp_keepalive", "circuit_breakers", "connect_timeout"];
        let wrong = found
            .iter()
            .find(|it| others.iter().any(|other| it.contains(other)));
        assert_eq!(wrong, None);
        assert!(
            found.contains(&"Cluster load_balancing_policy".to_owned()),
            "{found:?}"
        );
        assert!(
            found.contains(&"L4Proxy hash_policies".to_owned()),
            "{found:?}"
        );
        let unmet = fields(ALL, L4::Udp);
        assert!(unmet.contains(&"tcpKeepalive".to_owned()), "{unmet:?}");
        assert!(!unmet.contains(&"dns".to_owned()), "{unmet:?}");
    }

    #[test]
    fn what_reads_a_request_is_named() {
        let by_header = r#"{"loadBalancer":{"type":"ConsistentHash","consistentHash":{
            "type":"Header","header":{"name":"x"}}}}"#;
        assert_eq!(
            fields(by_header, L4::Tcp),
            ["loadBalancer.consistentHash.header"]
        );
        assert!(
            !changes(by_header, L4::Tcp)
                .iter()
                .any(|it| it.contains("hash_policy"))
        );
        let reports = r#"{"loadBalancer":{"type":"BackendUtilization","backendUtilization":{}}}"#;
        assert_eq!(
            fields(reports, L4::Tcp),
            ["loadBalancer.backendUtilization"]
        );
    }
}
