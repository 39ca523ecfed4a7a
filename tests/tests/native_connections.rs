//! Connections, protocols, compression and upgrades on the real Envoy: what
//! the upstream sees, byte by byte where HTTP does not show it.

use anyhow::{Context as _, Result, ensure};
use btp_tests::client::raw;
use btp_tests::native::origin::{before_socket, connection, read};
use btp_tests::native::{backend, governed, upstreams, wait_for_stat};
use btp_tests::{Builder, Envoy, Reply, Request, Route};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_sees_the_proxy_header() -> Result<()> {
    let v2 = b"\r\n\r\n\0\r\nQUIT\n";
    for (version, begin) in [("V1", &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..]), ("V2", v2)] {
        let spec = json!({"proxyProtocol": {"version": version}});
        let (listener, envoy) = before_socket(&spec, |_| {}).await?;
        let mut stream = connection(&listener, &envoy).await?;
        let found = read(&mut stream, begin.len()).await?;
        ensure!(
            found == begin,
            "{version}: {}",
            String::from_utf8_lossy(&found)
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn old_protocol_fields_stay_in_force() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let mut bootstrap = backend(&upstreams)?;
    bootstrap.edit(|config| {
        let cluster = &mut config["static_resources"]["clusters"][0];
        cluster["http2_protocol_options"] = json!({});
        cluster["common_http_protocol_options"] = json!({"idle_timeout": "60s"});
    });
    let spec = json!({"timeout": {"http": {"maxConnectionDuration": "1h"}}});
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    ensure!(envoy.get("/").await?.status == 200);
    ensure!(upstreams[0].requests()[0].version == http::Version::HTTP_2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_opened_early() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let spec = json!({"connection": {"preconnect": {"perEndpointPercent": 300}}});
    let envoy = governed(&upstreams, &spec).await?;
    ensure!(envoy.get("/").await?.status == 200);
    let total = "cluster.backend.upstream_cx_total";
    wait_for_stat(&envoy, total, |total| total >= 3).await
}

/// Sockets of Envoy's with keepalive timers, as Linux lists them: the sixth
/// column is `02:…` for a keepalive timer that runs, and the time that is left
/// in hundredths of a second.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_kept_alive() -> Result<()> {
    const MINUTES: u32 = 100 * 60;
    for (spec, timer, left) in [
        (json!({}), "00", 0..=0),
        (
            json!({"tcpKeepalive": {"idleTime": "20m"}}),
            "02",
            19 * MINUTES..=20 * MINUTES,
        ),
    ] {
        let upstreams = upstreams(1).await?;
        let envoy = governed(&upstreams, &spec).await?;
        ensure!(envoy.get("/").await?.status == 200);
        let remote = format!("0100007F:{:04X}", upstreams[0].addr().port());
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", envoy.pid()))?;
        let found: Vec<&str> = table
            .lines()
            .filter(|line| line.split_whitespace().nth(2) == Some(&remote))
            // Another test may have had the port, and closed its connection just now.
            .filter(|line| line.split_whitespace().nth(3) == Some("01"))
            .filter_map(|line| line.split_whitespace().nth(5))
            .collect();
        let (kind, time) = found
            .first()
            .and_then(|it| it.split_once(':'))
            .context("one")?;
        let time = u32::from_str_radix(time, 16)?;
        ensure!(
            found.len() == 1 && kind == timer && left.contains(&time),
            "{spec}: {found:?}"
        );
    }
    Ok(())
}

async fn encoding(envoy: &Envoy, path: &str, accept: &str) -> Result<Option<String>> {
    let request = Request::get(path).header("accept-encoding", accept);
    let response = envoy.send(request).await?;
    ensure!(response.status == 200);
    Ok(response.header("content-encoding"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_compressor_is_preferred() -> Result<()> {
    for (order, preferred) in [
        (
            json!([{"type": "Brotli", "brotli": {}}, {"type": "Gzip", "gzip": {}}, {"type": "Zstd", "zstd": {}}]),
            "br",
        ),
        (
            json!([{"type": "Gzip", "gzip": {}}, {"type": "Brotli", "brotli": {}}, {"type": "Zstd", "zstd": {}}]),
            "gzip",
        ),
        (
            json!([{"type": "Zstd", "zstd": {}}, {"type": "Gzip", "gzip": {}}, {"type": "Brotli", "brotli": {}}]),
            "zstd",
        ),
    ] {
        let upstreams = upstreams(1).await?;
        let envoy = governed(&upstreams, &json!({ "compressor": order })).await?;
        for (accept, expected) in [
            ("gzip, br, zstd", Some(preferred)),
            ("gzip", Some("gzip")),
            ("gzip;q=0.1, br", Some("br")),
            ("zstd", Some("zstd")),
            ("identity", None),
        ] {
            let found = encoding(&envoy, "/?bytes=400", accept).await?;
            ensure!(
                found.as_deref() == expected,
                "{order} for {accept}: {found:?}"
            );
        }
        let seen = upstreams[0].requests();
        ensure!(seen.iter().all(|it| it.header("accept-encoding").is_none()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_compresses_from_its_own_length() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let mut builder = Builder::new();
    for name in ["long", "short", "none"] {
        builder = builder
            .cluster(name, upstreams[0].addr())
            .route(Route::cluster(&format!("/{name}/"), name));
    }
    let mut bootstrap = builder.build()?;
    let gzip = |least: Value| json!({"compressor": [{"type": "Gzip", "gzip": {}, "minContentLength": least}]});
    bootstrap.govern("long", &gzip("1Ki".into()))?;
    bootstrap.govern("short", &gzip(100.into()))?;
    let envoy = Envoy::start(&bootstrap).await?;
    for (path, expected) in [
        ("/long/?bytes=500", None),
        ("/long/?bytes=1100", Some("gzip")),
        ("/short/?bytes=500", Some("gzip")),
        ("/short/?bytes=50", None),
        ("/none/?bytes=1100", None),
    ] {
        let found = encoding(&envoy, path, "gzip").await?;
        ensure!(found.as_deref() == expected, "{path}: {found:?}");
    }
    let untouched = upstreams[0].requests_under("/none").remove(0);
    ensure!(untouched.header("accept-encoding").as_deref() == Some("gzip"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressor_without_its_settings_object_is_off() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let spec = json!({"compressor": [{"type": "Gzip"}, {"type": "Brotli"}]});
    let envoy = governed(&upstreams, &spec).await?;
    let found = encoding(&envoy, "/?bytes=1100", "gzip").await?;
    ensure!(found.is_none(), "{found:?}");
    let seen = upstreams[0].requests().remove(0);
    ensure!(seen.header("accept-encoding").as_deref() == Some("gzip"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_body_is_not_compressed() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let spec = json!({"compressor": [{"type": "Gzip", "gzip": {}}]});
    let envoy = governed(&upstreams, &spec).await?;
    let part = "x".repeat(5000);
    let reply = Reply::status(206).text(&part);
    let reply = reply.header("content-range", "bytes 0-4999/12013");
    upstreams[0].script("/part", [reply.header("content-type", "text/plain")]);
    let request = Request::get("/part").header("accept-encoding", "gzip");
    let response = envoy.send(request.header("range", "bytes=0-4999")).await?;
    ensure!(response.status == 206, "{}", response.status);
    ensure!(response.header("content-encoding").is_none());
    ensure!(response.text() == part, "{} bytes", response.text().len());
    ensure!(encoding(&envoy, "/?bytes=5000", "gzip").await?.is_some());
    Ok(())
}

/// The status of a request to switch to another protocol.
async fn upgrade(envoy: &Envoy, kind: &str) -> Result<u16> {
    let mut connection = raw::Connection::open(envoy.addr()).await?;
    let request =
        format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: {kind}\r\n\r\n");
    connection.send(request.as_bytes()).await?;
    Ok(connection.read_head().await?.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policys_upgrades_are_allowed_and_no_other() -> Result<()> {
    const FORBIDDEN: u16 = 403;
    let upstreams = upstreams(1).await?;
    let envoy = governed(&upstreams, &json!({})).await?;
    ensure!(upgrade(&envoy, "websocket").await? == FORBIDDEN);
    let spec = json!({"httpUpgrade": [{"type": "websocket"}]});
    let envoy = governed(&upstreams, &spec).await?;
    // The upstream declines, but it is asked.
    upstreams[0].clear();
    ensure!(upgrade(&envoy, "websocket").await? != FORBIDDEN);
    let asked = upstreams[0].requests().remove(0);
    ensure!(asked.header("upgrade").as_deref() == Some("websocket"));
    ensure!(upgrade(&envoy, "x").await? == FORBIDDEN);
    Ok(())
}
