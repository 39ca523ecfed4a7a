//! How much memory clients can pin in a worker's VM, and the gauge that tells.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::crashing_filter::{self, CrashingFilter};
use btp_tests::half_open::{BYTES_PER_STREAM, GAUGE, Growth, Held, measure};
use btp_tests::{Builder, Envoy, Request, Route, wait};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);
const ALL_GAUGES: &str = r"^wasmcustom\.btp\.vm_memory_bytes\.\d+$";
const LARGEST: &str = "wasmcustom.btp.vm_memory_bytes_max";
/// What no VM is without: its stack and its constants.
const LEAST: u64 = 1024 * 1024;

/// Values that overrides print were kept in full, once for each operator: the
/// worker's VM was full with a few thousand streams, and died.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_streams_with_long_paths_hardly_enlarge_the_vm() -> Result<()> {
    let growth = measure(1_000, 56_000, Held::Gathered).await?;
    ensure!(growth.too_long > 0, "the paths were kept: {growth:?}");
    is_bounded(growth)
}

/// Short paths are kept; they are within the bound, too.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_streams_with_short_paths_keep_them_and_are_bounded() -> Result<()> {
    // So many that the room which loading the configuration left is used up.
    let growth = measure(3_000, 1_000, Held::Gathered).await?;
    ensure!(growth.too_long == 0 && growth.no_room == 0, "{growth:?}");
    ensure!(growth.per_stream() >= 1_000, "nothing is kept: {growth:?}");
    is_bounded(growth)
}

/// Those that have gone on have an account of their retries as well.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_hang_at_an_upstream_are_bounded() -> Result<()> {
    is_bounded(measure(500, 56_000, Held::Upstream).await?)
}

/// What has been freed is used again, but for where the heap happens to be cut.
fn is_bounded(growth: Growth) -> Result<()> {
    const CUT: u64 = 256 * 1024;
    ensure!(growth.per_stream() <= BYTES_PER_STREAM, "{growth:?}");
    ensure!(
        growth.again <= growth.open + CUT,
        "not used again: {growth:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_worker_has_a_gauge_of_its_vm() -> Result<()> {
    let bootstrap = Builder::new()
        .plugin(&json!({"policies": []}))
        .route(Route::direct("/", 200, "fine"))
        .concurrency(2)
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    // Whoever had no request yet has no gauge, nor has Envoy's main thread.
    ensure!(envoy.stats_matching(ALL_GAUGES).await?.is_empty());
    let _connections = envoy.connection_to_each_worker(2, "/").await?;
    let gauges = envoy.stats_matching(ALL_GAUGES).await?;
    ensure!(gauges.len() == 2, "{gauges:?}");
    ensure!(gauges.values().all(|bytes| *bytes >= LEAST), "{gauges:?}");
    ensure!(gauges.contains_key(GAUGE), "{gauges:?}");
    let largest = envoy.stat(LARGEST).await?;
    ensure!(largest == gauges.into_values().max(), "{largest:?}");
    Ok(())
}

/// A gauge of a VM that is gone would raise false alarms for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_dies_leaves_no_gauge_behind() -> Result<()> {
    let mut bootstrap = Builder::new()
        .plugin(&json!({"policies": []}))
        .route(Route::direct("/", 200, "fine"))
        .build()?;
    let filter = CrashingFilter::new()?;
    filter.replace_in(&mut bootstrap)?;
    let envoy = Envoy::start(&bootstrap).await?;
    ensure!(envoy.get("/").await?.status == 200);
    ensure!(envoy.stat(GAUGE).await? >= Some(LEAST));
    let killed = envoy
        .send(crashing_filter::deadly(Request::get("/")))
        .await?;
    ensure!(crashing_filter::is_of_a_dead_vm(&killed), "{killed:?}");
    wait::until_async("a new VM in its place", PATIENCE, async || {
        Ok((envoy.get("/").await?.status == 200).then_some(()))
    })
    .await?;
    wait::until_async("the dead one's gauge to go", PATIENCE, async || {
        let gauges = envoy.stats_matching(ALL_GAUGES).await?;
        let living = gauges.values().filter(|bytes| **bytes >= LEAST).count();
        let silent = gauges.values().filter(|bytes| **bytes == 0).count();
        Ok(((living, silent) == (1, 1)).then_some(()))
    })
    .await
}
