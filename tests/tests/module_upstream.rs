//! The dynamic module at the upstream position: a panic there, and where it is counted.

use anyhow::{Result, ensure};
use btp_tests::module::policies;
use btp_tests::module::{PANICS, cluster_behind, commanded, filter, is_answered_for, named};
use btp_tests::{Builder, Envoy, Route, Upstream, repo};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_at_the_upstream_position_is_answered_500() -> Result<()> {
    let upstream = Upstream::start().await?;
    let filter = filter(&repo::planted_module()?, &policies("p"));
    let builder = Builder::new()
        .route(Route::cluster("/", "backend"))
        .raw_cluster(cluster_behind(filter, &upstream)?);
    let bootstrap = named(builder)?;
    let envoy = Envoy::start(&bootstrap).await?;
    for hook in ["request_headers", "response_headers"] {
        let response = commanded(&envoy, hook).await?;
        ensure!(is_answered_for(&response), "{hook}: {response:?}");
        ensure!(envoy.get("/x").await?.status == 200, "after {hook}");
    }
    // Known: Envoy keeps metrics of this position under the cluster's name.
    let prometheus = envoy.admin_get("/stats/prometheus").await?;
    let of_cluster = format!("cluster.backend.{PANICS}");
    ensure!(
        envoy.own_stat(&of_cluster).await? == Some(2),
        "{prometheus}"
    );
    let named = "envoy_cluster_dynamicmodulescustom_btp_panics";
    ensure!(prometheus.contains(named), "{prometheus}");
    Ok(())
}
