//! What lives on from before a delivery: connections of an earlier listener
//! with its routes and filters, and what Envoy has from its bootstrap.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::read_yaml;
use btp_tests::client::h1;
use btp_tests::load::{Load, Tally};
use btp_tests::watched::{ClustersIn, RoutesIn, Watched};
use btp_tests::{Request, Response};
use serde_json::{Value, json};

/// The copy of cluster `up` for the policy.
const COPY: &str = "up-default-p";

/// Connections that send all the time.
const CONNECTIONS: usize = 8;

fn breaker(connections: u32) -> Value {
    json!({"circuitBreaker": {"maxConnections": connections}})
}

fn status(response: &Response) -> String {
    response.status.to_string()
}

fn assert_nothing_lost(tally: &Tally) -> Result<()> {
    println!("{tally:?}");
    // That the load was on at all: updates can be over within a second.
    ensure!(tally.requests > 100, "only {} requests", tally.requests);
    ensure!(tally.of("200") == tally.requests, "{tally:?}");
    Ok(())
}

/// Connections keep the routes of the listener that they began with.
#[tokio::test(flavor = "multi_thread")]
async fn clusters_outlive_the_connections_of_a_listener_that_has_its_own_routes() -> Result<()> {
    for with_admin in [false, true] {
        let watched = Watched::new(RoutesIn::Listener, ClustersIn::Cds).await?;
        watched.applied(None, &[])?;
        let envoy = watched.start().await?;
        let address = envoy.admin_addr().to_string();
        let options: &[&str] = if with_admin {
            &["--admin", &address]
        } else {
            &[]
        };
        let specs = [Some(breaker(100)), None, Some(breaker(200)), None];
        let load = Load::start(envoy.addr(), "/shop", CONNECTIONS, status);
        let mut report = String::new();
        for spec in &specs {
            report = watched.applied(spec.as_ref(), options)?;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        ensure!(
            report.contains("note: cluster up-default-p is kept for now"),
            "{report}"
        );
        assert_nothing_lost(&load.stop().await?)?;
        ensure!(watched.text("cds.yaml")?.contains(COPY));
    }
    Ok(())
}

/// Its routes are those of its bootstrap, whatever the file says by now.
#[tokio::test(flavor = "multi_thread")]
async fn clusters_outlive_the_bootstrap_that_envoy_runs_with() -> Result<()> {
    let watched = Watched::new(RoutesIn::Listener, ClustersIn::Cds).await?;
    let own = watched.own();
    let mut bootstrap = read_yaml(&own.join("envoy.yaml"))?;
    let mut listener = read_yaml(&own.join("lds.yaml"))?["resources"][0].take();
    if let Some(listener) = listener.as_object_mut() {
        listener.remove("@type");
    }
    // Static listeners come before the clusters of the file.
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["route_config"]["validate_clusters"] = false.into();
    bootstrap["static_resources"] = json!({"listeners": [listener]});
    if let Some(dynamic) = bootstrap["dynamic_resources"].as_object_mut() {
        dynamic.remove("lds_config");
    }
    fs::write(own.join("envoy.yaml"), bootstrap.to_string())?;

    watched.applied(Some(&breaker(100)), &[])?;
    let envoy = watched.start().await?;
    let address = envoy.admin_addr().to_string();
    let load = Load::start(envoy.addr(), "/shop", CONNECTIONS, status);
    let report = watched.applied(None, &[])?;
    ensure!(
        report.contains("note: cluster up-default-p is kept for now"),
        "{report}"
    );
    // The bootstrap of before is gone by now; Envoy still has it.
    let report = watched.applied(None, &["--admin", &address])?;
    ensure!(
        report.contains("note: cluster up-default-p is kept for now"),
        "{report}"
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_nothing_lost(&load.stop().await?)?;
    drop(envoy);
    let envoy = watched.start().await?;
    let address = envoy.admin_addr().to_string();
    watched.applied(None, &["--admin", &address])?;
    ensure!(!watched.text("cds.yaml")?.contains(COPY));
    ensure!(envoy.get("/shop").await?.status == 200);
    Ok(())
}

/// When one instance of the filter becomes two, the file of the first is not
/// that of the one that had done all.
#[tokio::test(flavor = "multi_thread")]
async fn old_connections_keep_their_limits_when_one_instance_becomes_two() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    // With a filter between them, faults and limits are two instances.
    let file = watched.own().join("lds.yaml");
    let mut listeners = read_yaml(&file)?;
    let manager = &mut listeners["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let cors = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors";
    manager["http_filters"] = json!([
        {"name": "cors", "typed_config": {"@type": cors}},
        manager["http_filters"][0],
    ]);
    fs::write(&file, listeners.to_string())?;
    let live = watched.live().display().to_string();
    let limit = json!({"rateLimit": {"local": {"rules": [
        {"limit": {"requests": 0, "unit": "Hour"}}]}}});
    let mut both = limit.clone();
    both["faultInjection"] = json!({"abort": {"httpStatus": 418, "percentage": 0}});

    watched.applied(Some(&limit), &["--ecds", &live])?;
    let envoy = watched.start().await?;
    let address = envoy.admin_addr().to_string();
    let options = ["--ecds", &live, "--admin", &address];
    let mut old = h1::Connection::open(envoy.addr()).await?;
    let mut assert_limited = async |when: &str| {
        let response = old.send(Request::get("/shop")).await?;
        ensure!(response.status == 429, "{when}: {response:?}");
        anyhow::Ok(())
    };
    assert_limited("before").await?;
    let report = watched.applied(Some(&both), &options)?;
    ensure!(report.contains("backend_traffic_policy_early"), "{report}");
    assert_limited("with two").await?;
    ensure!(envoy.get("/shop").await?.status == 429);
    watched.applied(Some(&limit), &options)?;
    assert_limited("with one again").await?;
    ensure!(envoy.get("/shop").await?.status == 429);
    envoy.assert_vm_alive().await
}
