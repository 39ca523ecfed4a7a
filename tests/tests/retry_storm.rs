//! The example of a retry storm, in numbers: the same backend, the same burst
//! and the same clients, whose retries have a budget or have none.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::h1;
use btp_tests::storm::{self, PAYING, Parts, Second};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// 25 requests a second are what the backend can do.
const WORK: &str = "work=40";
const EVERY: Duration = Duration::from_millis(100);
const BURST: usize = 100;
/// Fifteen seconds of clients, of which the last five count.
const REQUESTS: usize = 150;
const LAST: usize = 50;

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
    let (envoy, _backend) = storm::start().await?;
    let peer = envoy.addr();
    // What a route does without a burst shows that the burst is the cause.
    let calm = storm::start().await?;
    let (stormy, budget, quiet) = tokio::join!(
        served(peer, "/plain/", BURST),
        served(peer, "/budget/", BURST),
        served(calm.0.addr(), "/plain/", 0),
    );
    let (stormy, budget, quiet) = (stormy?, budget?, quiet?);
    ensure!(quiet > LAST * 3 / 4, "no burst: {quiet} of {LAST}");
    ensure!(stormy < LAST / 4, "without a budget: {stormy} of {LAST}");
    ensure!(budget > LAST * 3 / 4, "with a budget: {budget} of {LAST}");
    envoy.assert_vm_alive().await
}

/// The same margins, for the seconds of the storm.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_of_batch_clients_paying_ones_are_served_with_classes() -> Result<()> {
    const PARTS: Parts = Parts {
        before: 1,
        storm: 6,
        after: 0,
    };
    let (envoy, _backend) = storm::start().await?;
    let peer = envoy.addr();
    let sent = u64::from(PAYING * PARTS.storm);
    let of = |seconds: &[Second], what: fn(&Second) -> u64| -> u64 {
        let first = usize::try_from(PARTS.before).unwrap_or_default();
        seconds.iter().skip(first).map(what).sum()
    };
    let (by_class, alike) = tokio::join!(
        storm::seconds(peer, "classes", PARTS),
        storm::seconds(peer, "places", PARTS),
    );
    let (by_class, alike) = (by_class?, alike?);
    println!("with classes {by_class:?}, without {alike:?}");
    let paying = of(&by_class, |it| it.paying);
    ensure!(paying > sent * 3 / 4, "with classes: {paying} of {sent}");
    let paying = of(&alike, |it| it.paying);
    ensure!(paying < sent * 3 / 4, "without classes: {paying} of {sent}");
    let batch = of(&by_class, |it| it.batch);
    let batch_sent = of(&by_class, |it| it.batch_sent);
    // They give way, and get what is left.
    ensure!(
        (1..batch_sent / 2).contains(&batch),
        "batch: {batch} of {batch_sent}"
    );
    let limited = "rate_limit.all.class_limited.batch";
    let name = format!("wasmcustom.btp.default.places-by-class.{limited}");
    let limited = envoy.stat(&name).await?.unwrap_or(0);
    ensure!(limited >= batch_sent / 2, "{limited} of {batch_sent}");
    envoy.assert_vm_alive().await
}
