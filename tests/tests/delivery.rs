//! `btp apply --out-dir` on files that Envoy watches: no request is lost, and
//! what it says has arrived has.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::load::{Load, Tally};
use btp_tests::watched::{ClustersIn, RoutesIn, Watched};
use btp_tests::{Envoy, Response, wait};
use serde_json::{Value, json};

/// The copy of cluster `up` for the policy.
const COPY: &str = "up-default-p";

/// Connections that send all the time.
const CONNECTIONS: usize = 8;

fn breaker(connections: u32) -> Value {
    json!({"circuitBreaker": {"maxConnections": connections}})
}

/// A breaker, and a limit that nobody reaches, for the filter.
fn breaker_and_limit(connections: u32, requests: u32) -> Value {
    json!({
        "circuitBreaker": {"maxConnections": connections},
        "rateLimit": {"local": {"rules": [{"limit": {"requests": requests, "unit": "Second"}}]}},
    })
}

fn status(response: &Response) -> String {
    response.status.to_string()
}

fn admin(envoy: &Envoy) -> String {
    envoy.admin_addr().to_string()
}

/// The names of the clusters that Envoy has.
async fn clusters(envoy: &Envoy) -> Result<BTreeSet<String>> {
    let text = envoy.admin_get("/clusters").await?;
    let names = text.lines().filter_map(|line| line.split_once("::"));
    Ok(names.map(|(name, _)| name.to_owned()).collect())
}

async fn has_copy(envoy: &Envoy) -> Result<bool> {
    Ok(clusters(envoy).await?.contains(COPY))
}

fn assert_nothing_lost(tally: &Tally) -> Result<()> {
    println!("{tally:?}");
    // That the load was on at all: updates can be over within a second.
    ensure!(tally.requests > 100, "only {} requests", tally.requests);
    ensure!(tally.of("200") == tally.requests, "{tally:?}");
    Ok(())
}

