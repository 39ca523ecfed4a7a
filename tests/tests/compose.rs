//! The demo's scenario table against the containers that `cargo xtask
//! compose-test` has brought up.

use std::env;

use anyhow::{Context, Result, ensure};
use btp_tests::repo;
use btp_tests::scenario::{Table, run_table_against};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_in_containers() -> Result<()> {
    let url = env::var("BTP_COMPOSE_URL")
        .context("this test needs the containers: run `cargo xtask compose-test`")?;
    let table = Table::load(&repo::path("tests/scenarios/demo.json"))?;
    let report = run_table_against(&url, &table).await?;
    ensure!(report.rows == table.scenarios.len());
    Ok(())
}
