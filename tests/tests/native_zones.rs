//! `loadBalancer.zoneAware` on the real Envoy: which zone gets a request.

use anyhow::{Result, ensure};
use btp_tests::native::{addresses, cluster_of, upstreams};
use btp_tests::{Builder, Envoy, Request, Route, Upstream};
use serde_json::{Value, json};

fn balancer(kind: Value, zones: Value) -> Value {
    let mut spec = json!({ "loadBalancer": kind });
    if !zones.is_null() {
        spec["loadBalancer"]["zoneAware"] = zones;
    }
    spec
}

fn by_header() -> Value {
    json!({"type": "ConsistentHash", "consistentHash": {
        "type": "Header", "header": {"name": "x-user"}}})
}

fn counts(upstreams: &[Upstream]) -> Vec<usize> {
    upstreams.iter().map(|it| it.requests().len()).collect()
}

/// A cluster whose first endpoint is in zone `a` and its second in zone `b`.
fn in_zones(upstreams: &[Upstream]) -> Value {
    let mut cluster = cluster_of("backend", &addresses(upstreams));
    let endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"].take();
    let zones = ["a", "b"].iter().enumerate().map(
        |(index, zone)| json!({"locality": {"zone": zone}, "lb_endpoints": [endpoints[index]]}),
    );
    cluster["load_assignment"]["endpoints"] = zones.collect();
    cluster
}

/// How many of so many users each upstream gets.
async fn shares(spec: &Value, users: usize) -> Result<Vec<usize>> {
    let upstreams = upstreams(2).await?;
    let mut bootstrap = Builder::new()
        .raw_cluster(in_zones(&upstreams))
        .route(Route::cluster("/", "backend"))
        .build()?;
    bootstrap.govern("backend", spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    for user in 0..users {
        let request = Request::get("/").header("x-user", format!("user-{user}"));
        ensure!(envoy.send(request).await?.status == 200);
    }
    Ok(counts(&upstreams))
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_share_by_weight() -> Result<()> {
    for kind in [json!({"type": "RoundRobin"}), by_header()] {
        let zones = json!({"weightedZones": [{"zone": "a", "weight": 9}]});
        let counts = shares(&balancer(kind, zones), 200).await?;
        // 180 and 20 by the weights 9 and 1.
        ensure!((5..=45).contains(&counts[1]), "{counts:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_without_weights_share_by_their_endpoints() -> Result<()> {
    for kind in [
        json!({"type": "RoundRobin"}),
        json!({"type": "Random"}),
        by_header(),
    ] {
        let counts = shares(&balancer(kind, Value::Null), 100).await?;
        ensure!(counts.iter().all(|count| *count >= 20), "{counts:?}");
    }
    Ok(())
}

/// Requests out of 60 that go to zone `a`, from an Envoy in zone `b`, where
/// `own` of its four instances are: zone `b` has half of the endpoints.
async fn leave_their_zone(own: usize, prefer_local: Value) -> Result<usize> {
    const INSTANCES: usize = 4;
    let upstreams = upstreams(2).await?;
    let endpoint = json!({"endpoint": {"address": {"socket_address": {
        "address": "127.0.0.1", "port_value": 9}}}});
    let mut instances = in_zones(&upstreams);
    instances["name"] = "own-instances".into();
    for (zone, count) in [(0, INSTANCES - own), (1, own)] {
        let there = &mut instances["load_assignment"]["endpoints"][zone]["lb_endpoints"];
        *there = vec![endpoint.clone(); count].into();
    }
    let mut bootstrap = Builder::new()
        .raw_cluster(in_zones(&upstreams))
        .raw_cluster(instances)
        .route(Route::cluster("/", "backend"))
        .build()?;
    let zones = json!({"preferLocal": prefer_local});
    let spec = balancer(json!({"type": "RoundRobin"}), zones);
    ensure!(
        bootstrap.govern("backend", &spec).is_err(),
        "no local cluster is named"
    );
    bootstrap.edit(|config| {
        config["cluster_manager"] = json!({"local_cluster_name": "own-instances"});
        config["node"]["locality"] = json!({"zone": "b"});
    });
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    for _ in 0..60 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    Ok(counts(&upstreams)[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_zone_is_preferred() -> Result<()> {
    for (settings, expected) in [
        (json!({"minEndpointsThreshold": 1}), 0..=0),
        // Envoy Gateway's threshold is 6 endpoints; there are two.
        (json!({}), 20..=40),
        (
            json!({"minEndpointsThreshold": 1, "percentageEnabled": 0}),
            20..=40,
        ),
        (
            json!({"minEndpointsThreshold": 1, "percentageEnabled": 50}),
            5..=27,
        ),
    ] {
        let left = leave_their_zone(2, settings.clone()).await?;
        ensure!(expected.contains(&left), "{settings}: {left} of 60");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_zone_takes_more_than_its_share_if_it_is_forced_to() -> Result<()> {
    // Three quarters of the load begin in a zone with half of the endpoints:
    // a third of it leaves.
    for (force, expected) in [
        (Value::Null, 10..=30),
        (json!({}), 0..=0),
        (json!({"minEndpointsInZoneThreshold": 1}), 0..=0),
        (json!({"minEndpointsInZoneThreshold": 2}), 10..=30),
    ] {
        let mut settings = json!({"minEndpointsThreshold": 1});
        if !force.is_null() {
            settings["force"] = force.clone();
        }
        let left = leave_their_zone(3, settings).await?;
        ensure!(expected.contains(&left), "{force}: {left} of 60");
    }
    Ok(())
}
