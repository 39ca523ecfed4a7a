//! A retry budget while workers' VMs die, on the real Envoy.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::client::{h1, raw};
use btp_tests::crashing_filter::{self, CrashingFilter};
use btp_tests::{Builder, Envoy, Reply, Request, Route, Upstream, wait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 8;
/// Requests of each connection that an upstream answers in the end.
const REQUESTS: usize = 600;
const WORKERS: usize = 2;
/// The docs say 17 s; a busy machine adds to that.
const SOON: Duration = Duration::from_secs(35);
/// Between two crashes. A machine must live for a second, or wait for its
/// successor.
const PAUSE: Duration = Duration::from_millis(700);

/// A fifth of the requests of a minute, and next to nothing else.
fn plugin(position: &str, mode: &str) -> Value {
    json!({"position": position, "policies": [{"metadata": {"name": "p"}, "spec": {
        "retry": {"numRetries": 3, "retryOn": {"triggers": ["5xx"]}},
        "retryConstraint": {
            "mode": mode,
            "budget": {"percent": 20, "interval": "60s"},
            "minRetryRate": {"count": 1, "interval": "1h"}}}}]})
}

/// Envoy with a filter that can be killed, in both positions unless each
/// request reserves its retry.
async fn start(
    mode: &str,
    workers: usize,
    back_off: &str,
) -> Result<(Envoy, Upstream, CrashingFilter)> {
    let upstream = Upstream::start().await?;
    let mut backend = cluster("backend", upstream.addr());
    backend["circuit_breakers"] = json!({"thresholds": [{"max_retries": 100_000}]});
    if mode == "Auto" {
        backend = upstream_filtered(backend, &plugin("Upstream", mode))?;
    }
    let mut bootstrap = Builder::new()
        .plugin(&plugin("Downstream", mode))
        .raw_cluster(backend)
        .route(Route::cluster("/", "backend").named("all").edit(|route| {
            route["route"]["timeout"] = "0s".into();
            // Credit is held as long as the next try waits.
            route["route"]["retry_policy"] = json!({
                "retry_on": "5xx", "num_retries": 3,
                "retry_back_off": {"base_interval": back_off, "max_interval": back_off}});
        }))
        .concurrency(workers as u32)
        .build()?;
    bootstrap.edit_http("main", |http| {
        let config = &mut http["http_filters"][0]["typed_config"]["config"];
        config["reload_config"] = json!({"backoff": {"base_interval": "0.01s"}});
    })?;
    let filter = CrashingFilter::new()?;
    filter.replace_in(&mut bootstrap)?;
    Ok((Envoy::start(&bootstrap).await?, upstream, filter))
}

/// Credit that is held, of requests and of `minRetryRate`.
async fn held(envoy: &Envoy) -> Result<u64> {
    let mut held = 0;
    for gauge in ["debug_held", "debug_min_held"] {
        let name = format!("wasmcustom.btp.default.p.retry_budget_{gauge}");
        held += envoy.stat(&name).await?.unwrap_or(0);
    }
    Ok(held)
}

async fn wait_for_held(envoy: &Envoy, expected: u64) -> Result<()> {
    let waited = wait::until_async("the gauges to tell the truth", SOON, async || {
        Ok((held(envoy).await? == expected).then_some(()))
    });
    match waited.await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(format!("{} is held", held(envoy).await?))),
    }
}

/// Requests to `path` that hold credit, one on each worker.
async fn hold_on_each_worker(envoy: &Envoy, path: &str) -> Result<Vec<raw::Connection>> {
    let ask = async |client: &mut raw::Connection, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
        client.send(request).await
    };
    let open = async || {
        let mut client = raw::Connection::open(envoy.addr()).await?;
        // They pay for two retries, and show that there is a gate. A machine that
        // is new does not know what others have paid.
        for _ in 0..10 {
            ask(&mut client, "/").await?;
            client.read_response().await?;
        }
        Ok(client)
    };
    let mut clients = envoy.one_for_each_worker(WORKERS, open).await?;
    for client in &mut clients {
        ask(client, path).await?;
    }
    wait_for_held(envoy, WORKERS as u64).await?;
    Ok(clients)
}

async fn reloads(envoy: &Envoy) -> Result<u64> {
    let name = "wasm.backend_traffic_policy.vm_reload_success";
    Ok(envoy.stat(name).await?.unwrap_or(0))
}

