//! Faults behind the router: the filter as an upstream HTTP filter, where
//! retries and per-try timeouts meet what it injects.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::{cluster, wasm_filter};
use btp_tests::client::{grpc, h1, h2};
use btp_tests::{Body, Bootstrap, Builder, Envoy, Request, Response, Route, Upstream, wait};
use serde_json::{Value, json};

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);
const HTTP_OPTIONS: &str =
    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const CODEC: &str =
    "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";

/// Where the upstream instance stands.
#[derive(Clone, Copy, PartialEq)]
enum Chain {
    Cluster,
    Router,
}

fn plugin(position: &str, spec: &Value) -> Value {
    json!({"position": position, "policies": [{"metadata": {"name": "p"}, "spec": spec}]})
}

/// A cluster in this protocol, with these filters in front of its codec.
fn filtered_cluster(addr: SocketAddr, protocol: &str, filters: &[Value]) -> Value {
    let mut cluster = cluster("backend", addr);
    let mut options = json!({
        "@type": HTTP_OPTIONS,
        "explicit_http_config": {protocol: {}},
    });
    if !filters.is_empty() {
        options["http_filters"] = with_codec(filters);
    }
    cluster["typed_extension_protocol_options"] =
        json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options});
    cluster
}

fn with_codec(filters: &[Value]) -> Value {
    let mut chain = filters.to_vec();
    chain.push(json!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": CODEC},
    }));
    chain.into()
}

/// Envoy with both instances under the same policy, and this retry policy.
async fn start(
    spec: &Value,
    retry: Option<Value>,
    (chain, protocol): (Chain, &str),
) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let filter = wasm_filter(&plugin("Upstream", spec), false)?;
    let in_cluster: &[Value] = match chain {
        Chain::Cluster => std::slice::from_ref(&filter),
        Chain::Router => &[],
    };
    let route = Route::cluster("/", "backend").edit(|route| {
        if let Some(retry) = retry {
            route["route"]["retry_policy"] = retry;
        }
    });
    let mut bootstrap = Builder::new()
        .plugin(&plugin("Downstream", spec))
        .route(route)
        .raw_cluster(filtered_cluster(upstream.addr(), protocol, in_cluster))
        .build()?;
    if chain == Chain::Router {
        bootstrap.edit_http("main", |http| {
            let filters = http["http_filters"].as_array_mut();
            if let Some(router) = filters.and_then(|filters| filters.last_mut()) {
                router["typed_config"]["upstream_http_filters"] = with_codec(&[filter]);
            }
        })?;
    }
    Ok((Envoy::start(&bootstrap).await?, upstream))
}

fn retries() -> Option<Value> {
    Some(json!({"retry_on": "5xx", "num_retries": 2,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}}))
}

async fn send(envoy: &Envoy, http2: bool, request: Request) -> Result<Response> {
    if http2 {
        h2::send(envoy.addr(), request).await
    } else {
        h1::send(envoy.addr(), request).await
    }
}

