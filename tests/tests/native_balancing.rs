//! `loadBalancer` on the real Envoy: who gets a request.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use btp_tests::native::{addresses, backend, cluster_of, governed, upstreams};
use btp_tests::{Builder, Envoy, Request, Route, Upstream};
use serde_json::{Value, json};

fn balancer(value: Value) -> Value {
    json!({ "loadBalancer": value })
}

fn hash(value: Value) -> Value {
    balancer(json!({"type": "ConsistentHash", "consistentHash": value}))
}

fn counts(upstreams: &[Upstream]) -> Vec<usize> {
    upstreams.iter().map(|it| it.requests().len()).collect()
}

/// Which of the upstreams got this request.
async fn taker(envoy: &Envoy, upstreams: &[Upstream], request: Request) -> Result<usize> {
    let before = counts(upstreams);
    let response = envoy.send(request).await?;
    ensure!(
        response.status == 200,
        "{} {}",
        response.status,
        response.text()
    );
    let after = counts(upstreams);
    let grown: Vec<usize> = (0..after.len())
        .filter(|i| after[*i] > before[*i])
        .collect();
    ensure!(grown.len() == 1, "{before:?} became {after:?}");
    Ok(grown[0])
}

/// Each of these requests always goes to one upstream; together they go to
/// more than one.
async fn assert_sticks(
    envoy: &Envoy,
    upstreams: &[Upstream],
    request: impl Fn(usize) -> Request,
) -> Result<()> {
    let mut takers = BTreeSet::new();
    for user in 0..16 {
        let first = taker(envoy, upstreams, request(user)).await?;
        for _ in 0..4 {
            let again = taker(envoy, upstreams, request(user)).await?;
            ensure!(first == again, "user {user} went to {first} and to {again}");
        }
        takers.insert(first);
    }
    ensure!(takers.len() > 1, "everybody went to {takers:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn round_robin_takes_turns() -> Result<()> {
    let upstreams = upstreams(4).await?;
    let envoy = governed(&upstreams, &balancer(json!({"type": "RoundRobin"}))).await?;
    for _ in 0..200 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    let counts = counts(&upstreams);
    ensure!(
        counts.iter().all(|count| (45..=55).contains(count)),
        "{counts:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_types_use_everybody() -> Result<()> {
    for kind in ["Random", "LeastRequest"] {
        let upstreams = upstreams(3).await?;
        let envoy = governed(&upstreams, &balancer(json!({"type": kind}))).await?;
        for _ in 0..90 {
            ensure!(envoy.get("/").await?.status == 200);
        }
        let counts = counts(&upstreams);
        ensure!(counts.iter().all(|count| *count >= 5), "{kind}: {counts:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn load_reports_weigh_by_utilization() -> Result<()> {
    // Without reports everybody weighs the same; the reports stay inside.
    let upstreams = upstreams(2).await?;
    let spec = balancer(json!({"type": "BackendUtilization", "backendUtilization": {}}));
    let envoy = governed(&upstreams, &spec).await?;
    for _ in 0..40 {
        let path = "/?h=endpoint-load-metrics:TEXT cpu_utilization=0.5";
        let path = path.replace(' ', "%20");
        let response = envoy.get(&path).await?;
        ensure!(response.header("endpoint-load-metrics").is_none());
    }
    let counts = counts(&upstreams);
    ensure!(counts.iter().all(|count| *count >= 5), "{counts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_sticks() -> Result<()> {
    let upstreams = upstreams(4).await?;
    let spec = hash(json!({"type": "Header", "header": {"name": "X-User"}}));
    let envoy = governed(&upstreams, &spec).await?;
    assert_sticks(&envoy, &upstreams, |user| {
        Request::get("/").header("x-user", format!("user-{user}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn users_stay_with_one_of_weighted_clusters() -> Result<()> {
    let upstreams = upstreams(2).await?;
    let spec = hash(json!({"type": "Headers", "headers": [{"name": "x-user-id"}]}));
    let weight = |name: &str| json!({"name": name, "weight": 50});
    for drawn in [json!({}), json!({"header_name": "x-draw"})] {
        let mut bootstrap = Builder::new()
            .cluster("a", upstreams[0].addr())
            .cluster("b", upstreams[1].addr())
            .route(Route::cluster("/", "a"))
            .build()?;
        bootstrap.edit(|config| {
            btp_tests::bootstrap::visit(config, &mut |it| {
                if it["route"]["cluster"] == "a" {
                    let mut weighted = drawn.clone();
                    weighted["clusters"] = json!([weight("a"), weight("b")]);
                    it["route"] = json!({ "weighted_clusters": weighted });
                }
            });
        });
        bootstrap.govern("a", &spec)?.govern("b", &spec)?;
        let envoy = Envoy::start(&bootstrap).await?;
        assert_sticks(&envoy, &upstreams, |user| {
            Request::get("/").header("x-user-id", format!("user-{user}"))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_headers_stick_together() -> Result<()> {
    let upstreams = upstreams(4).await?;
    let names = json!([{"name": "x-tenant"}, {"name": "x-user"}]);
    let spec = hash(json!({"type": "Headers", "headers": names}));
    let envoy = governed(&upstreams, &spec).await?;
    let of = |user: usize, tenant: usize| {
        Request::get("/")
            .header("x-user", format!("user-{user}"))
            .header("x-tenant", format!("tenant-{tenant}"))
    };
    assert_sticks(&envoy, &upstreams, |user| of(user, 0)).await?;
    assert_sticks(&envoy, &upstreams, |tenant| of(0, tenant)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_parameter_sticks() -> Result<()> {
    let upstreams = upstreams(4).await?;
    let spec = hash(json!({"type": "QueryParams", "queryParams": [{"name": "user"}]}));
    let envoy = governed(&upstreams, &spec).await?;
    assert_sticks(&envoy, &upstreams, |user| {
        Request::get(&format!("/?x=y&user=user-{user}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_the_client_sticks() -> Result<()> {
    let upstreams = upstreams(4).await?;
    let mut bootstrap = backend(&upstreams)?;
    bootstrap.govern("backend", &hash(json!({"type": "SourceIP"})))?;
    // Clients behind a trusted proxy: as many addresses as a test wants.
    bootstrap.edit_http("main", |http| {
        http["use_remote_address"] = true.into();
        http["xff_num_trusted_hops"] = 1.into();
    })?;
    let envoy = Envoy::start(&bootstrap).await?;
    assert_sticks(&envoy, &upstreams, |user| {
        Request::get("/").header("x-forwarded-for", format!("10.0.0.{user}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_made_with_its_attributes_and_sticks() -> Result<()> {
    let upstreams = upstreams(4).await?;
    let spec = hash(
        json!({"type": "Cookie", "cookie": {"name": "session", "ttl": "1h",
        "attributes": {"SameSite": "Strict", "Path": "/shop"}}}),
    );
    let envoy = governed(&upstreams, &spec).await?;
    let response = envoy.get("/").await?;
    let cookie = response.header("set-cookie").unwrap_or_default();
    ensure!(cookie.starts_with("session=\""), "{cookie}");
    for part in ["Max-Age=3600", "SameSite=Strict", "Path=/shop"] {
        ensure!(cookie.contains(part), "no {part} in {cookie}");
    }
    let known = envoy
        .send(Request::get("/").header("cookie", "session=x"))
        .await?;
    ensure!(
        known.header("set-cookie").is_none(),
        "a cookie that is there stays"
    );
    assert_sticks(&envoy, &upstreams, |user| {
        Request::get("/").header("cookie", format!("session=user-{user}"))
    })
    .await?;
    // The cookie that was made leads back to where it was made.
    for _ in 0..8 {
        let made = envoy
            .get("/")
            .await?
            .header("set-cookie")
            .unwrap_or_default();
        let value = made.split(';').next().unwrap_or_default().to_owned();
        let latest = |upstream: &Upstream| upstream.requests().last().map(|it| it.headers_at);
        let first = (0..4).max_by_key(|i| latest(&upstreams[*i]));
        let again = taker(
            &envoy,
            &upstreams,
            Request::get("/").header("cookie", value),
        )
        .await?;
        ensure!(first == Some(again), "{first:?} made it, {again} got it");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_without_a_ttl_is_not_made() -> Result<()> {
    let upstreams = upstreams(2).await?;
    let spec = hash(json!({"type": "Cookie", "cookie": {"name": "session"}}));
    let envoy = governed(&upstreams, &spec).await?;
    let response = envoy.get("/").await?;
    ensure!(response.status == 200 && response.header("set-cookie").is_none());
    assert_sticks(&envoy, &upstreams, |user| {
        Request::get("/").header("cookie", format!("session=user-{user}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_names_the_endpoint() -> Result<()> {
    let upstreams = upstreams(3).await?;
    let spec = balancer(json!({"type": "RoundRobin",
        "endpointOverride": {"extractFrom": [{"header": "x-host"}]}}));
    let envoy = governed(&upstreams, &spec).await?;
    for (index, upstream) in upstreams.iter().enumerate() {
        for _ in 0..5 {
            let request = Request::get("/").header("x-host", upstream.addr().to_string());
            ensure!(taker(&envoy, &upstreams, request).await? == index);
        }
    }
    let mut takers = BTreeSet::new();
    for _ in 0..9 {
        let request = Request::get("/").header("x-host", "10.9.9.9:1");
        takers.insert(taker(&envoy, &upstreams, request).await?);
    }
    ensure!(takers.len() == 3, "{takers:?}");
    Ok(())
}

/// The first upstream in zone `a`, the second in zone `b`.
fn in_zones(upstreams: &[Upstream]) -> Value {
    let mut cluster = cluster_of("backend", &addresses(upstreams));
    let endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"].take();
    let zones = ["a", "b"].iter().enumerate().map(
        |(index, zone)| json!({"locality": {"zone": zone}, "lb_endpoints": [endpoints[index]]}),
    );
    cluster["load_assignment"]["endpoints"] = zones.collect();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_share_by_weight() -> Result<()> {
    for kind in [
        json!({"type": "RoundRobin"}),
        json!({"type": "ConsistentHash", "consistentHash": {
            "type": "Header", "header": {"name": "x-user"}}}),
    ] {
        let upstreams = upstreams(2).await?;
        let mut bootstrap = Builder::new()
            .raw_cluster(in_zones(&upstreams))
            .route(Route::cluster("/", "backend"))
            .build()?;
        let mut spec = balancer(kind);
        spec["loadBalancer"]["zoneAware"] = json!({"weightedZones": [{"zone": "a", "weight": 9}]});
        bootstrap.govern("backend", &spec)?;
        let envoy = Envoy::start(&bootstrap).await?;
        for user in 0..200 {
            let request = Request::get("/").header("x-user", format!("user-{user}"));
            ensure!(envoy.send(request).await?.status == 200);
        }
        // 180 and 20 by the weights 9 and 1.
        let counts = counts(&upstreams);
        ensure!((5..=45).contains(&counts[1]), "{counts:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_without_weights_share_by_their_endpoints() -> Result<()> {
    for kind in [
        json!({"type": "RoundRobin"}),
        json!({"type": "Random"}),
        json!({"type": "ConsistentHash", "consistentHash": {
            "type": "Header", "header": {"name": "x-user"}}}),
    ] {
        let upstreams = upstreams(2).await?;
        let mut bootstrap = Builder::new()
            .raw_cluster(in_zones(&upstreams))
            .route(Route::cluster("/", "backend"))
            .build()?;
        bootstrap.govern("backend", &balancer(kind))?;
        let envoy = Envoy::start(&bootstrap).await?;
        for user in 0..100 {
            let request = Request::get("/").header("x-user", format!("user-{user}"));
            ensure!(envoy.send(request).await?.status == 200);
        }
        let counts = counts(&upstreams);
        ensure!(counts.iter().all(|count| *count >= 20), "{counts:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_zone_is_preferred() -> Result<()> {
    let upstreams = upstreams(2).await?;
    let mut own = in_zones(&upstreams);
    own["name"] = "own-instances".into();
    let mut bootstrap = Builder::new()
        .raw_cluster(in_zones(&upstreams))
        .raw_cluster(own)
        .route(Route::cluster("/", "backend"))
        .build()?;
    let spec = balancer(json!({"type": "RoundRobin",
        "zoneAware": {"preferLocal": {"minEndpointsThreshold": 1}}}));
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
    for _ in 0..40 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    let counts = counts(&upstreams);
    ensure!(counts == [0, 40], "{counts:?}");
    Ok(())
}
