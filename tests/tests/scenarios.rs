//! The scenario tables against the real Envoy. `btp-engine` runs the same
//! tables in memory.

use btp_tests::{repo, scenario};

async fn run(table: &str) -> anyhow::Result<()> {
    let report = scenario::run_table_on_envoy(&repo::path(table)).await?;
    assert!(report.rows > 0);
    assert_eq!(report.skipped, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn demo() -> anyhow::Result<()> {
    run("tests/scenarios/demo.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn edges() -> anyhow::Result<()> {
    run("tests/scenarios/edges.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn limits() -> anyhow::Result<()> {
    run("tests/scenarios/limits.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_selectors() -> anyhow::Result<()> {
    run("tests/scenarios/limit_selectors.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn retry() -> anyhow::Result<()> {
    run("tests/scenarios/retry.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn services() -> anyhow::Result<()> {
    run("tests/scenarios/services.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn fault() -> anyhow::Result<()> {
    run("tests/scenarios/fault.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides() -> anyhow::Result<()> {
    run("tests/scenarios/override.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn buffer() -> anyhow::Result<()> {
    run("tests/scenarios/buffer.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn access_log() -> anyhow::Result<()> {
    run("tests/scenarios/access_log.json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers() -> anyhow::Result<()> {
    run("tests/scenarios/browsers.json").await
}