fn first_attempt_fails() -> Value {
    json!({"faultInjection": {"position": "Upstream", "attempts": [1],
                              "abort": {"httpStatus": 503}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_attempt_fails_and_the_retry_heals() -> Result<()> {
    const H1: &str = "http_protocol_options";
    const H2: &str = "http2_protocol_options";
    for (chain, protocol) in [
        (Chain::Cluster, H1),
        (Chain::Cluster, H2),
        (Chain::Router, H1),
    ] {
        let (envoy, upstream) = start(&first_attempt_fails(), retries(), (chain, protocol)).await?;
        for http2 in [false, true] {
            upstream.clear();
            let body = vec![b'b'; 20_000];
            let request = Request::new("POST", "/x").body(Body::sized(body.clone()));
            let response = send(&envoy, http2, request).await?;
            ensure!(response.status == 200, "{response:?}");
            ensure!(response.text() == "upstream says 200\n");
            // The origin did get the attempt that failed.
            let seen = upstream.requests();
            ensure!(seen.len() == 2, "{} attempts", seen.len());
            ensure!(seen.iter().all(|request| request.body == body));
        }
        ensure!(envoy.policy_stat("fault_aborts_injected").await? == 2);
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_retry_the_client_sees_the_status_and_the_origins_body() -> Result<()> {
    let place = (Chain::Cluster, "http_protocol_options");
    let (envoy, upstream) = start(&first_attempt_fails(), None, place).await?;
    let mut connection = h1::Connection::open(envoy.addr()).await?;
    for path in ["/x", "/x?chunked&bytes=40000", "/x?empty"] {
        let response = connection.send(Request::get(path)).await?;
        ensure!(response.status == 503, "{path}: {response:?}");
        ensure!(response.broken.is_none());
        ensure!(response.header("x-upstream").as_deref() == Some("yes"));
    }
    ensure!(upstream.requests().len() == 3);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn when_every_attempt_fails_the_retries_run_out() -> Result<()> {
    let fault = json!({"faultInjection": {"position": "Upstream", "abort": {"httpStatus": 503}}});
    let place = (Chain::Cluster, "http_protocol_options");
    let (envoy, upstream) = start(&fault, retries(), place).await?;
    let response = envoy.get("/x").await?;
    ensure!(response.status == 503 && upstream.requests().len() == 3);
    ensure!(envoy.policy_stat("fault_aborts_injected").await? == 3);
    Ok(())
}

/// The attempt is held, its timeout fires, and the next one goes through. The
/// delay is far longer than anybody waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_delay_behind_the_router_meets_the_per_try_timeout() -> Result<()> {
    let fault = json!({"faultInjection": {"position": "Upstream", "attempts": [1],
                                          "delay": {"fixedDelay": "1h"}}});
    let retry = json!({"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "0.3s"});
    let place = (Chain::Cluster, "http_protocol_options");
    let (envoy, upstream) = start(&fault, Some(retry), place).await?;
    for http2 in [false, true] {
        upstream.clear();
        let request = Request::post("/x", vec![b'b'; 100_000]);
        let response = send(&envoy, http2, request).await?;
        ensure!(response.status == 200, "{response:?}");
        ensure!(response.elapsed >= 300 * MS, "{:?}", response.elapsed);
        // What was held never left.
        let seen = upstream.requests();
        ensure!(seen.len() == 1 && seen[0].body.len() == 100_000);
    }
    ensure!(envoy.policy_stat("fault_delays_injected").await? == 2);
    wait::until_async("nobody to wait", PATIENCE, async || {
        Ok((envoy.policy_stat("fault_active").await? == 0).then_some(()))
    })
    .await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_behind_the_router_ends_and_the_attempt_goes_on() -> Result<()> {
    let fault = json!({"faultInjection": {"position": "Upstream",
        "delay": {"fixedDelay": "100ms"}, "match": [{"path": {"value": "/slow"}}]}});
    let place = (Chain::Cluster, "http_protocol_options");
    let (envoy, upstream) = start(&fault, retries(), place).await?;
    let request = Request::post("/slow", vec![b'b'; 1_000_000]);
    let response = envoy.send(request).await?;
    ensure!(response.status == 200 && response.elapsed >= 100 * MS);
    ensure!(upstream.requests()[0].body.len() == 1_000_000);
    ensure!(envoy.get("/quick").await?.status == 200);
    ensure!(envoy.policy_stat("fault_delays_injected").await? == 1);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_calls_are_retried_over_a_failed_attempt() -> Result<()> {
    let place = (Chain::Cluster, "http2_protocol_options");
    let (envoy, upstream) = start(&first_attempt_fails(), retries(), place).await?;
    let reply = grpc::call(envoy.addr(), "/svc/grpc-stream", b"message").await?;
    ensure!(reply.grpc_status == Some(0), "{reply:?}");
    ensure!(upstream.requests().len() == 2);
    // Without retries the client sees an HTTP status, which gRPC maps itself.
    let (envoy, _upstream) = start(&first_attempt_fails(), None, place).await?;
    let request = grpc::request("/svc/grpc-stream", b"message");
    let response = h2::send(envoy.addr(), request).await?;
    ensure!(response.status == 503, "{response:?}");
    envoy.assert_vm_alive().await
}

/// One policy, two instances: each does its part and no other.
#[tokio::test(flavor = "multi_thread")]
async fn the_downstream_instance_overrides_what_the_upstream_one_injects() -> Result<()> {
    let mut spec = first_attempt_fails();
    spec["responseOverride"] = json!([{"match": {"statusCodes": [{"value": 503}]},
        "response": {"statusCode": 500, "body": {"inline": "sorry"}}}]);
    let place = (Chain::Cluster, "http_protocol_options");
    let (envoy, upstream) = start(&spec, None, place).await?;
    let response = envoy.get("/x").await?;
    ensure!(
        response.status == 500 && response.text() == "sorry",
        "{response:?}"
    );
    ensure!(upstream.requests().len() == 1);
    ensure!(envoy.policy_stat("responses_overridden").await? == 1);
    ensure!(envoy.policy_stat("fault_aborts_injected").await? == 1);
    ensure!(envoy.log().contains("faultInjection.position: is Upstream"));
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_behind_the_router_is_refused() -> Result<()> {
    let reset = json!({"faultInjection": {"position": "Upstream", "abort": {"reset": true}}});
    let bootstrap: Bootstrap = Builder::new()
        .plugin(&plugin("Downstream", &reset))
        .build()?;
    let log = Envoy::fails_to_start(&bootstrap).await?;
    let reason = "faultInjection.abort.reset: must be left out with position Upstream";
    ensure!(log.contains(reason), "{log}");
    let mut config = plugin("Upstream", &json!({}));
    config["enforce"] = json!(["responseOverride"]);
    let bootstrap = Builder::new().plugin(&config).build()?;
    let log = Envoy::fails_to_start(&bootstrap).await?;
    ensure!(
        log.contains("enforce[0]: cannot be enforced with position Upstream"),
        "{log}"
    );
    Ok(())
}
