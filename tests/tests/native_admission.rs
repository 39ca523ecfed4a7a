//! `admissionControl` on the real Envoy: what it turns away, what it judges by, and
//! what else sees a cluster's tries beside it.

use anyhow::{Context as _, Result, ensure};
use btp_tests::apply::{apply, ensure_undone, lint};
use btp_tests::client::{grpc, h2};
use btp_tests::native::{governed, upstreams};
use btp_tests::{Bootstrap, Builder, Envoy, Request, Response, Route, Upstream};
use serde_json::{Value, json};

/// Enough for the share of rejections to come near what it is to be.
const MANY: usize = 120;
/// Half of them: of as many failures in a row Envoy lets about a quarter through.
const HALF: usize = MANY / 2;
const REJECTED: &str = "admission_control.rq_rejected";

/// A reply of Envoy's, and not of an upstream.
fn is_rejection(response: &Response) -> bool {
    response.status == 503 && response.header("x-upstream").is_none()
}

/// How many of so many requests for these paths, in turns, are rejected.
async fn rejections(envoy: &Envoy, count: usize, paths: &[&str]) -> Result<usize> {
    let mut rejected = 0;
    for path in paths.iter().cycle().take(count) {
        let response = envoy.get(path).await?;
        rejected += usize::from(is_rejection(&response));
    }
    Ok(rejected)
}

