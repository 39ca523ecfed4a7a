//! `spec.retryConstraint` on the real Envoy, in gate and in reserve mode.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::client::h1;
use btp_tests::{Builder, Envoy, Reply, Request, Response, Route, Upstream, load};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const SECOND: Duration = Duration::from_secs(1);
const PREFIX: &str = "wasmcustom.btp.default.p.retry_budget_";

/// A budget whose floor is next to nothing.
fn strict(percent: u32) -> Value {
    json!({
        "retry": {"numRetries": 3, "retryOn": {"triggers": ["5xx", "reset", "connect-failure"]}},
        "retryConstraint": {"budget": {"percent": percent, "interval": "2s"},
                            "minRetryRate": {"count": 1, "interval": "1h"}},
    })
}

fn plugin(spec: &Value, position: &str) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}], "position": position})
}

struct Bench {
    envoy: Envoy,
    upstream: Upstream,
}

impl Bench {
    async fn start(
        spec: &Value,
        gate: bool,
        edit: impl FnOnce(Builder, &mut Value) -> Builder,
    ) -> Result<Self> {
        let upstream = Upstream::start().await?;
        let mut backend = cluster("backend", upstream.addr());
        backend["circuit_breakers"] = json!({"thresholds": [{"max_retries": 100_000,
            "max_requests": 100_000, "max_connections": 100_000}]});
        let builder = edit(
            Builder::new().plugin(&plugin(spec, "Downstream")),
            &mut backend,
        );
        if gate {
            backend = upstream_filtered(backend, &plugin(spec, "Upstream"))?;
        }
        let builder = builder
            .raw_cluster(backend)
            .route(Route::cluster("/", "backend"));
        let envoy = Envoy::start(&builder.build()?).await?;
        Ok(Self { envoy, upstream })
    }

    async fn stat(&self, name: &str) -> Result<u64> {
        let name = format!("{PREFIX}{name}");
        Ok(self.envoy.stat(&name).await?.unwrap_or(0))
    }

    /// Retries that the upstream saw, and requests.
    fn tries_beyond(&self, requests: u64) -> u64 {
        (self.upstream.requests().len() as u64).saturating_sub(requests)
    }
}

fn whose(response: &Response) -> String {
    let whose = if response.header("x-upstream").is_some() {
        "origin"
    } else {
        "proxy"
    };
    format!("{whose} {}", response.status)
}

/// Of so many requests, all of whose tries fail once in ten times, how many
/// fail in the end.
async fn failures(envoy: &Envoy, upstream: &Upstream, requests: usize) -> Result<usize> {
    const CONNECTIONS: usize = 16;
    let mut state = 1_u64;
    upstream.script(
        "/flaky",
        (0..requests * 4).map(|_| {
            // Knuth's MMIX generator; the high bits are good.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let fails = (state >> 33).is_multiple_of(10);
            Reply::status(if fails { 503 } else { 200 })
        }),
    );
    let addr = envoy.addr();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(async move {
            let mut failures = 0;
            let mut connection = h1::Connection::open(addr).await?;
            for _ in 0..requests / CONNECTIONS {
                let response = connection.send(Request::get("/flaky")).await?;
                failures += usize::from(response.status != 200);
            }
            anyhow::Ok(failures)
        });
    }
    let mut failures = 0;
    while let Some(client) = clients.join_next().await {
        failures += client??;
    }
    Ok(failures)
}

/// A request fails if four tries do: one in 10 000. Of 4 000 requests more
/// than five do so in one run of 300 000 (binomial distribution), with Envoy's
/// own retries and with ours, if ours refuse none.
#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_budget_costs_no_success() -> Result<()> {
    const REQUESTS: usize = 4_000;
    const MOST: usize = 5;
    let mut spec = strict(20);
    spec["retryConstraint"] = json!({});
    let ours = Bench::start(&spec, true, |b, _| b).await?;
    let upstream = Upstream::start().await?;
    let policy = |route: &mut Value| {
        route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 3});
    };
    let mut backend = cluster("backend", upstream.addr());
    backend["circuit_breakers"] = json!({"thresholds": [{"max_retries": 100_000}]});
    let builder = Builder::new()
        .raw_cluster(backend)
        .route(Route::cluster("/", "backend").edit(policy));
    let native = Envoy::start(&builder.build()?).await?;
    // A start has no credit yet.
    for envoy in [&native, &ours.envoy] {
        for _ in 0..50 {
            envoy.get("/fine").await?;
        }
    }
    let with_native = failures(&native, &upstream, REQUESTS).await?;
    let with_ours = failures(&ours.envoy, &ours.upstream, REQUESTS).await?;
    println!("{with_native} failures with Envoy's retries, {with_ours} with ours");
    ensure!(
        with_native <= MOST && with_ours <= MOST,
        "{with_native}, {with_ours}"
    );
    let retries = ours.tries_beyond(REQUESTS as u64 + 50);
    ensure!(retries > REQUESTS as u64 / 20, "only {retries} retries");
    ensure!(ours.stat("refused").await? == 0);
    ours.envoy.assert_vm_alive().await
}

