//! Changes that depend on what a cluster is.

use btp_policy::node::{Node, Value};

use super::Outcome;
use super::http_options::{Protocol, codec, protocol};
use super::slot::{Fields, merge, same};
use crate::translate::tree::{IntoNode, list, node};

const PROXY_SOCKET: &str = "envoy.transport_sockets.upstream_proxy_protocol";

/// Sets `health_checks`. A cluster that speaks HTTP/2 is asked in HTTP/2.
pub(super) fn check_health(cluster: &mut Node, check: &Node) -> Result<Outcome, String> {
    let mut check = check.clone();
    if check.get("grpc_health_check").is_some()
        && !matches!(protocol(cluster), Protocol::Http2 | Protocol::Varies)
    {
        return Err("must speak HTTP/2 to be asked by gRPC: set \
                    explicit_http_config.http2_protocol_options"
            .to_owned());
    }
    if let Some(codec) = codec(cluster)
        && check.get("http_health_check").is_some()
        && let Some(http) = check.entry("http_health_check")
    {
        http.set("codec_client_type", codec);
    }
    let checks = list([check]);
    let before = cluster.get("health_checks").cloned();
    Ok(match before {
        Some(before) if same(&before, &checks) => Outcome::Same,
        before => {
            cluster.set("health_checks", checks);
            before.map_or(Outcome::Added, |it| Outcome::Replaced(vec![it]))
        }
    })
}

/// Sets how names are resolved, in the fields that this kind of cluster has.
pub(super) fn set_dns(cluster: &mut Node, settings: &Node) -> Result<Outcome, String> {
    let kind = cluster.get("type").and_then(Node::as_str);
    let is_plain = matches!(kind, Some("STRICT_DNS" | "LOGICAL_DNS"));
    let custom = cluster
        .get("cluster_type")
        .and_then(|it| it.get("typed_config"));
    let is_custom = custom.is_some_and(|it| it.is_a("DnsCluster"));
    if custom.is_some_and(|it| it.get("dns_cache_config").is_some()) {
        return Err(
            "shares its DNS cache with the dynamic_forward_proxy filter: set dns_cache_config \
             in both by hand, and leave dns out of the policy"
                .to_owned(),
        );
    }
    let before = cluster.clone();
    if is_custom {
        let custom = cluster.entry("cluster_type");
        if let Some(config) = custom.and_then(|it| it.entry("typed_config")) {
            merge(config, settings);
        }
    } else if is_plain {
        merge(cluster, settings);
    } else {
        return Ok(Outcome::Idle("the cluster resolves no names"));
    }
    let fields = match &settings.value {
        Value::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    let old = |cluster: &Node| {
        let custom = cluster
            .get("cluster_type")
            .and_then(|it| it.get("typed_config"));
        let home = if is_custom { custom? } else { cluster }.clone();
        let found = fields
            .iter()
            .filter_map(|entry| home.get(&entry.key).cloned());
        Some(found.collect::<Vec<_>>())
    };
    let replaced = old(&before).unwrap_or_default();
    Ok(match () {
        () if same(&before, cluster) => Outcome::Same,
        () if replaced.is_empty() => Outcome::Added,
        () => Outcome::Replaced(replaced),
    })
}

/// Puts the PROXY header before what the socket sends.
pub(super) fn wrap_socket(slot: &mut Option<Node>, version: &str) {
    let wrapped = slot.as_ref().is_some_and(|socket| {
        let config = socket.get("typed_config");
        config.is_some_and(|it| it.is_a("ProxyProtocolUpstreamTransport"))
    });
    if wrapped {
        let config = slot.as_mut().and_then(|it| it.entry("typed_config"));
        if let Some(config) = config.and_then(|it| it.entry("config")) {
            config.set("version", version.into_node());
        }
        return;
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
}

/// `slot` is one of `load_assignment.endpoints`.
pub(super) fn weigh_zones(slot: &mut Option<Node>, weights: &[(String, u32)]) {
    let Some(endpoints) = slot else {
        return;
    };
    let zone = endpoints
        .get("locality")
        .and_then(|it| it.get("zone"))
        .and_then(Node::as_str)
        .unwrap_or("");
    let found = weights.iter().find(|(name, _)| name == zone);
    let weight = found.map_or(1, |(_, weight)| *weight);
    endpoints.set("load_balancing_weight", weight.into_node());
}
