//! Limits are exact, however many workers take from a bucket and at whatever rate: no
//! request more passes than there are tokens, and no token is lost.
//!
//! Each worker has the same number of connections, and each connection sends its next
//! request as soon as it has an answer, so that the workers race for the tokens. The
//! bounds are made of times that were taken around the load: they hold on a machine of
//! any speed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use btp_tests::client::raw;
use btp_tests::{Builder, Envoy, Route};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const WORKERS: [u32; 3] = [1, 2, 4];
/// Connections of each worker.
const CONNECTIONS: usize = 3;

/// A policy that limits all but `/free`.
fn limit(rule: &Value) -> Value {
    let free = json!([{"path": {"type": "Exact", "value": "/free"}}]);
    json!({"policies": [{"metadata": {"name": "p"}, "spec":
        {"rateLimit": {"local": {"exempt": free, "rules": [rule]}}}}]})
}

/// An Envoy with so many workers, and connections to each of them.
struct Stage {
    envoy: Envoy,
    connections: Vec<raw::Connection>,
}

/// What a load came to.
struct Outcome {
    passed: u64,
    refused: u64,
    /// From before the first request to after the last answer.
    elapsed: Duration,
}

impl Stage {
    async fn start(rule: &Value, workers: u32) -> Result<Self> {
        let builder = Builder::new().plugin(&limit(rule)).concurrency(workers);
        let builder = builder.route(Route::direct("/", 200, "ok"));
        let envoy = Envoy::start(&builder.build()?).await?;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let of_each = envoy.one_for_each_worker(usize::try_from(workers)?, async || {
                let mut connection = raw::Connection::open(envoy.addr()).await?;
                ensure!(get(&mut connection, "/free").await? == 200);
                Ok(connection)
            });
            connections.extend(of_each.await?);
        }
        Ok(Self { envoy, connections })
    }

    /// Sends so many requests over all connections at once.
    async fn load(&mut self, requests: usize) -> Result<Outcome> {
        let started = Instant::now();
        let mut clients = JoinSet::new();
        let each = requests / self.connections.len();
        for connection in std::mem::take(&mut self.connections) {
            clients.spawn(send(connection, each));
        }
        let mut answers: BTreeMap<u16, u64> = BTreeMap::new();
        while let Some(client) = clients.join_next().await {
            let (connection, statuses) = client??;
            self.connections.push(connection);
            for status in statuses {
                *answers.entry(status).or_default() += 1;
            }
        }
        let elapsed = started.elapsed();
        let mut of = |status| answers.remove(&status).unwrap_or(0);
        let (passed, refused) = (of(200), of(429));
        ensure!(answers.is_empty(), "{answers:?}");
        Ok(Outcome {
            passed,
            refused,
            elapsed,
        })
    }

    /// The filter has counted what the clients have seen, and no worker gave up.
    async fn agrees_with(&self, outcome: &Outcome) -> Result<()> {
        for (name, expected) in [
            ("admitted", outcome.passed),
            ("limited", outcome.refused),
            ("store_contended", 0),
        ] {
            let name = format!("rate_limit.rule-af63bd4c.{name}");
            let counted = self.envoy.policy_stat(&name).await?;
            ensure!(counted == expected, "{name}: {counted}, not {expected}");
        }
        self.envoy.assert_vm_alive().await
    }
}

async fn send(
    mut connection: raw::Connection,
    count: usize,
) -> Result<(raw::Connection, Vec<u16>)> {
    let mut statuses = Vec::with_capacity(count);
    for _ in 0..count {
        statuses.push(get(&mut connection, "/").await?);
    }
    Ok((connection, statuses))
}

async fn get(connection: &mut raw::Connection, path: &str) -> Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
    connection.send(request).await?;
    Ok(connection.read_response().await?.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_an_hour_are_fifty() -> Result<()> {
    let rule = json!({"limit": {"requests": 50, "unit": "Hour"}});
    for workers in WORKERS {
        let mut stage = Stage::start(&rule, workers).await?;
        let outcome = stage.load(500).await?;
        let (passed, refused) = (outcome.passed, outcome.refused);
        // At the earliest one comes back after 72 s.
        ensure!(outcome.elapsed < Duration::from_secs(72), "a slow machine");
        ensure!(passed == 50, "{workers} workers: {passed} and {refused}");
        stage.agrees_with(&outcome).await?;
    }
    Ok(())
}

/// So many tokens that the workers race for long, of which none comes back meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_bucket_no_token_is_lost_and_none_is_given_twice() -> Result<()> {
    const TOKENS: u64 = 4_000;
    for cost in [1, 2] {
        let rule = json!({
            "limit": {"requests": TOKENS, "unit": "Year"},
            "cost": {"request": {"from": "Number", "number": cost}},
        });
        for workers in WORKERS {
            let mut stage = Stage::start(&rule, workers).await?;
            let outcome = stage.load(6_000).await?;
            let (passed, refused) = (outcome.passed, outcome.refused);
            ensure!(
                passed * cost == TOKENS && passed + refused == 6_000,
                "{workers} workers: {passed} and {refused}"
            );
            stage.agrees_with(&outcome).await?;
        }
    }
    Ok(())
}

/// A worker of the .wasm takes tokens ahead here (a lease). It takes them from the
/// bucket, which was full when the load began, so the bound is the same: in
/// time x, what was in the bucket and what came back in x.
#[tokio::test(flavor = "multi_thread")]
async fn at_ten_thousand_a_second_no_more_pass_than_come_back() -> Result<()> {
    const RATE: f64 = 10_000.0;
    const BURST: u64 = 2_000;
    // At 20 tokens a request the limit is reached on any machine.
    for (cost, requests) in [(1, 16_000), (20, 8_000)] {
        let rule = json!({
            "limit": {"requests": RATE, "unit": "Second", "burst": BURST},
            "cost": {"request": {"from": "Number", "number": cost}},
        });
        for workers in WORKERS {
            let mut stage = Stage::start(&rule, workers).await?;
            let outcome = stage.load(requests).await?;
            let tokens = outcome.passed * cost;
            let most = BURST as f64 + RATE * outcome.elapsed.as_secs_f64();
            let what = format!("{workers} workers, {cost} tokens each: {tokens}, {most}");
            println!("{what}, {} refused", outcome.refused);
            ensure!(tokens as f64 <= most, "{what}");
            ensure!(tokens >= BURST, "{what}");
            stage.agrees_with(&outcome).await.context(what)?;
        }
    }
    Ok(())
}
