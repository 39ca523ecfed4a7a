//! What a Gateway's policy does for connections and datagrams that are handed on
//! as they are, on the real Envoy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use btp_tests::apply::apply;
use btp_tests::native::{SOON, cluster_of, nobody, upstreams, wait_for_stat};
use btp_tests::{Bootstrap, Builder, Envoy, Route, Upstream, client::h1};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

const TCP: &str = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const UDP: &str = "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig";
const UDP_ROUTE: &str = "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.Route";

fn any_port(protocol: &str) -> Value {
    json!({"socket_address": {"protocol": protocol, "address": "127.0.0.1", "port_value": 0}})
}

/// A listener that hands its connections on as this `tcp_proxy` says.
fn tcp(name: &str, to: Value) -> Value {
    let mut config = json!({"@type": TCP, "stat_prefix": "tcp"});
    for (field, value) in to.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
    let filter = json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": config});
    json!({"name": name, "address": any_port("TCP"), "filter_chains": [{"filters": [filter]}]})
}

/// A listener that hands its datagrams on to cluster `db`.
fn udp(name: &str) -> Value {
    let route = json!({"name": "route", "typed_config": {"@type": UDP_ROUTE, "cluster": "db"}});
    let config = json!({"@type": UDP, "stat_prefix": "udp",
        "matcher": {"on_no_match": {"action": route}}});
    let filter = json!({"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": config});
    json!({"name": name, "address": any_port("UDP"), "listener_filters": [filter]})
}

/// A listener of HTTP beside these others.
fn bootstrap(listeners: Vec<Value>, clusters: Vec<Value>) -> Result<Bootstrap> {
    let mut builder = Builder::new().route(Route::direct("/", 200, "here"));
    for listener in listeners {
        builder = builder.listener(listener);
    }
    for cluster in clusters {
        builder = builder.raw_cluster(cluster);
    }
    let mut bootstrap = builder.build()?;
    bootstrap
        .edit(|config| config["static_resources"]["listeners"][0]["name"] = "edge/http".into());
    Ok(bootstrap)
}

/// A policy of the Gateway `edge`, or of one of its listeners.
fn policy(section: Option<&str>, spec: Value) -> String {
    let mut target = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway",
        "name": "edge"});
    if let Some(section) = section {
        target["sectionName"] = section.into();
    }
    let mut spec = spec;
    spec["targetRefs"] = json!([target]);
    let name = section.unwrap_or("edge");
    let document = json!({"kind": "BackendTrafficPolicy", "metadata": {"name": name},
        "spec": spec});
    format!("---\n{document}\n")
}

async fn applied(bootstrap: &Bootstrap, policies: &str) -> Result<(Envoy, String)> {
    let (bootstrap, report) = apply(bootstrap, policies)?;
    Ok((Envoy::start(&bootstrap).await?, report))
}

