//! Clients who are told apart take fixed memory in Envoy: 60,000 keys, more than the
//! table has room for.
//!
//! A million keys against the engine alone are in `filter/engine/tests/million_keys.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use btp_tests::client::h2;
use btp_tests::measure::resident_kib;
use btp_tests::{Builder, Envoy, Request, Route};
use serde_json::json;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 4;
/// Requests that a connection has under way at a time.
const STREAMS: usize = 25;
/// Keys of each stream's client.
const EACH: usize = 150;
const ROUNDS: usize = 4;
const KEYS: usize = CONNECTIONS * STREAMS * EACH * ROUNDS;

/// What Envoy may grow by in the second half, in KiB: 35 bytes for each of its keys. One
/// that is remembered takes more, with its text and the allocator's own.
const GROWTH: u64 = 1024;

/// Sends a request with each of its keys, and with each tenth another one, which the
/// limit refuses; how many of either passed.
async fn round(envoy: &Envoy, round: usize) -> Result<[usize; 2]> {
    let passed = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let mut clients = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let h2 = Arc::new(h2::Connection::open(envoy.addr()).await?);
        for stream in 0..STREAMS {
            let (h2, passed) = (Arc::clone(&h2), Arc::clone(&passed));
            clients.spawn(async move {
                for key_number in 0..EACH {
                    let key = format!("{round}-{connection}-{stream}-{key_number}");
                    let requests = if key_number % 10 == 0 { 2 } else { 1 };
                    for passed in passed.iter().take(requests) {
                        let response = h2.send(Request::get("/").header("x-user", &key)).await?;
                        ensure!(matches!(response.status, 200 | 429), "{response:?}");
                        let passes = usize::from(response.status == 200);
                        passed.fetch_add(passes, Ordering::Relaxed);
                    }
                }
                anyhow::Ok(())
            });
        }
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok([0, 1].map(|it| passed[it].load(Ordering::Relaxed)))
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_thousand_keys_take_fixed_memory() -> Result<()> {
    let rule = json!({"name": "each",
        "clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}],
        "limit": {"requests": 1, "unit": "Year"}});
    // It is full in the first round, and all that stands in for it is there in the second.
    let plugin = json!({"limits": {"distinctKeys": 4_096}, "policies": [
        {"metadata": {"name": "p"}, "spec": {"rateLimit": {"local": {"rules": [rule]}}}}]});
    let builder = Builder::new().plugin(&plugin).concurrency(2);
    let builder = builder.route(Route::direct("/", 200, "ok"));
    let envoy = Envoy::start(&builder.build()?).await?;
    let mut resident = vec![resident_kib(&envoy)?];
    let mut first = 0;
    for number in 0..ROUNDS {
        let [once, again] = round(&envoy, number).await?;
        // The limit holds for each of them, also for those without a slot.
        ensure!(again == 0, "{again} passed twice");
        first += once;
        resident.push(resident_kib(&envoy)?);
    }
    println!("{KEYS} keys: {first} passed once; KiB resident: {resident:?}");
    let overflows = envoy.policy_stat("rate_limit.each.overflows").await?;
    ensure!(overflows > 0, "the table was not full");
    // Newcomers without a slot may find their cells used up; few do.
    ensure!(first > KEYS * 9 / 10, "{first} of {KEYS} passed");
    let grown = resident[ROUNDS].saturating_sub(resident[ROUNDS / 2]);
    ensure!(grown <= GROWTH, "{grown} KiB more: {resident:?}");
    envoy.assert_vm_alive().await
}
