//! `loadBalancer` on the real Envoy: who gets a request.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use btp_tests::client::h1;
use btp_tests::native::{
    SOON, addresses, backend, cluster_of, governed, many, upstreams, wait_for_stat,
};
use btp_tests::{Builder, Envoy, Reply, Request, Route, Upstream, repo, wait};
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

/// How many of 30 requests reach the one endpoint of four that has nothing to
/// do.
async fn reach_the_idle_one(spec: &Value) -> Result<usize> {
    let upstreams = upstreams(4).await?;
    for upstream in &upstreams {
        upstream.script("/hang", many(&Reply::hang()));
    }
    let envoy = governed(&upstreams, spec).await?;
    let address = envoy.addr();
    // Each goes to an endpoint of its own; how many draws that takes is left
    // to chance.
    let mut hanging = Vec::new();
    let is_busy = |it: &Upstream| !it.requests_under("/hang").is_empty();
    while upstreams.iter().filter(|it| is_busy(it)).count() < 3 {
        ensure!(hanging.len() < 100, "they hang at one endpoint");
        let before: usize = upstreams.iter().map(|it| it.requests().len()).sum();
        hanging.push(tokio::spawn(async move { h1::get(address, "/hang").await }));
        wait::until("the request", SOON, || {
            let now: usize = upstreams.iter().map(|it| it.requests().len()).sum();
            (now > before).then_some(())
        })
        .await?;
    }
    let idle = upstreams.iter().find(|it| !is_busy(it)).context("nobody")?;
    for _ in 0..30 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(idle.requests().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_busy_of_as_many_as_told_is_chosen() -> Result<()> {
    let least = |settings: Value| {
        let mut spec = balancer(json!({"type": "LeastRequest"}));
        spec["loadBalancer"]["leastRequest"] = settings;
        spec
    };
    // Of 64 draws none meets it once in 10^8 requests.
    let found = reach_the_idle_one(&least(json!({"choiceCount": 64}))).await?;
    ensure!(found == 30, "{found} of 30");
    // Of two draws one meets it in 7 of 16 requests: it has most of them, but
    // not all.
    let found = reach_the_idle_one(&least(json!({}))).await?;
    ensure!((4..28).contains(&found), "{found} of 30");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_hashes_has_the_size_that_is_asked_for() -> Result<()> {
    let upstreams = upstreams(2).await?;
    for (size, least, most) in [(json!(11), 5, 6), (Value::Null, 32_768, 32_769)] {
        let mut settings = json!({"type": "SourceIP"});
        if !size.is_null() {
            settings["tableSize"] = size;
        }
        let envoy = governed(&upstreams, &hash(settings)).await?;
        for (name, expected) in [("min", least), ("max", most)] {
            let name = format!("cluster.backend.maglev_lb.{name}_entries_per_host");
            wait_for_stat(&envoy, &name, |found| found == expected).await?;
        }
    }
    Ok(())
}

/// A cluster of endpoints that Envoy reads from a file.
fn discovered(file: &Path) -> Value {
    json!({
        "name": "backend", "type": "EDS", "connect_timeout": "1s",
        "eds_cluster_config": {"eds_config": {
            "resource_api_version": "V3",
            "path_config_source": {"path": file.display().to_string()},
        }},
    })
}

/// Writes the endpoints that Envoy reads, as a whole.
fn discover(file: &Path, upstreams: &[Upstream]) -> Result<()> {
    let mut assignment = cluster_of("backend", &addresses(upstreams))["load_assignment"].take();
    assignment["@type"] =
        "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment".into();
    let text = json!({ "resources": [assignment] }).to_string();
    let beside = file.with_extension("new");
    fs::write(&beside, text)?;
    Ok(fs::rename(beside, file)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_new_gets_little_at_first() -> Result<()> {
    const WINDOW: Duration = Duration::from_secs(6);
    for (window, expected) in [(Some(WINDOW), 5..=40), (None, 45..=55)] {
        let upstreams = upstreams(2).await?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("endpoints.json");
        discover(&file, &upstreams[..1])?;
        let mut bootstrap = Builder::new()
            .raw_cluster(discovered(&file))
            .route(Route::cluster("/", "backend"))
            .build()?;
        let mut spec = balancer(json!({"type": "RoundRobin"}));
        if let Some(window) = window {
            let window = format!("{}s", window.as_secs());
            spec["loadBalancer"]["slowStart"] = json!({ "window": window });
        }
        bootstrap.govern("backend", &spec)?;
        let envoy = Envoy::start(&bootstrap).await?;
        // The first endpoint was new, too.
        tokio::time::sleep(window.unwrap_or_default()).await;
        discover(&file, &upstreams)?;
        let members = "cluster.backend.membership_total";
        wait_for_stat(&envoy, members, |members| members == 2).await?;
        for _ in 0..100 {
            ensure!(envoy.get("/").await?.status == 200);
        }
        let found = upstreams[1].requests().len();
        ensure!(expected.contains(&found), "{window:?}: {found} of 100");
    }
    Ok(())
}

/// The module of `tests/modules` as Envoy looks for it, in a folder of its own.
fn module() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let library = folder.path().join("libfixed-endpoint.so");
    let built = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "cdylib",
            "-C",
            "panic=abort",
        ])
        .arg(repo::path("tests/modules/fixed_endpoint.rs"))
        .arg("-o")
        .arg(&library)
        .status()?;
    ensure!(built.success(), "the module cannot be built");
    Ok(folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_chooses_the_endpoint() -> Result<()> {
    let folder = module()?;
    // Its text is handed over as it is, and whatever else as JSON.
    for (config, chosen) in [
        (Value::Null, 0),
        (json!({"endpoint": 1}), 1),
        (json!("endpoint 2"), 2),
        (json!([1]), 1),
    ] {
        let upstreams = upstreams(3).await?;
        let mut bootstrap = backend(&upstreams)?;
        let spec = balancer(json!({"type": "DynamicModule", "dynamicModule": {
            "name": "fixed-endpoint", "lbPolicyName": "fixed", "config": config}}));
        bootstrap.govern("backend", &spec)?;
        let mut search = Command::new("env");
        search.arg(format!(
            "ENVOY_DYNAMIC_MODULES_SEARCH_PATH={}",
            folder.path().display()
        ));
        let envoy = Envoy::start_under(search, &bootstrap).await?;
        for _ in 0..5 {
            let taker = taker(&envoy, &upstreams, Request::get("/")).await?;
            ensure!(taker == chosen, "{config}: {taker}");
        }
    }
    Ok(())
}

/// The update is refused, and nothing is chosen by chance instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_not_there_is_told() -> Result<()> {
    let mut bootstrap = backend(&upstreams(1).await?)?;
    let spec = balancer(json!({"type": "DynamicModule", "dynamicModule": {
        "name": "not-there", "lbPolicyName": "fixed"}}));
    bootstrap.govern("backend", &spec)?;
    let log = Envoy::fails_to_start(&bootstrap).await?;
    ensure!(log.contains("libnot-there.so"), "{log}");
    Ok(())
}
