//! Resets, sticky samples, bounds and health checks on the real Envoy, where
//! a table row is too small: broken connections, several workers, restarts.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::{grpc, h1, h2, raw};
use btp_tests::{Body, Builder, Envoy, Request, Route, Upstream, wait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(fault: &Value, edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    let plugin = json!({"policies": [
        {"metadata": {"name": "p"}, "spec": {"faultInjection": fault}}]});
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&edit(builder).build()?).await?;
    Ok((envoy, upstream))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_closes_the_connection_of_an_http1_client() -> Result<()> {
    for fault in [
        json!({"abort": {"reset": true}}),
        json!({"delay": {"fixedDelay": "50ms"}, "abort": {"reset": true}}),
    ] {
        let (envoy, upstream) = start(&fault, |b| b).await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send("POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody")
            .await?;
        let answer = client.read_until_closed(PATIENCE).await?;
        ensure!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
        ensure!(upstream.requests().is_empty());
        ensure!(envoy.policy_stat("fault_aborts_injected").await? == 1);
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_the_stream_of_an_http2_client_and_no_other() -> Result<()> {
    let fault = json!({"match": [{"path": {"value": "/broken"}}], "abort": {"reset": true}});
    let (envoy, upstream) = start(&fault, |b| b).await?;
    let connection = h2::Connection::open(envoy.addr()).await?;
    let error = connection.send(Request::get("/broken")).await.unwrap_err();
    ensure!(
        format!("{error:#}").contains("stream error received"),
        "{error:#}"
    );
    let other = connection.send(Request::get("/fine")).await?;
    ensure!(other.status == 200);
    let error = grpc::call(envoy.addr(), "/broken/Call", b"m")
        .await
        .unwrap_err();
    ensure!(
        format!("{error:#}").contains("stream error received"),
        "{error:#}"
    );
    ensure!(upstream.requests().len() == 1);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_asked_for_is_not_passed_on() -> Result<()> {
    let fault = json!({"headerControl": {"abort": {"percentage": 0}},
                       "match": [{"path": {"value": "/other"}}]});
    let (envoy, upstream) = start(&fault, |b| b).await?;
    let mut request = Request::post("/x", "body").header("x-kept", "1");
    for (name, value) in [
        ("x-envoy-fault-delay-request", "100"),
        ("x-envoy-fault-delay-request-percentage", "100"),
        ("x-envoy-fault-abort-request", "503"),
        ("X-Envoy-Fault-Abort-Request", "504"),
        ("x-envoy-fault-abort-grpc-request", "14"),
        ("x-envoy-fault-abort-request-percentage", "\u{ff}"),
    ] {
        request = request.header(name, value);
    }
    let response = envoy.send(request).await?;
    ensure!(response.status == 200, "{response:?}");
    let seen = upstream.requests();
    ensure!(seen.len() == 1 && seen[0].text() == "body");
    ensure!(seen[0].header("x-kept").is_some());
    let left: Vec<_> = seen[0].headers.iter().map(|(name, _)| name).collect();
    ensure!(
        !left.iter().any(|name| name.starts_with("x-envoy-fault")),
        "{left:?}"
    );
    envoy.assert_vm_alive().await
}

/// The verdicts of these users, each on a connection of its own.
async fn verdicts(envoy: &Envoy) -> Result<Vec<u16>> {
    let mut verdicts = Vec::new();
    for user in 0..40 {
        let request = Request::get("/").header("x-user", format!("user-{user}"));
        verdicts.push(envoy.send(request).await?.status);
    }
    Ok(verdicts)
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_stay_on_every_worker_and_after_a_restart() -> Result<()> {
    let fault = json!({"abort": {"httpStatus": 503, "percentage": 50},
                       "sampling": {"key": "Header", "name": "x-user", "seed": 7}});
    let (envoy, _upstream) = start(&fault, |b| b.concurrency(4)).await?;
    let first = verdicts(&envoy).await?;
    ensure!(first.contains(&503) && first.contains(&200), "{first:?}");
    for _ in 0..3 {
        ensure!(verdicts(&envoy).await? == first);
    }
    ensure!(envoy.policy_stat("fault_sampling_key_missing").await? == 0);
    envoy.get("/").await?;
    ensure!(envoy.policy_stat("fault_sampling_key_missing").await? == 1);
    drop(envoy);
    let (envoy, _upstream) = start(&fault, |b| b).await?;
    ensure!(verdicts(&envoy).await? == first);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_client_address_always_fares_the_same() -> Result<()> {
    let fault = json!({"abort": {"httpStatus": 503, "percentage": 50},
                       "sampling": {"key": "SourceIP"}});
    let (envoy, _upstream) = start(&fault, |b| b.concurrency(2)).await?;
    let first = envoy.get("/").await?.status;
    for _ in 0..20 {
        ensure!(envoy.get("/").await?.status == first);
    }
    Ok(())
}

/// Four workers, room for five: whoever comes on top goes on untouched, and
/// whoever leaves makes room.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_wait_at_once_than_may_all_workers_together() -> Result<()> {
    const MOST: usize = 5;
    let fault = json!({"delay": {"fixedDelay": "3s"}, "abort": {"httpStatus": 503},
                       "maxActive": MOST});
    let (envoy, upstream) = start(&fault, |b| b.concurrency(4)).await?;
    let addr = envoy.addr();
    let mut clients = JoinSet::new();
    for _ in 0..40 {
        clients.spawn(h1::get(addr, "/x"));
    }
    let active = async |wanted: u64| {
        wait::until_async("the gauge", PATIENCE, async || {
            let active = envoy.policy_stat("fault_active").await?;
            Ok((active == wanted).then_some(()))
        })
        .await
    };
    let (mut untouched, mut aborted) = (0, 0);
    while let Some(response) = clients.join_next().await {
        let response = response??;
        match response.status {
            200 => untouched += 1,
            503 => aborted += 1,
            other => anyhow::bail!("status {other}"),
        }
        ensure!((response.status == 503) == (response.elapsed >= 3_000 * MS));
    }
    ensure!(
        (aborted, untouched) == (MOST, 40 - MOST),
        "{aborted} aborted"
    );
    ensure!(upstream.requests().len() == untouched);
    ensure!(envoy.policy_stat("fault_overflow").await? == untouched as u64);
    active(0).await?;

    // A client that goes makes room at once.
    let mut gone = Vec::new();
    for _ in 0..MOST {
        let mut client = raw::Connection::open(addr).await?;
        client.send("GET /y HTTP/1.1\r\nhost: h\r\n\r\n").await?;
        gone.push(client);
    }
    active(MOST as u64).await?;
    drop(gone);
    active(0).await?;
    let response = envoy.get("/z").await?;
    ensure!(response.status == 503 && response.elapsed >= 3_000 * MS);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn any_upload_may_be_aborted_with_a_reply_of_our_own() -> Result<()> {
    let fault = json!({"abort": {"httpStatus": 429, "body": "later",
        "headers": [{"name": "retry-after", "value": "1"}]}});
    let (envoy, upstream) = start(&fault, |b| b).await?;
    let big = Request::new("POST", "/x").body(Body::sized(vec![b'x'; 300_000]));
    let response = h2::send(envoy.addr(), big).await?;
    ensure!(response.status == 429 && response.text() == "later");
    ensure!(response.header("retry-after").as_deref() == Some("1"));
    ensure!(upstream.requests().is_empty());
    envoy.assert_vm_alive().await
}

/// The log line that a person gets who wrote it wrong.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_keep_envoy_from_starting_and_say_why() -> Result<()> {
    for (fault, reason) in [
        (
            json!({"abort": {"reset": true, "body": "x"}}),
            "policies[0].spec.faultInjection.abort.body: must be left out: a reset sends no reply",
        ),
        (
            json!({"abort": {"httpStatus": 503}, "sampling": {"key": "Cookie"}}),
            "policies[0].spec.faultInjection.sampling.key: must be one of None, RequestID, \
             Header, SourceIP (got \\\"Cookie\\\")",
        ),
        (
            json!({"abort": {"httpStatus": 503}, "schedule":
                {"start": "2026-11-21T15:00:00Z", "end": "2026-11-21T15:00:00+01:00"}}),
            "policies[0].spec.faultInjection.schedule.end: must be later than start",
        ),
    ] {
        let plugin = json!({"policies": [
            {"metadata": {"name": "p"}, "spec": {"faultInjection": fault}}]});
        let bootstrap = Builder::new().plugin(&plugin).build()?;
        let log = Envoy::fails_to_start(&bootstrap).await?;
        let reason = reason.replace("\\\"", "\"");
        ensure!(log.contains(&reason), "{reason}\n{log}");
    }
    Ok(())
}
