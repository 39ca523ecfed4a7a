//! The demo's scenario table and the README of the fleet's example against the containers
//! that `cargo xtask compose-test` has brought up.

use std::env;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::client::h1;
use btp_tests::readme::Readme;
use btp_tests::scenario::{Table, run_table_against};
use btp_tests::{Request, repo};

/// What nobody answers is refused by the shield after so many.
const SHIELD: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_in_containers() -> Result<()> {
    let url = of_containers("BTP_COMPOSE_URL")?;
    let table = Table::load(&repo::path("tests/scenarios/demo.json"))?;
    let report = run_table_against(&url, &table).await?;
    ensure!(report.rows == table.scenarios.len());
    Ok(())
}

/// It may have waited for Redis.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_answers() -> Result<()> {
    let [traffic, admin, ..] = fleet()?;
    for _ in 0..SHIELD {
        let request = Request::get("/api/orders").header("x-api-key", "nobody");
        let response = h1::send(traffic, request).await?;
        ensure!(response.status == 200, "{response:?}");
        let stats = h1::get(admin, "/stats?filter=ratelimit.ok").await?.text();
        if stats.contains("cluster.backend.ratelimit.ok: ") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let stats = h1::get(admin, "/stats?filter=ratelimit").await?;
    Err(anyhow::anyhow!("no answer: {}", stats.text()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_counts_together() -> Result<()> {
    let (with, _) = readme()?;
    with.run(&addresses()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_does_without_its_service() -> Result<()> {
    let (_, without) = readme()?;
    without.run(&addresses()?).await
}

fn of_containers(name: &str) -> Result<String> {
    env::var(name).context("this test needs the containers: run `cargo xtask compose-test`")
}

/// Each Envoy's address and that of its admin interface.
fn fleet() -> Result<[SocketAddr; 4]> {
    let addresses = of_containers("BTP_COMPOSE_FLEET")?;
    let addresses: Result<Vec<SocketAddr>, _> = addresses.split(' ').map(str::parse).collect();
    let found = addresses?;
    found
        .try_into()
        .map_err(|it| anyhow::anyhow!("not two Envoys: {it:?}"))
}

/// The README's addresses, and those of the containers.
fn addresses() -> Result<[(&'static str, String); 4]> {
    let [first, first_admin, second, second_admin] = fleet()?.map(|it| it.to_string());
    Ok([
        ("localhost:10001", first),
        ("localhost:9911", first_admin),
        ("localhost:10002", second),
        ("localhost:9912", second_admin),
    ])
}

fn readme() -> Result<(Readme, Readme)> {
    Readme::load(&repo::path("examples/global-rate-limit/README.md"))?.split_at("stop ratelimit")
}
