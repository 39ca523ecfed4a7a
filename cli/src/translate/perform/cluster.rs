//! Changes that depend on what a cluster is.

use btp_policy::node::{Node, Value};

use super::http_options::{Protocol, protocol};
use super::replaced::{Replaced, lost};
use super::{ChangeError, Outcome};
use crate::envoy::json::{IntoNode, list, node};
use crate::envoy::tree::{field, field_mut, find, merge, object_mut, same, set, text, type_of};

const PROXY_SOCKET: &str = "envoy.transport_sockets.upstream_proxy_protocol";

/// Sets `health_checks`. A cluster that speaks HTTP/2 is asked in HTTP/2.
pub(super) fn check_health(cluster: &mut Node, check: &Node) -> Result<Outcome, ChangeError> {
    let mut check = check.clone();
    if field(&check, "grpc_health_check").is_some()
        && !matches!(protocol(cluster), Protocol::Http2 | Protocol::Varies)
    {
        return Err(ChangeError::Refused(
            "must use HTTP/2 for gRPC health checks: set \
             explicit_http_config.http2_protocol_options",
        ));
    }
    if let Some(http) = field_mut(&mut check, "http_health_check") {
        match protocol(cluster) {
            Protocol::Http2 => set(http, "codec_client_type", "HTTP2".into_node()),
            // Seen on 1.40.0: "error initializing due to unknown exception".
            Protocol::Http3 => {
                return Err(ChangeError::Refused(
                    "must not use only HTTP/3 with HTTP health checks, because Envoy exits when \
                     it probes over HTTP/3: write auto_config, which probes over HTTP/1 with TLS, \
                     or leave active out (passive sends no probes)",
                ));
            }
            Protocol::Http1 | Protocol::Varies => {}
        }
    }
    let checks = list([check]);
    let before = field(cluster, "health_checks").cloned();
    Ok(match before {
        Some(before) if same(&before, &checks) => Outcome::Present,
        before => {
            set(cluster, "health_checks", checks);
            let replaced = before.map(|it| Replaced::new("health_checks", &it));
            Outcome::changed(replaced.into_iter().collect())
        }
    })
}

/// `slot` is an endpoint: its own name is the Host that health checks send,
/// unless it says another.
pub(super) fn ask_by_own_name(slot: &mut Option<Node>) -> Result<(), ChangeError> {
    let Some(endpoint) = slot.as_mut() else {
        return Ok(());
    };
    let own = text(endpoint, "hostname").filter(|name| !name.is_empty());
    let Some(own) = own.map(str::to_owned) else {
        return Ok(());
    };
    let config = object_mut(endpoint, "health_check_config")?;
    if text(config, "hostname").unwrap_or_default().is_empty() {
        set(config, "hostname", own.as_str().into_node());
    }
    Ok(())
}

/// Sets how names are resolved, in the fields that this kind of cluster has.
pub(super) fn set_dns(cluster: &mut Node, settings: &Node) -> Result<Outcome, ChangeError> {
    const CONFIG: [&str; 2] = ["cluster_type", "typed_config"];
    let is_plain = matches!(text(cluster, "type"), Some("STRICT_DNS" | "LOGICAL_DNS"));
    let custom = find(cluster, &CONFIG);
    let is_custom = custom.and_then(type_of) == Some("DnsCluster");
    if custom.is_some_and(|it| field(it, "dns_cache_config").is_some()) {
        return Err(ChangeError::Refused(
            "shares its DNS cache with the dynamic_forward_proxy filter: set dns_cache_config \
             in both by hand, and leave dns out of the policy",
        ));
    }
    let before = cluster.clone();
    if is_custom {
        let custom = object_mut(cluster, CONFIG[0])?;
        merge(object_mut(custom, CONFIG[1])?, settings)?;
    } else if is_plain {
        merge(cluster, settings)?;
    } else {
        return Ok(Outcome::Idle("the cluster resolves no names"));
    }
    if same(&before, cluster) {
        return Ok(Outcome::Present);
    }
    Ok(Outcome::changed(lost(&before, cluster, "")))
}

/// Puts the PROXY header before what the socket sends.
pub(super) fn wrap_socket(slot: &mut Option<Node>, version: &str) -> Result<(), ChangeError> {
    let config = slot
        .as_mut()
        .and_then(|it| field_mut(it, "typed_config"))
        .filter(|it| type_of(it) == Some("ProxyProtocolUpstreamTransport"));
    if let Some(wrapper) = config {
        set(
            object_mut(wrapper, "config")?,
            "version",
            version.into_node(),
        );
        return Ok(());
    }
    let inner = slot.take().unwrap_or_else(|| {
        node!({
            "name": "envoy.transport_sockets.raw_buffer",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
            }
        })
    });
    *slot = Some(node!({
        "name": PROXY_SOCKET,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
            "config": { "version": version },
            "transport_socket": (inner)
        }
    }));
    Ok(())
}

/// What is replaced where a socket is wrapped: nothing, because it stays inside.
pub(super) fn lost_of_socket(before: &Node, after: &Node, path: &str) -> Vec<Replaced> {
    let inner = find(after, &["typed_config", "transport_socket"]);
    match inner {
        Some(inner) if same(inner, before) => Vec::new(),
        _ => lost(before, after, path),
    }
}

/// `slot` is one of `load_assignment.endpoints`.
pub(super) fn weigh_zones(slot: &mut Option<Node>, weights: &[(String, u32)]) {
    let Some(endpoints) = slot.as_mut().filter(|it| matches!(it.value, Value::Map(_))) else {
        return;
    };
    let zone = find(endpoints, &["locality", "zone"]);
    let zone = zone.and_then(Node::as_str).unwrap_or("");
    let found = weights.iter().find(|(name, _)| name == zone);
    let weight = found.map_or(1, |(_, weight)| *weight);
    set(endpoints, "load_balancing_weight", weight.into_node());
}
