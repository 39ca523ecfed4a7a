//! What docs/guides/delivering-updates.md says of Envoy: what it does not look
//! at, what it does with files that are wrong, and that `--flat` tells before.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::read_yaml;
use btp_tests::watched::{ClustersIn, RoutesIn, Watched};
use btp_tests::{Bootstrap, Build, Envoy, wait};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

/// A limit that refuses every request.
fn closed() -> Value {
    json!({"rateLimit": {"local": {"rules": [{"limit": {"requests": 0, "unit": "Hour"}}]}},
        "circuitBreaker": {"maxConnections": 100}})
}

fn ring() -> Value {
    json!({"lb_policy": "RING_HASH",
        "ring_hash_lb_config": {"minimum_ring_size": 9, "maximum_ring_size": 3}})
}

/// Moves a file to its place, as Envoy notices it.
fn put(path: &Path, content: &Value) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content.to_string())?;
    Ok(fs::rename(new, path)?)
}

async fn wait_for(envoy: &Envoy, counter: &str, value: u64) -> Result<()> {
    wait::until_async(counter, SOON, async || {
        let found = envoy.stat(counter).await?;
        Ok((found == Some(value)).then_some(()))
    })
    .await
}

fn flat(watched: &Watched, spec: Option<&Value>) -> Result<Bootstrap> {
    watched.made(spec, &["--flat", "-o", "flat.json"])?;
    Bootstrap::load(watched.path("flat.json"))
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_sees_in_a_flat_copy_what_it_does_not_see_in_files() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(Some(&closed()), &[])?;
    let delivered = Bootstrap::from_value(read_yaml(&watched.live().join("envoy.yaml"))?);
    ensure!(Envoy::validate(&flat(&watched, Some(&closed()))?).await?.ok);

    let wrong = watched.cluster("wrong", &ring());
    watched.write_clusters(&[watched.cluster("up", &json!({})), wrong])?;
    watched.applied(None, &["--at-once"])?;
    ensure!(
        Envoy::validate(&delivered).await?.ok,
        "files are looked into"
    );
    let refused = Envoy::validate(&flat(&watched, None)?).await?;
    ensure!(
        !refused.ok && refused.log.contains("ring hash"),
        "{}",
        refused.log
    );
    fs::remove_file(watched.live().join("rds.yaml"))?;
    ensure!(
        Envoy::validate(&delivered).await?.ok,
        "files are looked for"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flat_copy_does_what_the_files_do() -> Result<()> {
    for (routes, clusters) in [
        (RoutesIn::Rds, ClustersIn::Cds),
        (RoutesIn::Listener, ClustersIn::Bootstrap),
    ] {
        let watched = Watched::new(routes, clusters).await?;
        let bootstrap = flat(&watched, Some(&closed()))?;
        ensure!(bootstrap.config().get("dynamic_resources").is_none());
        let envoy = Envoy::start(&bootstrap).await?;
        ensure!(envoy.get("/shop").await?.status == 429);
        ensure!(envoy.get("/cart").await?.status == 200);
        let copy = "cluster.up-default-p.circuit_breakers.default.cx_open";
        ensure!(envoy.stat(copy).await?.is_some());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_listener_does_not_stop_the_others_and_an_empty_file_removes_all() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(None, &[])?;
    let envoy = watched.start().await?;
    let path = watched.live().join("lds.yaml");
    let mut listeners = read_yaml(&path)?;
    let first = listeners["resources"][0].clone();
    let mut wrong = first.clone();
    wrong["name"] = "wrong".into();
    let filters = &mut wrong["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
    // The router must be the last one.
    *filters = json!([filters[0], filters[0]]);
    let mut good = first.clone();
    good["name"] = "good".into();
    listeners["resources"] = json!([wrong, first, good]);
    put(&path, &listeners)?;
    wait_for(&envoy, "listener_manager.lds.update_rejected", 1).await?;
    wait_for(&envoy, "listener_manager.total_listeners_active", 2).await?;
    listeners["resources"] = json!([]);
    put(&path, &listeners)?;
    wait_for(&envoy, "listener_manager.total_listeners_active", 0).await?;
    wait_for(&envoy, "listener_manager.lds.update_rejected", 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_cluster_does_not_stop_the_others() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(None, &[])?;
    let envoy = watched.start().await?;
    let clusters = [
        watched.cluster("wrong", &ring()),
        watched.cluster("up", &json!({})),
        watched.cluster("more", &json!({})),
    ];
    watched.write_clusters(&clusters)?;
    watched.applied(None, &[])?;
    wait_for(&envoy, "cluster_manager.cds.update_rejected", 1).await?;
    let names = envoy.admin_get("/clusters").await?;
    ensure!(
        names.contains("more::") && !names.contains("wrong::"),
        "{names}"
    );
    Ok(())
}

/// Waits until the route that no policy governs is answered so.
async fn wait_for_status(envoy: &Envoy, status: u16) -> Result<()> {
    wait::until_async("the listener", SOON, async || {
        let found = envoy.get("/cart").await?.status;
        Ok((found == status).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_answers_500_while_envoy_refuses_the_file_of_its_filter() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(None, &[])?;
    let envoy = watched.start().await?;
    let live = watched.live().display().to_string();
    let [option, _] = Build::under_test()?.apply_option()?;
    let wrong = ["--ecds", &live, &option, "/nowhere/btp"];
    watched.applied(Some(&closed()), &wrong)?;
    wait_for_status(&envoy, 500).await?;
    watched.applied(None, &[])?;
    wait_for_status(&envoy, 200).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_of_before_comes_back_where_envoy_refuses_its_filter() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(None, &[])?;
    let envoy = watched.start().await?;
    let live = watched.live().display().to_string();
    let address = envoy.admin_addr().to_string();
    let before = watched.text("lds.yaml")?;
    let asking = ["--ecds", &live, "--admin", &address];
    let [option, _] = Build::under_test()?.apply_option()?;
    let wrong = [&asking[..], &[&option, "/nowhere/btp"]].concat();
    let output = watched.apply(Some(&closed()), &wrong)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(3), "{said}");
    ensure!(said.contains("refuses backend_traffic_policy"), "{said}");
    ensure!(said.contains("then: lds.yaml (as before)"), "{said}");
    ensure!(!said.contains("No request is lost"), "{said}");
    ensure!(watched.text("lds.yaml")? == before);
    wait_for_status(&envoy, 200).await?;
    watched.applied(Some(&closed()), &asking)?;
    ensure!(envoy.get("/cart").await?.status == 200);
    ensure!(envoy.get("/shop").await?.status == 429);
    Ok(())
}
