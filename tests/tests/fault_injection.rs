//! Delays and aborts on the real Envoy, where a table row is too small: big
//! bodies, clients that go, many who wait, shares.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use btp_tests::client::{h1, h2, raw};
use btp_tests::{Body, Builder, Envoy, Request, Route, Upstream, wait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const MS: Duration = Duration::from_millis(1);

fn policy(spec: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]})
}

fn delay(fixed: &str) -> Value {
    policy(&json!({"faultInjection": {"delay": {"fixedDelay": fixed}}}))
}

async fn start(plugin: &Value, edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .plugin(plugin)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&edit(builder).build()?).await?;
    Ok((envoy, upstream))
}

/// A delay holds while a 10 MiB upload arrives: no 413, nothing reaches the
/// upstream early, and then every byte does.
async fn upload_in_a_delay(stop_iteration: bool, http2: bool, chunked: bool) -> Result<()> {
    const SIZE: usize = 10 * 1024 * 1024;
    let (envoy, upstream) = start(&delay("500ms"), |b| b.stop_iteration(stop_iteration)).await?;
    let bytes = vec![b'u'; SIZE];
    let body = if chunked {
        Body::chunked(bytes.chunks(100_000).map(<[u8]>::to_vec))
    } else {
        Body::sized(bytes)
    };
    let request = Request::new("POST", "/upload").body(body);
    let started = Instant::now();
    let response = if http2 {
        h2::send(envoy.addr(), request).await?
    } else {
        h1::send(envoy.addr(), request).await?
    };
    ensure!(response.status == 200, "{response:?}");
    let seen = upstream.requests();
    ensure!(seen.len() == 1 && seen[0].body.len() == SIZE);
    ensure!(
        seen[0].headers_at >= started + 500 * MS,
        "the headers came early"
    );
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_waits_whole() -> Result<()> {
    for stop_iteration in [false, true] {
        for (http2, chunked) in [(false, false), (false, true), (true, false)] {
            upload_in_a_delay(stop_iteration, http2, chunked).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_leaves_nothing_behind() -> Result<()> {
    let (envoy, upstream) = start(&delay("1s"), |b| b).await?;
    for goes in ["closes", "resets"] {
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send("POST /gone HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhalf")
            .await?;
        wait::until_async("the request to be active", 10_000 * MS, async || {
            let active = envoy.stat("http.main.downstream_rq_active").await?;
            Ok((active == Some(1)).then_some(()))
        })
        .await?;
        if goes == "closes" {
            drop(client);
        } else {
            client.reset()?;
        }
        wait::until_async("the request to be gone", 10_000 * MS, async || {
            let active = envoy.stat("http.main.downstream_rq_active").await?;
            Ok((active == Some(0)).then_some(()))
        })
        .await?;
    }
    // Its time comes and goes; who came later is served in time.
    let response = envoy.get("/stays").await?;
    ensure!(response.status == 200 && response.elapsed >= 1_000 * MS);
    ensure!(upstream.requests_under("/gone").is_empty());
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_wait_side_by_side() -> Result<()> {
    const CLIENTS: usize = 1_000;
    let (envoy, upstream) = start(&delay("1s"), |b| b.concurrency(2)).await?;
    let addr = envoy.addr();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(h1::get(addr, "/wait"));
    }
    let mut shortest = Duration::MAX;
    while let Some(response) = clients.join_next().await {
        let response = response??;
        ensure!(response.status == 200);
        shortest = shortest.min(response.elapsed);
    }
    ensure!(shortest >= 1_000 * MS, "one waited only {shortest:?}");
    ensure!(upstream.requests().len() == CLIENTS);
    let delays = envoy
        .stat("wasmcustom.btp.default.p.fault_delays_injected")
        .await?;
    ensure!(delays == Some(CLIENTS as u64), "{delays:?}");
    envoy.assert_vm_alive().await
}

/// The bound of the docs: never shorter than asked, and longer by no more
/// than the timer's granularity. The upper end is generous, as the machine
/// may be busy; the engine's own test is exact.
#[tokio::test(flavor = "multi_thread")]
async fn delays_are_never_short() -> Result<()> {
    let (envoy, _upstream) = start(&delay("25ms"), |b| b).await?;
    let mut connection = h1::Connection::open(envoy.addr()).await?;
    let mut waits = Vec::new();
    for _ in 0..40 {
        waits.push(connection.send(Request::get("/")).await?.headers_after);
    }
    waits.sort_unstable();
    println!(
        "25 ms become {:?} to {:?}, half of them up to {:?}",
        waits[0], waits[39], waits[20]
    );
    ensure!(waits[0] >= 25 * MS, "one waited only {:?}", waits[0]);
    ensure!(waits[20] < 100 * MS, "the median is {:?}", waits[20]);
    Ok(())
}

/// Drawn delays: none is shorter than the distribution allows, and they
/// spread. How well they fit it is the engine's own test.
#[tokio::test(flavor = "multi_thread")]
async fn delays_are_drawn_from_their_distribution() -> Result<()> {
    let spread = json!({"uniform": {"min": "20ms", "max": "120ms"}});
    let fault = policy(&json!({"faultInjection": {"delay": {"distribution": spread}}}));
    let (envoy, upstream) = start(&fault, |b| b).await?;
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        clients.spawn(h1::get(envoy.addr(), "/"));
    }
    let mut waits = Vec::new();
    while let Some(response) = clients.join_next().await {
        waits.push(response??.headers_after);
    }
    waits.sort_unstable();
    ensure!(waits[0] >= 20 * MS, "one waited only {:?}", waits[0]);
    // All of 100 draws below 100 ms: 2 in 10 billion.
    ensure!(waits[99] >= 100 * MS, "the longest is {:?}", waits[99]);
    ensure!(upstream.requests().len() == 100);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_are_met_and_draws_are_independent() -> Result<()> {
    const REQUESTS: u32 = 2_000;
    let both = policy(&json!({"faultInjection": {
        "delay": {"fixedDelay": "1ms", "percentage": 50},
        "abort": {"httpStatus": 500, "percentage": 20}}}));
    let (envoy, upstream) = start(&both, |b| b).await?;
    let mut connection = h1::Connection::open(envoy.addr()).await?;
    for _ in 0..REQUESTS {
        connection.send(Request::get("/")).await?;
    }
    let stat = async |name: &str| -> Result<f64> {
        let count = envoy
            .stat(&format!("wasmcustom.btp.default.p.{name}"))
            .await?;
        Ok(f64::from(u32::try_from(count.unwrap_or(0))?) / f64::from(REQUESTS))
    };
    // Five standard deviations of a binomial share.
    let delays = stat("fault_delays_injected").await?;
    ensure!((delays - 0.5).abs() < 0.056, "delayed {delays}");
    let aborts = stat("fault_aborts_injected").await?;
    ensure!((aborts - 0.2).abs() < 0.045, "aborted {aborts}");
    let passed = upstream.requests().len();
    ensure!(passed == (f64::from(REQUESTS) * (1.0 - aborts)).round() as usize);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn envoys_idle_timeout_ends_a_delay_cleanly() -> Result<()> {
    let spec = json!({"faultInjection": {"delay": {"fixedDelay": "1h"}},
        "responseOverride": [{"match": {"statusCodes": [{"value": 504}]},
                              "response": {"statusCode": 503, "body": {"inline": "too long"}}}]});
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .plugin(&policy(&spec))
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .build()?;
    bootstrap.edit_http("main", |http| http["stream_idle_timeout"] = json!("0.3s"))?;
    let envoy = Envoy::start(&bootstrap).await?;
    let response = envoy.get("/").await?;
    ensure!(
        response.status == 503 && response.text() == "too long",
        "{response:?}"
    );
    ensure!(upstream.requests().is_empty());
    envoy.assert_vm_alive().await
}
