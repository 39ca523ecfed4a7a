//! Envoy's own switch: a route has the filter off or on, whatever policies say, and the filter
//! may be there for the routes alone that have it on. Upgrades are no exception.

use std::net::SocketAddr;

use anyhow::Result;
use btp_tests::bootstrap::PLUGIN_NAME;
use btp_tests::client::raw;
use btp_tests::{Builder, Envoy, Route};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                        upgrade: websocket\r\n\r\n";
const UPGRADE: &str = "HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

fn switched(prefix: &str, switch: &Value) -> Route {
    let mut config = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig"});
    for (name, value) in switch.as_object().into_iter().flatten() {
        config[name] = value.clone();
    }
    Route::cluster(prefix, "backend").edit(|route| {
        route["typed_per_filter_config"] = json!({PLUGIN_NAME: config});
    })
}

/// Answers each connection's request with 200, and accepts an upgrade.
async fn origin() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let answer = match String::from_utf8_lossy(&seen).contains("upgrade:") {
                    true => ACCEPTED,
                    false => "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                };
                // The tunnel is open until the client leaves.
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.read_buf(&mut seen).await;
            });
        }
    });
    Ok(addr)
}

/// An Envoy whose filter, on or off, refuses every request that it sees.
async fn refusing(disabled: bool, route: Route) -> Result<Envoy> {
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": {
        "rateLimit": {"local": {"rules": [{"limit": {"requests": 0, "unit": "Hour"}}]}}}}]});
    let builder = Builder::new()
        .plugin(&plugin)
        .cluster("backend", origin().await?);
    let builder = builder.route(route).route(Route::cluster("/", "backend"));
    let mut bootstrap = builder.build()?;
    bootstrap.edit_http("main", |http| {
        http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
        http["http_filters"][0]["disabled"] = disabled.into();
    })?;
    Envoy::start(&bootstrap).await
}

/// The status of a request, and of an upgrade.
async fn statuses(envoy: &Envoy, path: &str) -> Result<[u16; 2]> {
    let plain = envoy.get(path).await?.status;
    let mut connection = raw::Connection::open(envoy.addr()).await?;
    connection.send(format!("GET {path} {UPGRADE}")).await?;
    Ok([plain, connection.read_head().await?.status])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_switches_the_filter_off() -> Result<()> {
    let route = switched("/free/", &json!({"disabled": true}));
    let envoy = refusing(false, route).await?;
    assert_eq!(statuses(&envoy, "/free/").await?, [200, 101]);
    assert_eq!(statuses(&envoy, "/").await?, [429, 429]);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_switches_a_disabled_filter_on() -> Result<()> {
    let route = switched("/governed/", &json!({"config": {}}));
    let envoy = refusing(true, route).await?;
    assert_eq!(statuses(&envoy, "/governed/").await?, [429, 429]);
    assert_eq!(statuses(&envoy, "/").await?, [200, 101]);
    envoy.assert_vm_alive().await
}