/// Additions, changes and removals, several times over, under load.
async fn update(
    watched: &Watched,
    envoy: &Envoy,
    specs: &[Option<Value>],
    options: &[&str],
) -> Result<Tally> {
    let load = Load::start(envoy.addr(), "/shop", CONNECTIONS, status);
    for spec in specs {
        watched.applied(spec.as_ref(), options)?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    load.stop().await
}

/// Five rounds of: added, changed, removed.
fn rounds(spec: impl Fn(u32) -> Value) -> Vec<Option<Value>> {
    let rounds = (0..5).map(|_| [Some(spec(100)), Some(spec(200)), None]);
    rounds.flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_come_change_and_go_and_no_request_is_lost() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(None, &[])?;
    let envoy = watched.start().await?;
    let tally = update(&watched, &envoy, &rounds(breaker), &[]).await?;
    assert_nothing_lost(&tally)?;
    watched.applied(Some(&breaker(100)), &[])?;
    wait::until_async("the copy", Duration::from_secs(5), async || {
        Ok(has_copy(&envoy).await?.then_some(()))
    })
    .await?;
    watched.applied(None, &[])?;
    wait::until_async("the copy to go", Duration::from_secs(5), async || {
        Ok((!has_copy(&envoy).await?).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_admin_interface_each_run_ends_when_envoy_has_all_of_it() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(None, &[])?;
    let envoy = watched.start().await?;
    let address = admin(&envoy);
    let options = ["--admin", &address];
    let load = Load::start(envoy.addr(), "/shop", CONNECTIONS, status);
    for round in 0..10 {
        watched.applied(Some(&breaker(100 + round)), &options)?;
        ensure!(has_copy(&envoy).await?, "{round}");
        watched.applied(None, &options)?;
        ensure!(!has_copy(&envoy).await?, "{round}");
    }
    assert_nothing_lost(&load.stop().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_in_files_of_their_own_come_and_go_with_the_rest() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    let live = watched.live().display().to_string();
    watched.applied(None, &["--ecds", &live])?;
    let envoy = watched.start().await?;
    let address = admin(&envoy);
    let options = ["--ecds", &live, "--admin", &address];
    let spec = |number: u32| breaker_and_limit(number, 1_000_000 + number);
    let tally = update(&watched, &envoy, &rounds(spec), &options).await?;
    assert_nothing_lost(&tally)?;
    // In force, and not only taken.
    watched.applied(Some(&breaker_and_limit(100, 0)), &options)?;
    let limited = envoy.get("/shop").await?;
    ensure!(limited.status == 429, "{limited:?}");
    ensure!(envoy.get("/cart").await?.status == 200);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_envoy_refuses_is_reported_and_the_routes_stay_as_they_were() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(None, &[])?;
    let envoy = watched.start().await?;
    let before = watched.text("rds.yaml")?;
    let ring = json!({"lb_policy": "RING_HASH",
        "ring_hash_lb_config": {"minimum_ring_size": 9, "maximum_ring_size": 3}});
    watched.write_clusters(&[
        watched.cluster("up", &json!({})),
        watched.cluster("wrong", &ring),
    ])?;
    let address = admin(&envoy);
    let output = watched.apply(Some(&breaker(100)), &["--admin", &address])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(3),
        "{:?}: {said}",
        output.status
    );
    let refused = "refuses cds.yaml: cluster_manager.cds.update_rejected has increased";
    ensure!(said.contains(refused), "{said}");
    ensure!(said.contains("not written: rds.yaml"), "{said}");
    ensure!(watched.text("rds.yaml")? == before);
    ensure!(envoy.get("/shop").await?.status == 200);

    watched.write_clusters(&[watched.cluster("up", &json!({}))])?;
    watched.applied(Some(&breaker(100)), &["--admin", &address])?;
    ensure!(has_copy(&envoy).await?);
    ensure!(envoy.get("/shop").await?.status == 200);
    Ok(())
}

/// The other Envoy watches clusters as well, but not these.
#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_does_not_arrive_is_the_last_one() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(None, &[])?;
    let other = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    other.applied(None, &[])?;
    let envoy = other.start().await?;
    let address = admin(&envoy);
    let before = watched.text("rds.yaml")?;
    let options = ["--admin", &address, "--wait", "1s"];
    let output = watched.apply(Some(&breaker(100)), &options)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(3),
        "{:?}: {said}",
        output.status
    );
    ensure!(said.contains("cds.yaml is not loaded"), "{said}");
    ensure!(said.contains("after 1s"), "{said}");
    ensure!(watched.text("cds.yaml")?.contains(COPY));
    ensure!(watched.text("rds.yaml")? == before);

    drop(envoy);
    let output = watched.apply(Some(&breaker(100)), &options)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(2),
        "{:?}: {said}",
        output.status
    );
    ensure!(
        said.contains("cannot be reached") && said.contains("Nothing was written"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_the_bootstrap_come_with_a_restart_and_routes_behind_it() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Bootstrap).await?;
    watched.applied(None, &[])?;
    let envoy = watched.start().await?;
    let address = admin(&envoy);
    for options in [&[][..], &["--admin", &address]] {
        watched.applied(None, &["--at-once"])?;
        let load = Load::start(envoy.addr(), "/shop", CONNECTIONS, status);
        let output = watched.apply(Some(&breaker(100)), options)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(3),
            "{:?}: {said}",
            output.status
        );
        ensure!(said.contains("Restart Envoy"), "{said}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_nothing_lost(&load.stop().await?)?;
    }
    // Without the restart it stays so.
    let again = watched.apply(Some(&breaker(100)), &["--admin", &address])?;
    ensure!(again.status.code() == Some(3), "{again:?}");
    drop(envoy);
    let envoy = watched.start().await?;
    ensure!(has_copy(&envoy).await?);
    let address = admin(&envoy);
    watched.applied(Some(&breaker(100)), &["--admin", &address])?;
    ensure!(envoy.get("/shop").await?.status == 200);
    ensure!(watched.text("rds.yaml")?.contains(COPY));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_watched_directories_are_noticed() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    watched.applied(None, &[])?;
    // As Kubernetes mounts: each file leads to a folder that can be exchanged.
    let live = watched.live();
    fs::create_dir(live.join("..v1"))?;
    std::os::unix::fs::symlink("..v1", live.join("..data"))?;
    for name in ["cds.yaml", "rds.yaml", "lds.yaml"] {
        fs::rename(live.join(name), live.join("..v1").join(name))?;
        std::os::unix::fs::symlink(format!("..data/{name}"), live.join(name))?;
    }
    for in_directory in [false, true] {
        let path = watched.own().join("envoy.yaml");
        if in_directory {
            let mut bootstrap: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
            for kind in ["lds_config", "cds_config"] {
                bootstrap["dynamic_resources"][kind]["path_config_source"]["watched_directory"] =
                    json!({"path": live});
            }
            fs::write(&path, bootstrap.to_string())?;
            watched.applied(None, &[])?;
        }
        let envoy = watched.start().await?;
        let address = admin(&envoy);
        let options = ["--admin", &address];
        let load = Load::start(envoy.addr(), "/shop", CONNECTIONS, status);
        for _ in 0..3 {
            watched.applied(Some(&breaker(100)), &options)?;
            ensure!(has_copy(&envoy).await?);
            watched.applied(None, &options)?;
            ensure!(!has_copy(&envoy).await?);
        }
        assert_nothing_lost(&load.stop().await?)?;
        ensure!(fs::symlink_metadata(live.join("cds.yaml"))?.is_symlink());
    }
    Ok(())
}

/// The version of each discovered filter that Envoy has.
async fn versions(envoy: &Envoy) -> Result<BTreeSet<String>> {
    let dump = envoy
        .admin_get("/config_dump?resource=ecds_filters")
        .await?;
    let dump: Value = serde_json::from_str(&dump)?;
    let filters = dump["configs"].as_array().context("no filters")?;
    let versions = filters.iter().filter_map(|it| it["version_info"].as_str());
    Ok(versions.map(str::to_owned).collect())
}

/// M4: nobody saw which policies a running Envoy had.
#[tokio::test(flavor = "multi_thread")]
async fn the_version_of_a_discovered_filter_names_its_content() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    let live = watched.live().display().to_string();
    let one = breaker_and_limit(100, 1_000);
    watched.applied(Some(&one), &["--ecds", &live])?;
    let envoy = watched.start().await?;
    let address = admin(&envoy);
    let options = ["--ecds", &live, "--admin", &address];
    let first = versions(&envoy).await?;
    let named = first.first().context("no version")?;
    ensure!(
        first.len() == 1 && named.len() == 29 && named.starts_with("btp-"),
        "{first:?}"
    );
    // The filter logs the part of it that is about its configuration.
    let configuration = named.get(4..20).context("too short")?;
    let logged = format!(", configuration {configuration}, ");
    envoy.wait_for_log(&logged, Duration::from_secs(10)).await?;
    watched.applied(Some(&breaker_and_limit(100, 2_000)), &options)?;
    let second = versions(&envoy).await?;
    ensure!(second.len() == 1 && second != first, "{second:?}");
    // Native fields are not the filter's.
    watched.applied(Some(&breaker_and_limit(300, 2_000)), &options)?;
    ensure!(versions(&envoy).await? == second);
    watched.applied(Some(&one), &options)?;
    ensure!(versions(&envoy).await? == first);
    Ok(())
}
