//! The connections to the upstreams: `tcpKeepalive`, `connection`, `dns`,
//! `http2`, `proxyProtocol`, `useClientProtocol`.

use btp_policy::native::{
    Connection, Dns, Http2, LookupFamily, Native, OnInvalidMessage, ProxyProtocolVersion,
    TcpKeepalive,
};
use btp_policy::scalar::{Duration, Quantity};

use super::change::{Changes, HttpPart, Operation, Path, Target};
use super::perform;
use crate::envoy::json::{IntoNode, node, put};

/// Envoy Gateway's limit of a connection's buffers; Envoy's own is 1 MiB.
const BUFFER_LIMIT: u32 = 32 * 1024;
const STREAM_WINDOW: Quantity = Quantity::new(perform::STREAM_WINDOW as u64);
const CONNECTION_WINDOW: Quantity = Quantity::new(perform::CONNECTION_WINDOW as u64);

pub(super) fn translate(native: &Native, out: &mut Changes) {
    // First, because it says what the others change.
    if native.use_client_protocol == Some(true) {
        let operation = Operation::HttpOptions(HttpPart::UseDownstream);
        out.add(
            "useClientProtocol",
            Target::Cluster,
            Path::default(),
            operation,
        );
    }
    if native.use_client_protocol == Some(false) {
        let operation = Operation::Nothing("false is the default");
        out.add(
            "useClientProtocol",
            Target::Cluster,
            Path::default(),
            operation,
        );
    }
    if let Some(http2) = &native.http2 {
        translate_http2(http2, out);
    }
    if let Some(keepalive) = &native.tcp_keepalive {
        translate_keepalive(keepalive, out);
    }
    if let Some(connection) = &native.connection {
        translate_connection(connection, out);
    }
    if let Some(dns) = &native.dns {
        let operation = Operation::Dns(dns_settings(dns));
        out.add("dns", Target::Cluster, Path::default(), operation);
    }
    if let Some(proxy) = native.proxy_protocol {
        let version = match proxy.version {
            ProxyProtocolVersion::V1 => "V1",
            ProxyProtocolVersion::V2 => "V2",
        };
        for path in [
            "transport_socket",
            "transport_socket_matches.*.transport_socket",
        ] {
            let operation = Operation::ProxyProtocol(version);
            out.add("proxyProtocol", Target::Cluster, path, operation);
        }
    }
}

fn translate_http2(http2: &Http2, out: &mut Changes) {
    let mut options = node!({
        "initial_stream_window_size": (http2.initial_stream_window_size.unwrap_or(STREAM_WINDOW)),
        "initial_connection_window_size": (
            http2.initial_connection_window_size.unwrap_or(CONNECTION_WINDOW)
        ),
    });
    let streams = http2.max_concurrent_streams;
    put(&mut options, "max_concurrent_streams", streams);
    if let Some(keepalive) = &http2.connection_keepalive {
        let mut config = node!({});
        put(&mut config, "interval", keepalive.interval);
        put(&mut config, "timeout", keepalive.timeout);
        let jitter = keepalive.interval_jitter;
        let jitter = jitter.map(|percent| node!({ "value": (u32::from(percent)) }));
        put(&mut config, "interval_jitter", jitter);
        put(
            &mut config,
            "connection_idle_interval",
            keepalive.idle_interval,
        );
        put(&mut options, "connection_keepalive", Some(config));
    }
    if let Some(action) = http2.on_invalid_message {
        let keeps_connection = action == OnInvalidMessage::TerminateStream;
        let name = "override_stream_error_on_invalid_http_message";
        put(&mut options, name, Some(keeps_connection));
    }
    let operation = Operation::HttpOptions(HttpPart::Http2(options));
    out.add("http2", Target::Cluster, Path::default(), operation);
}

fn translate_keepalive(keepalive: &TcpKeepalive, out: &mut Changes) {
    let seconds = |time: Duration| {
        let seconds = time.as_nanos() / 1_000_000_000;
        u32::try_from(seconds).unwrap_or(u32::MAX)
    };
    let mut config = node!({});
    put(&mut config, "keepalive_probes", keepalive.probes);
    put(
        &mut config,
        "keepalive_time",
        keepalive.idle_time.map(seconds),
    );
    put(
        &mut config,
        "keepalive_interval",
        keepalive.interval.map(seconds),
    );
    let path = "upstream_connection_options.tcp_keepalive";
    out.add(
        "tcpKeepalive",
        Target::Cluster,
        path,
        Operation::Set(config),
    );
}

fn translate_connection(connection: &Connection, out: &mut Changes) {
    let operation = match connection.buffer_limit {
        Some(limit) => Operation::Set(limit.into_node()),
        None => Operation::Default(BUFFER_LIMIT.into_node()),
    };
    let path = "per_connection_buffer_limit_bytes";
    out.add("connection.bufferLimit", Target::Cluster, path, operation);
    if let Some(limit) = connection.socket_buffer_limit {
        limit_sockets(limit, out);
    }
    let Some(preconnect) = &connection.preconnect else {
        return;
    };
    let mut policy = node!({});
    for (name, percent) in [
        (
            "per_upstream_preconnect_ratio",
            preconnect.per_endpoint_percent,
        ),
        ("predictive_preconnect_ratio", preconnect.predictive_percent),
    ] {
        put(
            &mut policy,
            name,
            percent.map(|percent| f64::from(percent) / 100.0),
        );
    }
    let operation = Operation::Set(policy);
    out.add(
        "connection.preconnect",
        Target::Cluster,
        "preconnect_policy",
        operation,
    );
}

/// Options of the sockets to upstreams, by Linux' numbers, set before they connect:
/// how large a window TCP offers is settled then.
fn limit_sockets(limit: Quantity, out: &mut Changes) {
    const SOL_SOCKET: u32 = 1;
    let field = "connection.socketBufferLimit";
    let shadowed = "must be left out: Envoy ignores it for clusters with their own bind_config, \
        which these clusters get; write it into the clusters";
    out.add(
        field,
        Target::Bootstrap,
        "cluster_manager.upstream_bind_config",
        Operation::Forbid(None, shadowed),
    );
    for (name, number) in [("SO_SNDBUF", 7), ("SO_RCVBUF", 8)] {
        let option = node!({
            "description": name,
            "level": SOL_SOCKET,
            "name": (number),
            "int_value": (limit),
            "state": "STATE_PREBIND",
        });
        let path = "upstream_bind_config.socket_options";
        out.add(field, Target::Cluster, path, Operation::Append(option));
    }
}

fn dns_settings(dns: &Dns) -> btp_policy::node::Node {
    let refresh = dns
        .dns_refresh_rate
        .unwrap_or(Duration::from_millis(30_000));
    let mut settings = node!({
        "dns_refresh_rate": (refresh),
        "respect_dns_ttl": (dns.respect_dns_ttl.unwrap_or(true)),
    });
    let family = dns.lookup_family.map(|family| match family {
        LookupFamily::V4 => "V4_ONLY",
        LookupFamily::V6 => "V6_ONLY",
        LookupFamily::V4Preferred => "V4_PREFERRED",
        // Envoy's AUTO asks for IPv6 first.
        LookupFamily::V6Preferred => "AUTO",
        LookupFamily::Both => "ALL",
    });
    put(&mut settings, "dns_lookup_family", family);
    settings
}
