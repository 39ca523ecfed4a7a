//! Connections, protocols, compression and upgrades on the real Envoy: what
//! the upstream sees, byte by byte where HTTP does not show it.

use anyhow::{Context as _, Result, ensure};
use btp_tests::client::{h2, raw};
use btp_tests::native::{SOON, backend, governed, upstreams, wait_for_stat};
use btp_tests::{Builder, Envoy, Reply, Request, Route};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A listener of the test's own, and an Envoy that sends everything to it.
async fn before_raw(spec: &Value, edit: impl FnOnce(&mut Value)) -> Result<(TcpListener, Envoy)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut bootstrap = Builder::new()
        .cluster("backend", listener.local_addr()?)
        .route(Route::cluster("/", "backend"))
        .build()?;
    bootstrap.edit(|config| edit(&mut config["static_resources"]["clusters"][0]));
    bootstrap.govern("backend", spec)?;
    Ok((listener, Envoy::start(&bootstrap).await?))
}

/// The first connection that comes, and the request that makes it come.
async fn connection(listener: &TcpListener, envoy: &Envoy) -> Result<TcpStream> {
    let address = envoy.addr();
    tokio::spawn(async move { btp_tests::client::h1::get(address, "/").await });
    let accepted = tokio::time::timeout(SOON, listener.accept()).await;
    Ok(accepted.context("nobody connected")??.0)
}

async fn read(stream: &mut TcpStream, bytes: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    tokio::time::timeout(SOON, stream.read_exact(&mut buffer)).await??;
    Ok(buffer)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_sees_the_proxy_header() -> Result<()> {
    let v2 = b"\r\n\r\n\0\r\nQUIT\n";
    for (version, begin) in [("V1", &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..]), ("V2", v2)] {
        let spec = json!({"proxyProtocol": {"version": version}});
        let (listener, envoy) = before_raw(&spec, |_| {}).await?;
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

/// One HTTP/2 frame: its type, flags and payload.
async fn frame(stream: &mut TcpStream) -> Result<(u8, Vec<u8>)> {
    let head = read(stream, 9).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    Ok((head[3], read(stream, usize::try_from(length)?).await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_sees_the_settings_of_http2() -> Result<()> {
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;
    let spec = json!({"http2": {"initialStreamWindowSize": "128Ki",
        "initialConnectionWindowSize": "2Mi", "maxConcurrentStreams": 7,
        "connectionKeepalive": {"interval": "500ms", "timeout": "400ms"}}});
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let (listener, envoy) = before_raw(&spec, |cluster| {
        cluster["typed_extension_protocol_options"] = json!({options: {
            "@type": format!("type.googleapis.com/{options}"),
            "explicit_http_config": {"http2_protocol_options": {}},
        }});
    })
    .await?;
    let mut stream = connection(&listener, &envoy).await?;
    ensure!(read(&mut stream, 24).await?.starts_with(b"PRI * HTTP/2.0"));
    let (kind, payload) = frame(&mut stream).await?;
    ensure!(kind == SETTINGS);
    let settings: Vec<(u8, u32)> = payload
        .chunks(6)
        .map(|it| (it[1], u32::from_be_bytes([it[2], it[3], it[4], it[5]])))
        .collect();
    let (streams, window) = (3, 4);
    ensure!(settings.contains(&(streams, 7)), "{settings:?}");
    ensure!(settings.contains(&(window, 128 * 1024)), "{settings:?}");
    // Our own settings, and the acknowledgement of Envoy's.
    stream
        .write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
        .await?;
    stream
        .write_all(&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0])
        .await?;
    let mut grown = None;
    loop {
        match frame(&mut stream).await? {
            (WINDOW_UPDATE, payload) => {
                let bytes = [payload[0], payload[1], payload[2], payload[3]];
                grown = Some(u32::from_be_bytes(bytes));
            }
            (PING, _) => break,
            _ => {}
        }
    }
    // The connection's window begins with 65,535 bytes.
    ensure!(grown == Some(2 * 1024 * 1024 - 65_535), "{grown:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_spoken_to_as_the_client_speaks() -> Result<()> {
    for (wanted, expected) in [
        (true, http::Version::HTTP_2),
        (false, http::Version::HTTP_11),
    ] {
        let upstreams = upstreams(1).await?;
        let envoy = governed(&upstreams, &json!({"useClientProtocol": wanted})).await?;
        ensure!(h2::send(envoy.addr(), Request::get("/")).await?.status == 200);
        ensure!(envoy.get("/").await?.status == 200);
        let versions: Vec<_> = upstreams[0]
            .requests()
            .iter()
            .map(|it| it.version)
            .collect();
        ensure!(
            versions == [expected, http::Version::HTTP_11],
            "{versions:?}"
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

#[tokio::test(flavor = "multi_thread")]
async fn names_are_resolved_as_often_as_told() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let mut bootstrap = backend(&upstreams)?;
    bootstrap.edit(|config| {
        let cluster = &mut config["static_resources"]["clusters"][0];
        cluster["type"] = "STRICT_DNS".into();
        let endpoint = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0];
        endpoint["endpoint"]["address"]["socket_address"]["address"] = "localhost".into();
    });
    let spec = json!({"dns": {"dnsRefreshRate": "200ms", "respectDnsTtl": false,
        "lookupFamily": "IPv4"}});
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    ensure!(envoy.get("/").await?.status == 200);
    let attempts = "cluster.backend.update_attempt";
    wait_for_stat(&envoy, attempts, |attempts| attempts >= 3).await
}

/// Sockets of Envoy's with keepalive timers, as Linux lists them: the sixth
/// column is `02:…` for a keepalive timer that runs.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_kept_alive() -> Result<()> {
    for (spec, timer) in [
        (json!({}), "00"),
        (json!({"tcpKeepalive": {"idleTime": "20m"}}), "02"),
    ] {
        let upstreams = upstreams(1).await?;
        let envoy = governed(&upstreams, &spec).await?;
        ensure!(envoy.get("/").await?.status == 200);
        let remote = format!("0100007F:{:04X}", upstreams[0].addr().port());
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", envoy.pid()))?;
        let found: Vec<&str> = table
            .lines()
            .filter(|line| line.split_whitespace().nth(2) == Some(&remote))
            .filter_map(|line| line.split_whitespace().nth(5))
            .collect();
        ensure!(
            found.len() == 1 && found[0].starts_with(timer),
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