/// However often workers die, no more requests are retried than there is
/// credit for; and there is credit afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_give_no_credit() -> Result<()> {
    for mode in ["Auto", "Reserve"] {
        let (envoy, upstream, _filter) = start(mode, WORKERS, "0.025s").await?;
        upstream.script(
            "/fails",
            std::iter::repeat_n(
                Reply::status(503).header("x-origin", "yes"),
                9 * CONNECTIONS * REQUESTS,
            ),
        );
        let mut workers = envoy.connection_to_each_worker(WORKERS, "/").await?;
        let addr = envoy.addr();
        let mut clients = JoinSet::new();
        for client in 0..CONNECTIONS {
            clients.spawn(async move {
                let mut connection = h1::Connection::open(addr).await?;
                let (mut number, mut answered) = (0, 0);
                while answered < REQUESTS {
                    number += 1;
                    let id = format!("{client}-{number}");
                    let request = Request::get("/fails").header("id", id);
                    let response = connection.send(request).await?;
                    ensure!(response.status == 503, "{response:?}");
                    answered += usize::from(response.header("x-origin").is_some());
                    // As slow as people are, also while a machine is dead.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(())
            });
        }
        let mut kills = 0;
        while !clients.is_empty() {
            let worker = &mut workers[kills % WORKERS];
            worker
                .send(crashing_filter::deadly(Request::get("/")))
                .await?;
            kills += 1;
            let some_live = tokio::time::sleep(PAUSE);
            tokio::pin!(some_live);
            while let Some(client) = tokio::select! {
                () = &mut some_live => None,
                client = clients.join_next() => client,
            } {
                client??;
            }
        }

        let reloads = reloads(&envoy).await?;
        ensure!(reloads > 2, "{reloads} reloads after {kills} kills");
        let seen = upstream.requests_under("/fails");
        let ids: HashSet<Option<String>> = seen.iter().map(|seen| seen.header("id")).collect();
        let (requests, retries) = (ids.len(), seen.len() - ids.len());
        println!("{mode}: {reloads} crashes, {requests} requests, {retries} retries");
        ensure!(
            retries * 5 <= requests + 5,
            "{mode}: {retries} of {requests}"
        );
        ensure!(retries > 0, "{mode}: no credit at all");
    }
    Ok(())
}

/// A try whose account has died with its VM is not followed by one that
/// nobody pays for.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_whose_account_is_gone_is_not_tried_again() -> Result<()> {
    let (envoy, upstream, _filter) = start("Auto", 1, "0.025s").await?;
    // The gate is known, and there is credit for one retry.
    for _ in 0..9 {
        ensure!(envoy.get("/fine").await?.status == 200);
    }
    let addr = envoy.addr();
    let waits = tokio::spawn(h1::get(addr, "/status/503?delay=4000"));
    let patience = Duration::from_secs(20);
    wait::until("the upstream to be asked", patience, || {
        let seen = upstream.requests_under("/status/503");
        (!seen.is_empty()).then_some(())
    })
    .await?;
    h1::send(addr, crashing_filter::deadly(Request::get("/"))).await?;
    wait::until_async("a new VM", patience, async || {
        Ok((h1::get(addr, "/fine").await?.status == 200).then_some(()))
    })
    .await?;
    ensure!(reloads(&envoy).await? >= 1);
    ensure!(!waits.is_finished(), "a machine too slow to see anything");
    let response = waits.await??;
    ensure!(response.status == 503, "{response:?}");
    let tries = upstream.requests_under("/status/503").len();
    ensure!(tries == 1, "{tries} tries");
    // Others are retried as ever.
    ensure!(envoy.get("/status/503").await?.status == 503);
    let tries = upstream.requests_under("/status/503").len();
    ensure!(tries > 2, "{tries} tries");
    Ok(())
}

/// What machines held when they died is credit again, though nobody needs a retry, or anything else, any more.
#[tokio::test(flavor = "multi_thread")]
async fn credit_that_the_dead_held_comes_back_on_an_idle_envoy() -> Result<()> {
    for mode in ["Auto", "Reserve"] {
        let (envoy, upstream, _filter) = start(mode, WORKERS, "3600s").await?;
        upstream.script("/hang", std::iter::repeat_n(Reply::hang(), 100));
        let path = match mode {
            "Auto" => "/status/503",
            _ => "/hang",
        };
        let mut workers = envoy.connection_to_each_worker(WORKERS, "/").await?;
        let waiting = hold_on_each_worker(&envoy, path).await?;
        // One dies: what the other holds stays held.
        crashing_filter::kill(&mut workers[0], "/").await?;
        wait_for_held(&envoy, 1).await?;
        crashing_filter::kill(&mut workers[1], "/").await?;
        wait_for_held(&envoy, 0).await?;
        drop(waiting);
        // It can be held once more.
        let waiting = hold_on_each_worker(&envoy, path).await?;
        drop(waiting);
        wait_for_held(&envoy, 0).await?;
    }
    Ok(())
}