async fn get(envoy: &Envoy, listener: &str) -> Result<u16> {
    Ok(h1::get(envoy.listener_addr(listener)?, "/").await?.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_have_what_the_gateways_policy_says_of_clusters() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let db = cluster_of("db", &[upstreams[0].addr()]);
    let weighted = json!({"clusters": [{"name": "db", "weight": 1}]});
    for (section, to) in [
        (None, json!({"cluster": "db"})),
        (Some("tcp"), json!({"cluster": "db"})),
        (None, json!({"weighted_clusters": weighted})),
    ] {
        let base = bootstrap(vec![tcp("edge/tcp", to)], vec![db.clone()])?;
        let spec = json!({"tcpKeepalive": {"probes": 3, "idleTime": "20m"},
            "circuitBreaker": {"maxConnections": 1}, "retry": {"numRetries": 3},
            "timeout": {"tcp": {"connectTimeout": "7s"}, "http": {"requestTimeout": "1s"}}});
        let (envoy, report) = applied(&base, &policy(section, spec)).await?;
        let unmet = "note: not in force on listener edge/tcp, tcp_proxy: retry, timeout.http: \
                     for HTTP only";
        ensure!(report.contains(unmet), "{report}");
        ensure!(get(&envoy, "edge/tcp").await? == 200);
        let cluster = envoy.cluster("db").await?;
        ensure!(cluster["connect_timeout"] == "7s", "{cluster:#}");
        let keepalive = &cluster["upstream_connection_options"]["tcp_keepalive"];
        ensure!(keepalive["keepalive_probes"] == 3, "{cluster:#}");
        // What is about HTTP is not there.
        let threshold = &cluster["circuit_breakers"]["thresholds"][0];
        ensure!(threshold["max_connections"] == 1, "{cluster:#}");
        ensure!(cluster["typed_extension_protocol_options"].is_null());
        assert_one_at_a_time(&envoy, true).await?;
    }
    Ok(())
}

/// Whether the listener has no second connection beside one that is open.
async fn assert_one_at_a_time(envoy: &Envoy, expected: bool) -> Result<()> {
    let address = envoy.listener_addr("edge/tcp")?;
    let active = "cluster.db.upstream_cx_active";
    wait_for_stat(envoy, active, |active| active == 0).await?;
    let _first = TcpStream::connect(address).await?;
    wait_for_stat(envoy, active, |active| active == 1).await?;
    let mut second = TcpStream::connect(address).await?;
    let closed = tokio::time::timeout(Duration::from_secs(1), second.read(&mut [0])).await;
    ensure!(matches!(closed, Ok(Ok(0))) == expected, "{closed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shares_the_cluster_is_left_alone() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let db = cluster_of("db", &[upstreams[0].addr()]);
    let to_db = json!({"cluster": "db"});
    let listeners = vec![tcp("edge/tcp", to_db.clone()), tcp("other/tcp", to_db)];
    let base = bootstrap(listeners, vec![db])?;
    let spec = json!({"circuitBreaker": {"maxConnections": 1}});
    let (envoy, report) = applied(&base, &policy(None, spec)).await?;
    ensure!(report.contains("cluster db-default-edge"), "{report}");
    let copy = envoy.cluster("db-default-edge").await?;
    ensure!(copy["circuit_breakers"]["thresholds"][0]["max_connections"] == 1);
    ensure!(envoy.cluster("db").await?["circuit_breakers"].is_null());
    ensure!(get(&envoy, "edge/tcp").await? == 200 && get(&envoy, "other/tcp").await? == 200);
    let served = "cluster.db-default-edge.upstream_cx_total";
    ensure!(envoy.stat(served).await? == Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listeners_policy_is_completed_by_the_gateways() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let db = cluster_of("db", &[upstreams[0].addr()]);
    let base = bootstrap(vec![tcp("edge/tcp", json!({"cluster": "db"}))], vec![db])?;
    let gateway = json!({"circuitBreaker": {"maxConnections": 1},
        "timeout": {"tcp": {"connectTimeout": "2s"}}});
    let listener = json!({"timeout": {"tcp": {"connectTimeout": "7s"}}});
    let policies = policy(None, gateway) + &policy(Some("tcp"), listener);
    let (envoy, report) = applied(&base, &policies).await?;
    ensure!(
        report.contains("default/tcp, merged with default/edge"),
        "{report}"
    );
    ensure!(envoy.cluster("db").await?["connect_timeout"] == "7s");
    assert_one_at_a_time(&envoy, true).await
}

/// How many of these connections, each from an address of its own, the origins
/// get.
async fn connections(envoy: &Envoy, from: &[u8]) -> Result<()> {
    for last in from {
        let socket = TcpSocket::new_v4()?;
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 1, *last));
        socket.bind(SocketAddr::new(address, 0))?;
        let stream = socket.connect(envoy.listener_addr("edge/tcp")?).await?;
        ask(stream).await?;
    }
    Ok(())
}

/// Asks by HTTP, whoever hears it.
async fn ask(mut stream: TcpStream) -> Result<()> {
    use tokio::io::AsyncWriteExt as _;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await??;
    ensure!(answer.starts_with(b"HTTP/1.1 200"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_an_address_stay_with_an_endpoint() -> Result<()> {
    let upstreams = upstreams(4).await?;
    let addresses: Vec<SocketAddr> = upstreams.iter().map(Upstream::addr).collect();
    let db = cluster_of("db", &addresses);
    let base = bootstrap(vec![tcp("edge/tcp", json!({"cluster": "db"}))], vec![db])?;
    let spec = json!({"loadBalancer": {"type": "ConsistentHash",
        "consistentHash": {"type": "SourceIP"}}});
    let (envoy, _) = applied(&base, &policy(None, spec)).await?;
    let mut takers = Vec::new();
    for address in 1..=16 {
        upstreams.iter().for_each(Upstream::clear);
        connections(&envoy, &[address; 4]).await?;
        let counts: Vec<usize> = upstreams.iter().map(|it| it.requests().len()).collect();
        let taker = counts.iter().position(|count| *count == 4);
        takers.push(taker.with_context(|| format!("{counts:?} from one address"))?);
    }
    takers.sort_unstable();
    takers.dedup();
    ensure!(takers.len() > 1, "everybody went to {takers:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_sees_the_address_of_a_connection() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let db = cluster_of("db", &[listener.local_addr()?]);
    let base = bootstrap(vec![tcp("edge/tcp", json!({"cluster": "db"}))], vec![db])?;
    let spec = json!({"proxyProtocol": {"version": "V1"}});
    let (envoy, _) = applied(&base, &policy(Some("tcp"), spec)).await?;
    let client = TcpStream::connect(envoy.listener_addr("edge/tcp")?).await?;
    let (mut stream, _) = tokio::time::timeout(SOON, listener.accept()).await??;
    let expected = format!(
        "PROXY TCP4 127.0.0.1 127.0.0.1 {} ",
        client.local_addr()?.port()
    );
    let mut start = vec![0; expected.len()];
    stream.read_exact(&mut start).await?;
    ensure!(
        start == expected.as_bytes(),
        "{}",
        String::from_utf8_lossy(&start)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_of_connections_are_checked() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let db = cluster_of("db", &[nobody()?, upstreams[0].addr()]);
    let base = bootstrap(vec![tcp("edge/tcp", json!({"cluster": "db"}))], vec![db])?;
    let spec = json!({"healthCheck": {"panicThreshold": 0, "active": {"type": "TCP", "tcp": {},
        "interval": "100ms", "unhealthyThreshold": 1}}});
    let (envoy, _) = applied(&base, &policy(None, spec)).await?;
    let healthy = "cluster.db.membership_healthy";
    wait_for_stat(&envoy, healthy, |healthy| healthy == 1).await?;
    for _ in 0..6 {
        ensure!(get(&envoy, "edge/tcp").await? == 200);
    }
    Ok(())
}

/// The next datagram of any of these sockets: which, and from where.
async fn heard(sockets: &[UdpSocket]) -> Result<(usize, SocketAddr)> {
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        for (index, socket) in sockets.iter().enumerate() {
            if let Ok((_, from)) = socket.try_recv_from(&mut [0; 16]) {
                return Ok((index, from));
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("no datagram came")
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_of_an_address_stay_with_an_endpoint() -> Result<()> {
    let hash = json!({"loadBalancer": {"type": "ConsistentHash",
        "consistentHash": {"type": "SourceIP"}}, "tcpKeepalive": {"probes": 3}});
    let turns = json!({"loadBalancer": {"type": "RoundRobin"}, "tcpKeepalive": {"probes": 3}});
    for (spec, expected) in [(hash, 1), (turns, 4)] {
        let mut origins = Vec::new();
        for _ in 0..4 {
            origins.push(UdpSocket::bind("127.0.0.1:0").await?);
        }
        let addresses: Result<Vec<SocketAddr>, _> =
            origins.iter().map(UdpSocket::local_addr).collect();
        let mut db = cluster_of("db", &addresses?);
        btp_tests::bootstrap::visit(&mut db, &mut |it| {
            if it.get("port_value").is_some() {
                it["protocol"] = "UDP".into();
            }
        });
        let base = bootstrap(vec![udp("edge/udp")], vec![db])?;
        let (envoy, report) = applied(&base, &policy(None, spec.clone())).await?;
        let unmet = "note: not in force on listener edge/udp, udp_proxy: tcpKeepalive";
        ensure!(report.contains(unmet), "{report}");
        ensure!(envoy.cluster("db").await?["upstream_connection_options"].is_null());
        let mut takers = Vec::new();
        // Each has a port of its own, and so a session of its own.
        for _ in 0..8 {
            let client = UdpSocket::bind("127.0.0.1:0").await?;
            client
                .send_to(b"ping", envoy.listener_addr("edge/udp")?)
                .await?;
            takers.push(heard(&origins).await?.0);
        }
        takers.sort_unstable();
        takers.dedup();
        ensure!(takers.len() == expected, "{spec}: {takers:?}");
    }
    Ok(())
}