/// All replies are 503; a fifth of the requests pays for retries.
async fn storm(gate: bool, workers: u32) -> Result<()> {
    let bench = Bench::start(&strict(20), gate, |b, _| b.concurrency(workers)).await?;
    let tally = load::run(bench.envoy.addr(), "/status/503", 16, 6 * SECOND, whose).await?;
    ensure!(tally.of("origin 503") == tally.requests, "{tally:?}");
    let retries = bench.tries_beyond(tally.requests);
    let percent = 100.0 * retries as f64 / tally.requests as f64;
    println!(
        "gate {gate}, {workers} workers: {} requests, {percent:.1} % retries",
        tally.requests
    );
    for name in [
        "retries",
        "min_retries",
        "requests",
        "debug_held",
        "refused",
        "balance",
    ] {
        println!("{name} {}", bench.stat(name).await?);
    }
    // Two retries are the floor's.
    ensure!(
        retries <= tally.requests / 5 + 2,
        "{retries} of {}",
        tally.requests
    );
    ensure!(percent > 15.0, "starved: {percent}");
    let counted = bench.stat("retries").await? + bench.stat("min_retries").await?;
    ensure!(counted == retries, "counted {counted}, seen {retries}");
    ensure!(bench.stat("requests").await? == tally.requests);
    ensure!(bench.stat("debug_held").await? == 0 && bench.stat("debug_min_held").await? == 0);
    ensure!(bench.stat("refused").await? > 0);
    bench.envoy.assert_vm_alive().await
}

/// Requests enough that each may be retried three times.
fn rich() -> Value {
    let mut spec = strict(100);
    spec["retryConstraint"]["budget"]["interval"] = "1h".into();
    spec
}

/// The most retries of one of five requests, all of which fail.
async fn most_retries(bench: &Bench) -> Result<usize> {
    for _ in 0..20 {
        bench.envoy.get("/fine").await?;
    }
    let mut most = 0;
    for _ in 0..5 {
        bench.upstream.clear();
        ensure!(bench.envoy.get("/status/503").await?.status == 503);
        most = most.max(bench.upstream.requests().len() - 1);
    }
    Ok(most)
}

const FOUND_OUT: &str = "(reserve mode)";
const TOLD: &str = "(mode Reserve)";

/// How often the log says this.
fn says(bench: &Bench, what: &str) -> usize {
    bench.envoy.log().matches(what).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pays_when_is_found_out_and_said() -> Result<()> {
    let gated = Bench::start(&rich(), true, |b, _| b).await?;
    ensure!(most_retries(&gated).await? == 3);
    ensure!(says(&gated, FOUND_OUT) == 0 && says(&gated, TOLD) == 0);
    let alone = Bench::start(&rich(), false, |b, _| b).await?;
    ensure!(most_retries(&alone).await? == 1);
    ensure!(says(&alone, FOUND_OUT) == 1, "{}", alone.envoy.log());
    alone.envoy.assert_vm_alive().await
}

/// Whether the upstream instance is there or not.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_reserve_does_so_and_says_so() -> Result<()> {
    let mut spec = rich();
    spec["retryConstraint"]["mode"] = "Reserve".into();
    for gate in [true, false] {
        let bench = Bench::start(&spec, gate, |b, _| b.concurrency(2)).await?;
        ensure!(most_retries(&bench).await? == 1, "gate {gate}");
        ensure!(says(&bench, TOLD) == 1 && says(&bench, FOUND_OUT) == 0);
        ensure!(bench.stat("requests").await? == 25);
        ensure!(bench.stat("retries").await? + bench.stat("min_retries").await? == 5);
        ensure!(bench.stat("debug_held").await? == 0);
        bench.envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_bounded_with_the_gate() -> Result<()> {
    for workers in [1, 2] {
        storm(true, workers).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_bounded_in_reserve() -> Result<()> {
    for workers in [1, 2] {
        storm(false, workers).await?;
    }
    Ok(())
}
