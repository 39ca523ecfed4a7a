//! Global limits beside other things: local limits, rules of a policy above, a filter of
//! a person's own, names that mean something elsewhere; and that they go without a trace.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::fleet::Applying;
use btp_tests::rate_limit_service::Format;
use btp_tests::{Builder, Envoy, Fleet, RateLimitService, Redis, Request, Route, Upstream, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

const FORMATS: [Format; 2] = [Format::Envoy, Format::Limitador];
/// How long a cost may take that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(20);
const OWN: &str = "envoy.filters.http.ratelimit";
const RATE_LIMIT: &str = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit";

fn policy(name: &str, spec: &Value) -> Value {
    json!({"kind": "BackendTrafficPolicy", "metadata": {"name": name}, "spec": spec})
}

/// The same for these routes.
fn policy_of(routes: &[&str], name: &str, spec: &Value) -> Value {
    let targets = routes
        .iter()
        .map(|it| json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": it}));
    let mut policy = policy(name, spec);
    policy["spec"]["targetRefs"] = targets.collect();
    policy
}

fn global(rules: &Value) -> Value {
    json!({"rateLimit": {"global": {"rules": rules}}})
}

fn a_year(requests: u32) -> Value {
    json!({"requests": requests, "unit": "Year"})
}

fn route(name: &str, prefix: &str) -> Route {
    Route::cluster(prefix, "backend").named(name)
}

fn builder(upstream: &Upstream) -> Builder {
    Builder::new().cluster("backend", upstream.addr())
}

/// An Envoy that refuses by its local limit asks nobody. What the service refuses has
/// taken its local tokens.
#[tokio::test(flavor = "multi_thread")]
async fn local_limits_come_first() -> Result<()> {
    let upstream = Upstream::start().await?;
    let both = |local: u32, global: u32| {
        json!({"rateLimit": {
            "local": {"rules": [{"limit": {"requests": local, "unit": "Hour"}}]},
            "global": {"rules": [{"limit": a_year(global)}]}}})
    };
    let bootstrap = builder(&upstream)
        .route(route("shield", "/shield"))
        .route(route("scarce", "/scarce"))
        .build()?;
    let policies = [
        policy_of(&["shield"], "shield", &both(2, 100)),
        policy_of(&["scarce"], "scarce", &both(2, 1)),
    ];
    let applying = Applying::new(&bootstrap, Format::Envoy, &[])?;
    let fleet = Fleet::start(applying, &policies).await?;
    // Two by each Envoy.
    let shield = Request::get("/shield");
    let passed = fleet.answers(&shield, &[200; 4]).await?;
    let told = passed.map(|it| it.header_values("x-ratelimit-limit").len());
    ensure!(told == Some(2), "{told:?} headers of two limits");
    fleet.answers(&shield, &[429; 4]).await?;
    let counted = fleet.redis.counted("/shield").await?;
    ensure!(counted == 4, "{counted} of four that passed the shield");

    let scarce = Request::get("/scarce");
    fleet.answers(&scarce, &[200, 429, 429, 429]).await?;
    let counted = fleet.redis.counted("/scarce").await?;
    ensure!(counted == 4, "{counted} of four asked for");
    fleet.answers(&scarce, &[429, 429]).await?;
    let counted = fleet.redis.counted("/scarce").await?;
    ensure!(
        counted == 4,
        "{counted}: a refused request left its local token"
    );
    for envoy in &fleet.envoys {
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// What the service refuses has a response of Envoy's, and that costs as others do.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_local_limit_refuses_costs_no_response_either() -> Result<()> {
    let upstream = Upstream::start().await?;
    let cost = json!({"request": {"from": "Number", "number": 1},
        "response": {"from": "Number", "number": 10}});
    let bootstrap = builder(&upstream)
        .route(route("local", "/local"))
        .route(route("global", "/global"))
        .build()?;
    let mut local = global(&json!([{"limit": a_year(100), "cost": cost}]));
    local["rateLimit"]["local"] = json!({"rules": [{"limit": {"requests": 1, "unit": "Hour"}}]});
    let scarce = global(&json!([{"limit": a_year(2), "cost": cost}]));
    let policies = [
        policy_of(&["local"], "local", &local),
        policy_of(&["global"], "global", &scarce),
    ];
    let applying = Applying::new(&bootstrap, Format::Envoy, &[])?;
    let fleet = Fleet::start(applying, &policies).await?;
    let counted = async |route: &str, wanted: u64| {
        let part = format!("/{route}_");
        wait::until_async(&format!("{wanted} of {route}"), PATIENCE, async || {
            let is_there = fleet.redis.counted(&part).await? == wanted;
            Ok(is_there.then_some(()))
        })
        .await
    };
    let wanted = [200, 200, 429, 429];
    fleet.answers(&Request::get("/local"), &wanted).await?;
    counted("local", 22).await?;
    fleet.answers(&Request::get("/global"), &[200]).await?;
    counted("global", 11).await?;
    fleet.answers(&Request::get("/global"), &[429]).await?;
    counted("global", 22).await?;
    counted("local", 22).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_of_the_policy_replaces_the_refusal() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = builder(&upstream).route(route("all", "/")).build()?;
    let mut spec = global(&json!([{"limit": a_year(1)}]));
    spec["responseOverride"] = json!([{
        "match": {"statusCodes": [{"type": "Value", "value": 429}]},
        "response": {"statusCode": 503, "body": {"type": "Inline", "inline": "come again"}}}]);
    let applying = Applying::new(&bootstrap, Format::Envoy, &[])?;
    let fleet = Fleet::start(applying, &[policy("p", &spec)]).await?;
    let last = fleet.answers(&Request::get("/"), &[200, 503, 503]).await?;
    let text = last.map(|it| it.text());
    ensure!(text.as_deref() == Some("come again"), "{text:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_both_policies_count_after_a_strategic_merge() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = builder(&upstream)
        .route(route("shop/a", "/shop/a"))
        .route(route("shop/b", "/shop/b"))
        .route(route("cart", "/"))
        .build()?;
    let above = global(&json!([
        {"clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}],
            "limit": a_year(1)},
        {"clientSelectors": [{"headers": [{"name": "x-all", "value": "1"}]}],
            "limit": a_year(2), "shared": true}]));
    let mut own = global(&json!([{"limit": a_year(3)}]));
    own["mergeType"] = "StrategicMerge".into();
    let policies = [policy("above", &above), policy_of(&["shop"], "own", &own)];
    for format in FORMATS {
        let applying = Applying::new(&bootstrap, format, &[])?;
        let fleet = Fleet::start(applying, &policies).await?;
        let of = |path: &str, user: &str| Request::get(path).header("x-user", user);
        fleet.answers(&Request::get("/shop/a"), &[200, 200]).await?;
        fleet.answers(&of("/shop/a", "ann"), &[200]).await?;
        fleet.answers(&of("/shop/a", "bob"), &[429]).await?;
        fleet.answers(&of("/shop/b", "ann"), &[200, 429]).await?;
        fleet.answers(&of("/cart", "ann"), &[200, 429]).await?;
        fleet.answers(&Request::get("/cart"), &[200; 5]).await?;
        let all = |path: &str| Request::get(path).header("x-all", "1");
        fleet.answers(&all("/shop/b"), &[200]).await?;
        fleet.answers(&all("/cart"), &[200, 429]).await?;
        fleet.answers(&all("/shop/b"), &[429]).await?;
    }
    Ok(())
}

/// A person's filter has another service, which counts for another domain.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_there_asks_its_own_service_and_ours_asks_once() -> Result<()> {
    let dir = TempDir::new()?;
    let limits = dir.path().join("own.yaml");
    let text = "
domain: own
descriptors:
- {key: own, value: all, rate_limit: {unit: year, requests_per_unit: 4}}
";
    fs::write(&limits, text)?;
    let redis = Redis::start().await?;
    let service = RateLimitService::start(Format::Envoy, &limits, &redis).await?;
    let upstream = Upstream::start().await?;
    let filter = json!({"name": OWN, "typed_config": {
        "@type": RATE_LIMIT, "domain": "own", "timeout": "20s",
        "rate_limit_service": {"transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "own"}}}}});
    let own = |it: Route| {
        it.edit(|it| {
            it["route"]["rate_limits"] = json!([{"actions": [
                {"generic_key": {"descriptor_key": "own", "descriptor_value": "all"}}]}]);
        })
    };
    let bootstrap = builder(&upstream)
        .cluster_h2("own", service.address())
        .http_filter(filter)
        .route(own(route("both", "/both")))
        .route(own(route("own", "/own")))
        .route(route("ours", "/ours"))
        .build()?;
    let rules = json!([{"limit": a_year(2)}]);
    let policies = [policy_of(&["both", "ours"], "p", &global(&rules))];
    let applying = Applying::new(&bootstrap, Format::Envoy, &[])?;
    let fleet = Fleet::start(applying, &policies).await?;
    let counts = async || anyhow::Ok([redis.counted("").await?, fleet.redis.counted("").await?]);

    fleet
        .answers(&Request::get("/ours"), &[200, 200, 429])
        .await?;
    ensure!(counts().await? == [0, 3], "{:?}", counts().await?);
    fleet
        .answers(&Request::get("/both"), &[200, 200, 429])
        .await?;
    ensure!(counts().await? == [3, 6], "{:?}", counts().await?);
    fleet.answers(&Request::get("/own"), &[200, 429]).await?;
    ensure!(counts().await? == [5, 6], "{:?}", counts().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_have_a_count_each_whatever_they_are_called() -> Result<()> {
    const NAMES: [&str; 22] = [
        "*", "a*", "a", "a|b", "a||b", "a'b", "a\"b", "ä", "a~2A", "a b", "a_b", "a\\b", "a\\\\b",
        "%REQ(x)%", "{a}", "1.5", "1e3", "true", "null", "0x10", "~route/1", "",
    ];
    let upstream = Upstream::start().await?;
    let mut bootstrap = builder(&upstream).build()?;
    let to = |name: &str, prefix: String| json!({"name": name, "match": {"prefix": prefix}, "route": {"cluster": "backend"}});
    let numbered = NAMES.iter().enumerate();
    let routes: Vec<Value> = numbered.map(|(i, it)| to(it, format!("/{i}/"))).collect();
    // Names with the signs between them in other places.
    let hosts = json!([
        {"name": "all", "domains": ["*"], "routes": routes},
        {"name": "a", "domains": ["one"], "routes": [to("b/c", "/".to_owned())]},
        {"name": "a/b", "domains": ["two"], "routes": [to("c", "/".to_owned())]},
        {"name": "a~2Fb", "domains": ["three"], "routes": [to("c", "/".to_owned())]},
    ]);
    bootstrap.edit_http("main", |http| {
        http["route_config"]["virtual_hosts"] = hosts;
    })?;
    let rules = json!([{"limit": a_year(1)}]);
    for format in FORMATS {
        let applying = Applying::new(&bootstrap, format, &[])?;
        let fleet = Fleet::start(applying, &[policy("p", &global(&rules))]).await?;
        for index in 0..NAMES.len() {
            let request = Request::get(&format!("/{index}/"));
            fleet.answers(&request, &[200, 429]).await?;
        }
        for host in ["one", "two", "three"] {
            let request = Request::get("/").host(host);
            fleet.answers(&request, &[200, 429]).await?;
        }
    }
    Ok(())
}

/// The double refuses numbers where texts are wanted, as ratelimit does.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_look_like_numbers_stay_texts() -> Result<()> {
    const DOMAINS: [&str; 9] = [
        "1.5",
        "0x10",
        "true",
        "null",
        "-",
        "---",
        "1_000",
        ".inf",
        "2026-11-29",
    ];
    let upstream = Upstream::start().await?;
    let bootstrap = builder(&upstream).route(route("1.5", "/")).build()?;
    let rules = json!([
        {"limit": a_year(2)},
        {"clientSelectors": [{"headers": [{"name": "1e3", "value": "0x10"}]}],
            "limit": a_year(1), "shared": true}]);
    let mut policy = policy("1e3", &global(&rules));
    policy["metadata"]["namespace"] = "0x10".into();
    let redis = Redis::start().await?;
    for format in FORMATS {
        for domain in DOMAINS {
            let options = ["--rate-limit-domain", domain].join("=");
            let applying = Applying::new(&bootstrap, format, &[&options])?;
            applying.succeed(std::slice::from_ref(&policy), "127.0.0.1:1")?;
            RateLimitService::start(format, &applying.limits(), &redis).await?;
        }
        let applying = Applying::new(&bootstrap, format, &["--rate-limit-domain=1e3"])?;
        let fleet = Fleet::start(applying, std::slice::from_ref(&policy)).await?;
        let one = Request::get("/").header("1e3", "0x10");
        fleet.answers(&Request::get("/"), &[200]).await?;
        fleet.answers(&one, &[200, 429]).await?;
        fleet.answers(&Request::get("/"), &[429]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_global_limits_takes_out_what_was_put_in() -> Result<()> {
    let upstream = Upstream::start().await?;
    let base = builder(&upstream).route(route("all", "/")).build()?;
    let rules = json!([{"limit": a_year(0)}]);
    let applying = Applying::new(&base, Format::Envoy, &["--rate-limit-fail-closed"])?;
    applying.succeed(&[policy("p", &global(&rules))], "127.0.0.1:1")?;
    let limited = applying.written()?;
    let other = policy("p", &json!({"timeout": {"http": {"requestTimeout": "5s"}}}));
    let (undone, _) = limited.applied(&other, &[])?;
    let (never, _) = base.applied(&other, &[])?;
    ensure!(limited.config().to_string().contains("btp.ratelimit"));
    ensure!(undone.config() == never.config(), "{}", undone.config());
    let envoy = Envoy::start(&limited).await?;
    ensure!(envoy.get("/").await?.status == 503);
    let envoy = Envoy::start(&undone).await?;
    ensure!(envoy.get("/").await?.status == 200);
    Ok(())
}