/// An Envoy with this `admissionControl` in front of an upstream.
async fn controlled(admission: Value) -> Result<(Envoy, Upstream)> {
    let mut upstreams = upstreams(1).await?;
    let spec = json!({ "admissionControl": admission });
    let envoy = governed(&upstreams, &spec).await?;
    Ok((envoy, upstreams.remove(0)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_is_spared_and_a_healthy_one_is_not() -> Result<()> {
    let (envoy, upstream) = controlled(json!({})).await?;
    ensure!(rejections(&envoy, MANY, &["/fine"]).await? == 0);
    ensure!(upstream.requests().len() == MANY);
    let (envoy, upstream) = controlled(json!({})).await?;
    let rejected = rejections(&envoy, MANY, &["/status/500"]).await?;
    let reached = upstream.requests().len();
    ensure!(reached < HALF && reached + rejected == MANY, "{reached}");
    let counted = envoy.stat(&format!("cluster.backend.{REJECTED}")).await?;
    ensure!(counted == Some(rejected as u64), "{counted:?}");
    for _ in 0..20 {
        let response = envoy.get("/fine").await?;
        if is_rejection(&response) {
            ensure!(response.body.is_empty(), "{response:?}");
            return Ok(());
        }
    }
    anyhow::bail!("nothing was rejected after all the failures");
}

/// So many a second, over the whole window.
#[tokio::test(flavor = "multi_thread")]
async fn below_the_request_rate_nobody_is_turned_away() -> Result<()> {
    for (window, is_below) in [("1s", false), ("100s", true)] {
        let admission = json!({"minRequestRate": 5, "samplingWindow": window});
        let (envoy, _upstream) = controlled(admission).await?;
        let rejected = rejections(&envoy, MANY, &["/status/500"]).await?;
        ensure!((rejected == 0) == is_below, "{window}: {rejected}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_largest_share_is_turned_away() -> Result<()> {
    for (percent, expected) in [(0, 0..=0), (20, 5..=HALF), (100, MANY * 4 / 5..=MANY)] {
        let (envoy, _upstream) = controlled(json!({ "maxRejectionPercent": percent })).await?;
        let rejected = rejections(&envoy, MANY, &["/status/500"]).await?;
        ensure!(expected.contains(&rejected), "{percent} %: {rejected}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_success_rate_nobody_is_turned_away() -> Result<()> {
    for (least, is_above) in [(20, true), (95, false)] {
        let (envoy, _upstream) = controlled(json!({ "minSuccessRate": least })).await?;
        ensure!(rejections(&envoy, 40, &["/fine"]).await? == 0);
        let half = ["/fine", "/status/500"];
        let rejected = rejections(&envoy, 2 * MANY, &half).await?;
        ensure!((rejected == 0) == is_above, "{least} %: {rejected}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_aggression_turns_more_away_for_the_same_failures() -> Result<()> {
    let mut found = Vec::new();
    for aggression in [1, 20] {
        let (envoy, _upstream) = controlled(json!({ "rejectionAggression": aggression })).await?;
        ensure!(rejections(&envoy, HALF, &["/fine"]).await? == 0);
        let quarter = ["/fine", "/fine", "/fine", "/status/500"];
        found.push(rejections(&envoy, MANY, &quarter).await?);
    }
    ensure!(found[1] > found[0] + 20, "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_count_as_success_if_they_are_listed_and_else_below_500() -> Result<()> {
    let only = |code: u16| json!({"successCriteria": {"http": {"statusCodes": [code]}}});
    for (admission, path, is_success) in [
        (json!({}), "/status/404", true),
        (only(200), "/status/404", false),
        (only(200), "/status/200", true),
        (only(599), "/status/599", true),
        // An empty list says nothing, and the other protocol's nothing of this.
        (
            json!({"successCriteria": {"http": {"statusCodes": []}}}),
            "/status/404",
            true,
        ),
        (
            json!({"successCriteria": {"grpc": {"statusCodes": ["Ok"]}}}),
            "/status/404",
            true,
        ),
    ] {
        let (envoy, _upstream) = controlled(admission.clone()).await?;
        let rejected = rejections(&envoy, MANY, &[path]).await?;
        ensure!((rejected == 0) == is_success, "{admission}: {rejected}");
    }
    Ok(())
}

/// How many of the calls with this status do not come to the upstream.
async fn rejected_calls(admission: Value, status: u32) -> Result<usize> {
    let upstreams = upstreams(1).await?;
    let spec = json!({"useClientProtocol": true, "admissionControl": admission});
    let envoy = governed(&upstreams, &spec).await?;
    for _ in 0..MANY {
        let request = grpc::request(&format!("/grpc/{status}"), b"message");
        h2::send(envoy.addr(), request).await?;
    }
    Ok(MANY - upstreams[0].requests().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_statuses_count_by_their_names() -> Result<()> {
    let only = |name: &str| json!({"successCriteria": {"grpc": {"statusCodes": [name]}}});
    for (admission, status, is_success) in [
        (json!({}), 5, true),
        (json!({}), 14, false),
        (only("Unavailable"), 14, true),
        (only("Unauthenticated"), 16, true),
        (only("Ok"), 5, false),
        // What is said of HTTP leaves Envoy's statuses of gRPC.
        (
            json!({"successCriteria": {"http": {"statusCodes": [418]}}}),
            5,
            true,
        ),
    ] {
        let rejected = rejected_calls(admission.clone(), status).await?;
        ensure!(
            (rejected == 0) == is_success,
            "{admission}, {status}: {rejected}"
        );
    }
    Ok(())
}

const TARGET: &str = "group: gateway.networking.k8s.io, kind: HTTPRoute, name";

/// A policy for a route, with the other lines of its `spec`.
fn policy(route: &str, lines: &str) -> String {
    format!(
        "kind: BackendTrafficPolicy\nmetadata: {{name: {route}}}\nspec:\n  \
         targetRefs: [{{{TARGET}: {route}}}]\n  {lines}\n---\n"
    )
}

/// Routes of these names at the paths `/status/500?NAME`, all to one cluster.
fn shared(upstream: &Upstream, routes: &[&str]) -> Result<Bootstrap> {
    let mut builder = Builder::new().cluster("backend", upstream.addr());
    for name in routes {
        let route = Route::cluster("/", "backend").named(name);
        builder = builder.route(route.edit(|route| {
            let matcher = json!({"exact": name});
            route["match"]["headers"] = json!([{"name": "x-route", "string_match": matcher}]);
        }));
    }
    builder.build()
}

/// How many of so many requests of a route are rejected.
async fn rejected_on(envoy: &Envoy, route: &str, path: &str, count: usize) -> Result<usize> {
    let mut rejected = 0;
    for _ in 0..count {
        let request = Request::get(path).header("x-route", route);
        rejected += usize::from(is_rejection(&envoy.send(request).await?));
    }
    Ok(rejected)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_judges_by_its_own_requests() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = shared(&upstream, &["bad", "good", "free"])?;
    let policies = ["bad", "good"].map(|it| policy(it, "admissionControl: {}"));
    let (applied, report) = apply(&bootstrap, &policies.concat())?;
    for name in ["backend-default-bad", "backend-default-good"] {
        let line =
            format!("cluster {name}, HttpProtocolOptions.http_filters btp.admission_control");
        ensure!(report.contains(&line), "{report}");
    }
    let envoy = Envoy::start(&applied).await?;
    let bad = rejected_on(&envoy, "bad", "/status/500", MANY).await?;
    ensure!(bad > HALF, "{bad}");
    for route in ["good", "free"] {
        let rejected = rejected_on(&envoy, route, "/fine", MANY).await?;
        ensure!(rejected == 0, "{route}: {rejected}");
    }
    // What no policy governs is let through, however it fails.
    ensure!(rejected_on(&envoy, "free", "/status/500", HALF).await? == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_control_is_undone_and_made_again_the_same() -> Result<()> {
    let upstream = Upstream::start().await?;
    for routes in [&["shop"][..], &["shop", "free"]] {
        let bootstrap = shared(&upstream, routes)?;
        let admitted = policy("shop", "admissionControl: {minSuccessRate: 90}");
        let other = policy("shop", "timeout: {http: {requestTimeout: 9s}}");
        ensure_undone(&bootstrap, &admitted, &other)?;
    }
    Ok(())
}

const CODEC: &str =
    "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";

/// A filter that adds a header to each try, and the codec.
fn marking() -> Value {
    const MUTATION: &str =
        "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
    json!([
        {"name": "mark", "typed_config": {"@type": MUTATION, "mutations": {"request_mutations": [
            {"append": {"header": {"key": "x-mark", "value": "yes"}}}]}}},
        {"name": "codec", "typed_config": {"@type": CODEC}},
    ])
}

fn put_behind_router(bootstrap: &mut Bootstrap, filters: Value) -> Result<()> {
    bootstrap.edit_http("main", |http| {
        let router = http["http_filters"].as_array_mut();
        if let Some(router) = router.and_then(|it| it.last_mut()) {
            router["typed_config"]["upstream_http_filters"] = filters;
        }
    })?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_behind_the_router_come_along() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = shared(&upstream, &["shop"])?;
    let mut filters = marking();
    if let Some(list) = filters.as_array_mut() {
        list.insert(0, own_control(99));
    }
    put_behind_router(&mut bootstrap, filters)?;
    let (applied, report) = apply(&bootstrap, &policy("shop", "admissionControl: {}"))?;
    ensure!(report.contains("upstream_http_filters mine"), "{report}");
    let envoy = Envoy::start(&applied).await?;
    ensure!(rejected_on(&envoy, "shop", "/status/500", MANY).await? > HALF);
    let seen = upstream.requests();
    ensure!(!seen.is_empty() && seen.iter().all(|it| it.header("x-mark").is_some()));
    Ok(())
}

/// A person's admission control, which turns nobody away below so many requests a second.
fn own_control(rate: u32) -> Value {
    const TYPE: &str =
        "type.googleapis.com/envoy.extensions.filters.http.admission_control.v3.AdmissionControl";
    json!({"name": "mine", "typed_config": {"@type": TYPE, "enabled": {"default_value": true},
        "rps_threshold": {"default_value": rate}, "success_criteria": {}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_wins_over_a_clusters_own_admission_control() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = shared(&upstream, &["shop"])?;
    let mut filters = marking();
    if let Some(list) = filters.as_array_mut() {
        list.insert(1, own_control(1_000_000));
    }
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    bootstrap.edit(|config| {
        let cluster = &mut config["static_resources"]["clusters"][0];
        cluster["typed_extension_protocol_options"] = json!({OPTIONS: {
            "@type": format!("type.googleapis.com/{OPTIONS}"),
            "explicit_http_config": {"http_protocol_options": {}}, "http_filters": filters}});
    });
    let (applied, report) = apply(&bootstrap, &policy("shop", "admissionControl: {}"))?;
    ensure!(
        report.contains("replaced: cluster backend: HttpProtocolOptions.http_filters mine"),
        "{report}"
    );
    let envoy = Envoy::start(&applied).await?;
    ensure!(rejected_on(&envoy, "shop", "/status/500", MANY).await? > HALF);
    let seen = upstream.requests();
    ensure!(!seen.is_empty() && seen.iter().all(|it| it.header("x-mark").is_some()));
    Ok(())
}

/// The origin is well: what fails is what a policy injects.
#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_is_faulted_counts_as_one_that_failed() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = shared(&upstream, &["shop"])?;
    let fault = "faultInjection: {position: Upstream, abort: {httpStatus: 503}}";
    let (alone, _) = apply(&bootstrap, &policy("shop", fault))?;
    let envoy = Envoy::start(&alone).await?;
    ensure!(rejected_on(&envoy, "shop", "/fine", 20).await? == 0);
    upstream.clear();
    let both = policy("shop", &format!("{fault}\n  admissionControl: {{}}"));
    let (applied, report) = apply(&bootstrap, &both)?;
    ensure!(
        report.contains("cluster backend, http_filters[1]"),
        "{report}"
    );
    let envoy = Envoy::start(&applied).await?;
    let rejected = rejected_on(&envoy, "shop", "/fine", MANY).await?;
    let reached = upstream.requests().len();
    ensure!(rejected > HALF && reached == MANY - rejected, "{rejected}");
    let response = loop {
        let request = Request::get("/fine").header("x-route", "shop");
        let response = envoy.send(request).await?;
        if !is_rejection(&response) {
            break response;
        }
    };
    ensure!(response.status == 503, "the fault is gone: {response:?}");
    Ok(())
}

/// The gate is the filter's, and has to be in the cluster's list as well.
#[tokio::test(flavor = "multi_thread")]
async fn retries_are_bounded_beside_an_admission_control() -> Result<()> {
    const NOBODY_REJECTED: &str = "admissionControl: {minRequestRate: 1000000}";
    const RETRY: &str = "retry: {numRetries: 3, retryOn: {triggers: [5xx]}}";
    const BOUND: &str = "retryConstraint: {budget: {percent: 20, interval: 60s}, \
                         minRetryRate: {count: 1, interval: 1h}}";
    let mut tries = Vec::new();
    for lines in [
        format!("{NOBODY_REJECTED}\n  {RETRY}"),
        format!("{NOBODY_REJECTED}\n  {RETRY}\n  {BOUND}"),
    ] {
        let upstream = Upstream::start().await?;
        let bootstrap = shared(&upstream, &["shop"])?;
        let (applied, _) = apply(&bootstrap, &policy("shop", &lines))?;
        let envoy = Envoy::start(&applied).await?;
        ensure!(rejected_on(&envoy, "shop", "/status/503", HALF).await? == 0);
        tries.push(upstream.requests().len());
    }
    ensure!(tries[0] == 4 * HALF, "{tries:?}");
    // A fifth of the requests, and two that the floor pays for.
    ensure!(
        tries[1] > HALF && tries[1] <= HALF + HALF / 5 + 2,
        "{tries:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_ends_a_request_that_would_be_tried_again() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = shared(&upstream, &["shop"])?;
    let lines = "retry: {numRetries: 3, retryOn: {triggers: [5xx]}}\n  admissionControl: {}";
    let policies = policy("shop", lines);
    let said = lint(&bootstrap, &policies)?;
    ensure!(said.contains("BTP0546"), "{said}");
    let (applied, _) = apply(&bootstrap, &policies)?;
    let envoy = Envoy::start(&applied).await?;
    let rejected = rejected_on(&envoy, "shop", "/status/500", MANY).await?;
    let counted = envoy.stat(&format!("cluster.backend.{REJECTED}")).await?;
    let counted = counted.context("no rejections are counted")?;
    ensure!(
        rejected > HALF && rejected as u64 == counted,
        "{rejected}, {counted}"
    );
    Ok(())
}
