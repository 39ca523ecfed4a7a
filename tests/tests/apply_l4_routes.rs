//! What policies of TCPRoutes, TLSRoutes and UDPRoutes do for connections and datagrams, on
//! the real Envoy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use btp_tests::apply::{apply, lint};
use btp_tests::native::{SOON, cluster_of, upstreams, wait_for_stat};
use btp_tests::{Bootstrap, Builder, Envoy, Route};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpStream, UdpSocket};

const TCP: &str = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const UDP: &str = "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig";
const UDP_ROUTE: &str = "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.Route";

/// A listener with one filter chain that hands its connections on to cluster `db`.
fn tcp(name: &str, chain: &str, resources: Value, labels: Value) -> Value {
    let config = json!({"@type": TCP, "stat_prefix": "tcp", "cluster": "db"});
    let filter = json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": config});
    json!({"name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"name": chain, "filters": [filter], "metadata": {"filter_metadata": {
            "envoy-gateway": {"resources": resources}, "btp": {"labels": labels}}}}]})
}

/// A listener that hands its datagrams on to this cluster.
fn udp(name: &str, cluster: &str) -> Value {
    let route = json!({"name": "route", "typed_config": {"@type": UDP_ROUTE, "cluster": cluster}});
    let config = json!({"@type": UDP, "stat_prefix": "udp",
        "matcher": {"on_no_match": {"action": route}}});
    let filter = json!({"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": config});
    let address = json!({"protocol": "UDP", "address": "127.0.0.1", "port_value": 0});
    json!({"name": name, "address": {"socket_address": address}, "listener_filters": [filter]})
}

fn bootstrap(listeners: Vec<Value>, clusters: Vec<Value>) -> Result<Bootstrap> {
    let mut builder = Builder::new().route(Route::direct("/", 200, "here"));
    for listener in listeners {
        builder = builder.listener(listener);
    }
    for cluster in clusters {
        builder = builder.raw_cluster(cluster);
    }
    builder.build()
}

fn policy(name: &str, attachment: &Value, mut spec: Value) -> String {
    for (field, value) in attachment.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    let document =
        json!({"kind": "BackendTrafficPolicy", "metadata": {"name": name}, "spec": spec});
    format!("---\n{document}\n")
}

fn target(kind: &str, name: &str, section: Option<&str>) -> Value {
    let mut target = json!({"group": "gateway.networking.k8s.io", "kind": kind, "name": name});
    if let Some(section) = section {
        target["sectionName"] = section.into();
    }
    json!({"targetRefs": [target]})
}

async fn applied(bootstrap: &Bootstrap, policies: &str) -> Result<(Envoy, String)> {
    let (bootstrap, report) = apply(bootstrap, policies)?;
    Ok((Envoy::start(&bootstrap).await?, report))
}

/// Whether a listener has a second connection beside one that is open.
async fn has_two(envoy: &Envoy, listener: &str, cluster: &str) -> Result<bool> {
    let address = envoy.listener_addr(listener)?;
    let active = format!("cluster.{cluster}.upstream_cx_active");
    wait_for_stat(envoy, &active, |active| active == 0).await?;
    let _first = TcpStream::connect(address).await?;
    wait_for_stat(envoy, &active, |active| active == 1).await?;
    let mut second = TcpStream::connect(address).await?;
    let closed = tokio::time::timeout(Duration::from_secs(1), second.read(&mut [0])).await;
    Ok(!matches!(closed, Ok(Ok(0))))
}

