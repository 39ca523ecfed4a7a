//! The example of a retry storm, in numbers: the same backend, the same burst
//! and the same clients, whose retries have a budget or have none.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::h1;
use btp_tests::{Bootstrap, Envoy};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// 25 requests a second are what the backend can do.
const WORK: &str = "work=40";
const EVERY: Duration = Duration::from_millis(100);
const BURST: usize = 100;
/// Fifteen seconds of clients, of which the last five count.
const REQUESTS: usize = 150;
const LAST: usize = 50;

async fn start() -> Result<(Envoy, Envoy)> {
    let backend = Envoy::start(&Bootstrap::load("envoy/upstream.yaml")?).await?;
    let mut bootstrap = Bootstrap::load("examples/retry-storm/envoy.yaml")?.with_concurrency(2);
    bootstrap.redirect_cluster("backend", backend.addr())?;
    Ok((Envoy::start(&bootstrap).await?, backend))
}

/// Clients that come at fixed times, whatever becomes of those before them;
/// how many of the last ones were served.
async fn served(peer: SocketAddr, path: &str, burst: usize) -> Result<usize> {
    let path = format!("{path}?{WORK}");
    let mut clients = JoinSet::new();
    for _ in 0..burst {
        let path = path.clone();
        clients.spawn(async move { anyhow::Ok((0, h1::get(peer, &path).await?.status)) });
    }
    let start = Instant::now();
    for number in 0..REQUESTS {
        tokio::time::sleep_until(start + EVERY * u32::try_from(number)?).await;
        let path = path.clone();
        clients.spawn(async move { anyhow::Ok((number, h1::get(peer, &path).await?.status)) });
    }
    let mut served = 0;
    while let Some(client) = clients.join_next().await {
        let (number, status) = client??;
        served += usize::from(number >= REQUESTS - LAST && status == 200);
    }
    println!("{path} after a burst of {burst}: {served} of the last {LAST} served");
    Ok(served)
}

/// Three quarters and one quarter leave room for a machine that stumbles.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_ends_with_a_budget_and_does_not_without() -> Result<()> {
    let (envoy, _backend) = start().await?;
    let peer = envoy.addr();
    // What a route does without a burst shows that the burst is the cause.
    let calm = start().await?;
    let (storm, budget, quiet) = tokio::join!(
        served(peer, "/plain/", BURST),
        served(peer, "/budget/", BURST),
        served(calm.0.addr(), "/plain/", 0),
    );
    let (storm, budget, quiet) = (storm?, budget?, quiet?);
    ensure!(quiet > LAST * 3 / 4, "no burst: {quiet} of {LAST}");
    ensure!(storm < LAST / 4, "without a budget: {storm} of {LAST}");
    ensure!(budget > LAST * 3 / 4, "with a budget: {budget} of {LAST}");
    envoy.assert_vm_alive().await
}
