//! What requests cost that wait: 10,000 at once on one worker, with the filter
//! and, to compare, with Envoy's own fault filter.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::client::h2;
use btp_tests::{Builder, Envoy, Request, Route, Upstream, wait};
use serde_json::json;
use tokio::task::JoinSet;

const CONNECTIONS: u64 = 100;
const STREAMS: u64 = 100;
const WAITING: u64 = CONNECTIONS * STREAMS;
const PATIENCE: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(3);
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used.
struct Usage {
    cpu: Duration,
    resident: u64,
}

fn usage(pid: u32) -> Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no process name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("no VmRSS")?;
    Ok(Usage {
        cpu: Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND),
        resident: resident.parse::<u64>()? * 1_024,
    })
}

/// CPU time in the window, and memory per waiting request. `stat` tells how
/// many wait.
async fn measure(builder: Builder, stat: &str) -> Result<(Duration, u64)> {
    let upstream = Upstream::start().await?;
    let builder = builder
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr());
    let mut bootstrap = builder.build()?;
    bootstrap.edit_http("main", |http| http["stream_idle_timeout"] = json!("0s"))?;
    let envoy = Envoy::start(&bootstrap).await?;
    let before = usage(envoy.pid())?;
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let connection = h2::Connection::open(envoy.addr()).await?;
        clients.spawn(async move {
            let mut streams = Vec::new();
            for _ in 0..STREAMS {
                streams.push(connection.send(Request::get("/wait")));
            }
            futures_join(streams).await;
        });
    }
    let waiting = async |wanted: u64| {
        wait::until_async("the requests to wait", PATIENCE, async || {
            Ok((envoy.stat(stat).await?.unwrap_or(0) == wanted).then_some(()))
        })
        .await
    };
    waiting(WAITING).await?;
    let start = usage(envoy.pid())?;
    tokio::time::sleep(WINDOW).await;
    let end = usage(envoy.pid())?;
    ensure!(upstream.requests().is_empty());
    clients.shutdown().await;
    waiting(0).await?;
    envoy.assert_vm_alive().await?;
    let memory = end.resident.saturating_sub(before.resident) / WAITING;
    Ok((end.cpu - start.cpu, memory))
}

async fn futures_join<F: Future>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_wait_without_work() -> Result<()> {
    let fault = json!({"policies": [{"metadata": {"name": "p"}, "spec":
        {"faultInjection": {"delay": {"fixedDelay": "1h"}}}}]});
    let stat = "wasmcustom.btp.default.p.fault_active";
    let (cpu, memory) = measure(Builder::new().plugin(&fault), stat).await?;

    let native = json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": {"fixed_delay": "3600s", "percentage": {"numerator": 100}},
        },
    });
    let stat = "http.main.fault.active_faults";
    let (native_cpu, native_memory) = measure(Builder::new().http_filter(native), stat).await?;

    println!("filter: {cpu:?} of CPU in {WINDOW:?}, {memory} bytes per waiting request");
    println!("Envoy:  {native_cpu:?} of CPU in {WINDOW:?}, {native_memory} bytes per request");
    // CPU time, not the time that goes by: a slow or busy machine does not add to it. A
    // timer that ran on every tick for each of them would take seconds; a tenth of a core
    // is what all that is idle in Envoy may take.
    ensure!(cpu < WINDOW / 10, "{cpu:?} of CPU while nothing happens");
    ensure!(
        memory < native_memory + 4_096,
        "{memory} and {native_memory} bytes"
    );
    Ok(())
}

/// Half of them vanish while they wait, and leave nothing; the others are answered when
/// their delays are over, each of them.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_that_have_waited_are_answered_or_forgotten() -> Result<()> {
    let policy = |route: &str, delay: &str| {
        json!({"metadata": {"name": route}, "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                "name": route}],
            "faultInjection": {"delay": {"fixedDelay": delay}}}})
    };
    let plugin = json!({"policies": [policy("stay", "3s"), policy("vanish", "1h")]});
    let builder = Builder::new()
        .plugin(&plugin)
        .concurrency(2)
        .route(Route::direct("/stay", 200, "ok").named("stay"))
        .route(Route::direct("/vanish", 200, "ok").named("vanish"));
    let envoy = Envoy::start(&builder.build()?).await?;
    let active = async |policy: &str, wanted: u64| {
        let stat = format!("wasmcustom.btp.default.{policy}.fault_active");
        wait::until_async(&format!("{stat}: {wanted}"), PATIENCE, async || {
            Ok((envoy.stat(&stat).await?.unwrap_or(0) == wanted).then_some(()))
        })
        .await
    };
    let mut clients = [JoinSet::new(), JoinSet::new()];
    for number in 0..CONNECTIONS {
        let connection = Arc::new(h2::Connection::open(envoy.addr()).await?);
        let vanishes = number % 2 == 1;
        let path = if vanishes { "/vanish" } else { "/stay" };
        for _ in 0..STREAMS {
            let connection = Arc::clone(&connection);
            let sent = async move { connection.send(Request::get(path)).await };
            clients[usize::from(vanishes)].spawn(sent);
        }
    }
    let [mut stay, mut vanish] = clients;
    active("vanish", WAITING / 2).await?;
    vanish.shutdown().await;
    active("vanish", 0).await?;
    let mut answered = 0;
    while let Some(response) = stay.join_next().await {
        let response = response??;
        ensure!(response.status == 200, "{response:?}");
        ensure!(response.headers_after >= Duration::from_secs(3));
        answered += 1;
    }
    ensure!(answered == WAITING / 2, "{answered}");
    active("stay", 0).await?;
    envoy.assert_vm_alive().await
}

/// When a machine stops for a while, all delays end in the same moment. Envoy goes on with
/// one request within the callbacks of the one before it, and its stack has an end.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_that_are_due_at_once_are_answered() -> Result<()> {
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec":
        {"faultInjection": {"delay": {"fixedDelay": "4s"}}}}]});
    let builder = Builder::new()
        .plugin(&plugin)
        .route(Route::direct("/", 200, "ok"));
    let envoy = Envoy::start(&builder.build()?).await?;
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS / 2 {
        let connection = Arc::new(h2::Connection::open(envoy.addr()).await?);
        for _ in 0..STREAMS {
            let connection = Arc::clone(&connection);
            clients.spawn(async move { connection.send(Request::get("/")).await });
        }
    }
    let stat = "wasmcustom.btp.default.p.fault_delays_injected";
    wait::until_async("the requests to wait", PATIENCE, async || {
        Ok((envoy.stat(stat).await?.unwrap_or(0) == WAITING / 2).then_some(()))
    })
    .await?;
    envoy.signal("STOP")?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    envoy.signal("CONT")?;
    while let Some(response) = clients.join_next().await {
        let response = response??;
        ensure!(response.status == 200, "{response:?}");
    }
    envoy.assert_vm_alive().await
}