/// Two listeners with a chain each, called `orders` and `rest`; `prefix` is in front of the
/// listeners' names.
async fn two_chains(
    prefix: &str,
    resources: Value,
    labels: Value,
) -> Result<(Bootstrap, Vec<btp_tests::Upstream>)> {
    let upstreams = upstreams(1).await?;
    let db = cluster_of("db", &[upstreams[0].addr()]);
    let orders = tcp(&format!("{prefix}orders"), "orders", resources, labels);
    let rest = tcp(&format!("{prefix}rest"), "rest", json!([]), json!({}));
    Ok((bootstrap(vec![orders, rest], vec![db])?, upstreams))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routes_policy_is_for_its_chain_alone() -> Result<()> {
    let noted = |kind: &str| json!([{"kind": kind, "namespace": "default", "name": "shop", "sectionName": "first"}]);
    let gold = json!({"tier": "gold"});
    let selecting =
        |kind: &str| json!({"targetSelectors": [{"kind": kind, "matchLabels": {"tier": "gold"}}]});
    for (attachment, resources) in [
        (target("TCPRoute", "orders", None), json!([])),
        (target("TLSRoute", "orders", None), json!([])),
        (target("TCPRoute", "shop", None), noted("TCPRoute")),
        (target("TCPRoute", "shop", Some("first")), noted("TCPRoute")),
        (target("TLSRoute", "shop", Some("first")), noted("TLSRoute")),
        (selecting("TCPRoute"), json!([])),
        (selecting("TLSRoute"), noted("TLSRoute")),
    ] {
        let (base, _upstreams) = two_chains("", resources, gold.clone()).await?;
        let spec = json!({"circuitBreaker": {"maxConnections": 1}});
        let policies = policy("limit", &attachment, spec);
        let (envoy, report) = applied(&base, &policies).await?;
        ensure!(report.contains("cluster db-default-limit"), "{report}");
        ensure!(
            !has_two(&envoy, "orders", "db-default-limit").await?,
            "{attachment}"
        );
        ensure!(has_two(&envoy, "rest", "db").await?, "{attachment}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routes_policy_is_completed_by_those_above() -> Result<()> {
    let set = json!([{"kind": "Gateway", "namespace": "default", "name": "edge"},
        {"kind": "ListenerSet", "namespace": "default", "name": "extra"}]);
    let (base, _upstreams) = two_chains("edge/", set, json!({})).await?;
    let keepalive = json!({"tcpKeepalive": {"probes": 3}, "retry": {"numRetries": 2}});
    let connect = |time: &str| json!({"timeout": {"tcp": {"connectTimeout": time}}});
    let policies = policy("gateway", &target("Gateway", "edge", None), keepalive)
        + &policy("set", &target("ListenerSet", "extra", None), connect("7s"))
        + &policy(
            "orders",
            &target("TCPRoute", "orders", None),
            json!({"circuitBreaker": {"maxConnections": 1}}),
        );
    let (envoy, report) = applied(&base, &policies).await?;
    let merged = "default/orders, merged with default/set, default/gateway";
    ensure!(report.contains(merged), "{report}");
    let cluster = envoy.cluster("db-default-orders").await?;
    ensure!(cluster["connect_timeout"] == "7s", "{cluster:#}");
    let keepalive = &cluster["upstream_connection_options"]["tcp_keepalive"];
    ensure!(keepalive["keepalive_probes"] == 3, "{cluster:#}");
    ensure!(!has_two(&envoy, "edge/orders", "db-default-orders").await?);
    let rest = envoy.cluster("db-default-gateway").await?;
    ensure!(rest["connect_timeout"] != "7s", "{rest:#}");
    ensure!(has_two(&envoy, "edge/rest", "db-default-gateway").await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_is_deep_and_with_the_closest_policy() -> Result<()> {
    let (base, _upstreams) = two_chains("edge/", json!([]), json!({})).await?;
    let mut child = target("TCPRoute", "orders", None);
    child["mergeType"] = "StrategicMerge".into();
    let policies = policy(
        "gateway",
        &target("Gateway", "edge", None),
        json!({"tcpKeepalive": {"probes": 3}}),
    ) + &policy(
        "orders",
        &child,
        json!({"tcpKeepalive": {"idleTime": "20m"}}),
    );
    let (envoy, _) = applied(&base, &policies).await?;
    let cluster = envoy.cluster("db-default-orders").await?;
    let keepalive = &cluster["upstream_connection_options"]["tcp_keepalive"];
    ensure!(keepalive["keepalive_probes"] == 3 && keepalive["keepalive_time"] == 1200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_routes_of_connections_are_undone() -> Result<()> {
    let (base, _upstreams) = two_chains("", json!([]), json!({})).await?;
    let spec = || json!({"circuitBreaker": {"maxConnections": 1}});
    let first = policy("limit", &target("TCPRoute", "orders", None), spec());
    let second = policy("limit", &target("TCPRoute", "rest", None), spec());
    let (applied, _) = apply(&base, &first)?;
    ensure!(apply(&applied, &first)?.0.config() == applied.config());
    ensure!(apply(&applied, &second)?.0.config() == apply(&base, &second)?.0.config());
    Ok(())
}

/// The next datagram of any of these sockets: whose it is.
async fn heard(sockets: &[UdpSocket]) -> Result<usize> {
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        for (index, socket) in sockets.iter().enumerate() {
            if socket.try_recv(&mut [0; 16]).is_ok() {
                return Ok(index);
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("no datagram came")
}

/// How many of four origins have the sessions of one client.
async fn takers(envoy: &Envoy, listener: &str, origins: &[UdpSocket]) -> Result<usize> {
    let mut takers = Vec::new();
    // Each has a port of its own, and so a session of its own.
    for _ in 0..8 {
        let client = UdpSocket::bind("127.0.0.1:0").await?;
        client
            .send_to(b"ping", envoy.listener_addr(listener)?)
            .await?;
        takers.push(heard(origins).await?);
    }
    takers.sort_unstable();
    takers.dedup();
    Ok(takers.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_udp_route_is_known_by_its_listener_or_its_cluster() -> Result<()> {
    const OF_GATEWAY: &str = "udproute/default/names/rule/-1";
    let spec = json!({"tcpKeepalive": {"probes": 3}, "loadBalancer": {"type": "ConsistentHash",
        "consistentHash": {"type": "SourceIP"}}});
    for (target, cluster) in [
        (target("UDPRoute", "dns", None), "db"),
        (target("UDPRoute", "names", None), OF_GATEWAY),
    ] {
        let mut origins = Vec::new();
        for _ in 0..4 {
            origins.push(UdpSocket::bind("127.0.0.1:0").await?);
        }
        let addresses: Result<Vec<SocketAddr>, _> =
            origins.iter().map(UdpSocket::local_addr).collect();
        let mut db = cluster_of(cluster, &addresses?);
        btp_tests::bootstrap::visit(&mut db, &mut |it| {
            if it.get("port_value").is_some() {
                it["protocol"] = "UDP".into();
            }
        });
        let mut other = db.clone();
        other["name"] = "other".into();
        other["load_assignment"]["cluster_name"] = "other".into();
        other["lb_policy"] = "ROUND_ROBIN".into();
        let base = bootstrap(
            vec![udp("dns", cluster), udp("rest", "other")],
            vec![db, other],
        )?;
        let policies = policy("sticky", &target, spec.clone());
        let said = lint(&base, &policies)?;
        let unmet = "has no effect on listener dns, udp_proxy: only loadBalancer and dns apply";
        ensure!(said.contains(unmet), "{said}");
        let (envoy, _) = applied(&base, &policies).await?;
        ensure!(takers(&envoy, "dns", &origins).await? == 1, "{target}");
        ensure!(takers(&envoy, "rest", &origins).await? == 4, "{target}");
    }
    Ok(())
}
