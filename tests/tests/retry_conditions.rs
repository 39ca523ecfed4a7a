//! `retry.retryOn.conditions` and retries of bodies, as `btp apply` puts them into force.

use anyhow::{Result, ensure};
use btp_tests::apply::{apply, lint};
use btp_tests::bootstrap::visit;
use btp_tests::client::h1;
use btp_tests::native::{cluster_of, nobody};
use btp_tests::{Bootstrap, Builder, Envoy, Reply, Request, Route, Upstream};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

/// Failed connections for all methods, statuses for those that may be sent twice.
const BY_METHOD: &str = "
retry:
    numRetries: 2
    retryOn:
      conditions:
      - triggers: [connect-failure, refused-stream]
      - httpStatusCodes: [503]
        methods: [Idempotent]
";

fn policy(spec: &str) -> String {
    let spec = spec.trim();
    format!("kind: BackendTrafficPolicy\nmetadata: {{name: p}}\nspec:\n  {spec}\n")
}

/// A configuration with a route to one upstream, and what is beside it.
fn before(upstream: &Upstream) -> Result<Bootstrap> {
    Builder::new()
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/", "backend"))
        .build()
}

/// Has Envoy treat what clients set as from inside.
fn trusting(config: &mut Value) {
    config["internal_address_config"] = json!({"cidr_ranges": [
        {"address_prefix": "127.0.0.0", "prefix_len": 8}]});
    config["use_remote_address"] = true.into();
}

/// An Envoy with this configuration under a policy, which it takes, and the report.
async fn applied(bootstrap: &Bootstrap, spec: &str) -> Result<(Envoy, String)> {
    let (bootstrap, report) = apply(bootstrap, &policy(spec))?;
    let said = Envoy::validate(&bootstrap).await?;
    ensure!(said.ok, "{}", said.log);
    Ok((Envoy::start(&bootstrap).await?, report))
}

/// The retry policy of the only route that has one.
fn retry_policy(bootstrap: &Bootstrap) -> Value {
    let mut found = Value::Null;
    let mut config = bootstrap.config().clone();
    visit(&mut config, &mut |it| {
        if !it["route"]["retry_policy"].is_null() {
            found = it["route"]["retry_policy"].clone();
        }
    });
    found
}

/// What became of a request whose first attempt gets a 503, and the attempts.
async fn after_503(envoy: &Envoy, upstream: &Upstream, request: Request) -> Result<(u16, usize)> {
    upstream.clear();
    upstream.script("/", [Reply::status(503)]);
    let status = h1::send(envoy.addr(), request).await?.status;
    let seen = upstream.requests().len();
    if status == 503 {
        ensure!(seen == 1, "{seen} attempts");
    }
    Ok((status, seen))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_tried_again_where_no_endpoint_has_seen_it() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .raw_cluster(cluster_of("backend", &[nobody()?, upstream.addr()]))
        .route(Route::cluster("/", "backend"))
        .build()?;
    let (envoy, _) = applied(&bootstrap, BY_METHOD).await?;
    for number in 0..20 {
        let response = h1::send(envoy.addr(), Request::new("POST", "/")).await?;
        ensure!(response.status == 200, "{number}: {}", response.status);
    }
    ensure!(upstream.requests().len() == 20);
    let post = Request::new("POST", "/");
    ensure!(after_503(&envoy, &upstream, post).await? == (503, 1));
    Ok(())
}

/// On a route without a retry policy the filter says it all.
#[tokio::test(flavor = "multi_thread")]
async fn the_filter_alone_does_the_same() -> Result<()> {
    let upstream = Upstream::start().await?;
    let spec = json!({"retry": {"numRetries": 9, "retryOn": {"conditions": [
        {"triggers": ["connect-failure"]},
        {"httpStatusCodes": [503], "methods": ["Idempotent"]}]}}});
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]});
    let bootstrap = Builder::new()
        .plugin(&plugin)
        .raw_cluster(cluster_of("backend", &[nobody()?, upstream.addr()]))
        .route(Route::cluster("/", "backend"))
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    // Without a predicate for hosts a retry may meet the dead endpoint again.
    for number in 0..4 {
        let response = h1::send(envoy.addr(), Request::new("POST", "/")).await?;
        ensure!(response.status == 200, "{number}: {}", response.status);
    }
    for (method, wanted) in [("POST", (503, 1)), ("PUT", (200, 2))] {
        let request = Request::new(method, "/");
        let found = after_503(&envoy, &upstream, request).await?;
        ensure!(found == wanted, "{method}: {found:?}");
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_tried_again_for_the_methods_of_their_condition() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = before(&upstream)?;
    let (envoy, report) = applied(&bootstrap, BY_METHOD).await?;
    for by in ["Envoy: its routes, route.retry_policy", "filter: listener"] {
        let field = report.split("retry.retryOn.conditions").nth(1);
        let field = field.and_then(|it| it.split("retry.").next());
        ensure!(field.is_some_and(|it| it.contains(by)), "{by}: {report}");
    }
    for (method, wanted) in [
        ("GET", (200, 2)),
        ("PUT", (200, 2)),
        ("DELETE", (200, 2)),
        ("POST", (503, 1)),
        ("PATCH", (503, 1)),
    ] {
        let request = Request::new(method, "/");
        let found = after_503(&envoy, &upstream, request).await?;
        ensure!(found == wanted, "{method}: {found:?}");
    }
    // The gate of a budget goes by the method, too.
    let spec = format!(
        "{}\n  retryConstraint: {{budget: {{percent: 50}}}}",
        BY_METHOD.trim_end()
    );
    let (envoy, _) = applied(&bootstrap, &spec).await?;
    for (method, wanted) in [("GET", (200, 2)), ("POST", (503, 1))] {
        let request = Request::new(method, "/");
        let found = after_503(&envoy, &upstream, request).await?;
        ensure!(found == wanted, "{method}: {found:?}");
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_condition_for_all_methods_the_route_retries_on_nothing() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = before(&upstream)?;
    bootstrap.edit_http("main", trusting)?;
    let spec = "retry: {numRetries: 1, retryOn: {conditions: [{triggers: [gateway-error], \
                methods: [GET]}, {httpStatusCodes: [503], methods: [HEAD, GET]}]}}";
    let (after, _) = apply(&bootstrap, &policy(spec))?;
    let on_route = retry_policy(&after);
    ensure!(on_route["num_retries"] == 1, "{on_route}");
    for name in ["retry_on", "retriable_status_codes"] {
        ensure!(on_route[name].is_null(), "{on_route}");
    }
    let (envoy, _) = applied(&bootstrap, spec).await?;
    for (method, wanted) in [("GET", (200, 2)), ("HEAD", (200, 2)), ("POST", (503, 1))] {
        let request = Request::new(method, "/");
        let found = after_503(&envoy, &upstream, request).await?;
        ensure!(found == wanted, "{method}: {found:?}");
    }
    // What a trusted client asks for is bounded by numRetries, or by there being none.
    for (method, tries) in [("GET", 2), ("POST", 1)] {
        upstream.clear();
        upstream.script("/", std::iter::repeat_n(Reply::status(503), 3));
        let request = Request::new(method, "/")
            .header("x-envoy-retry-on", "5xx")
            .header("x-envoy-max-retries", "9");
        ensure!(h1::send(envoy.addr(), request).await?.status == 503);
        let seen = upstream.requests().len();
        ensure!(seen == tries, "{method}: {seen}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_for_all_methods_are_envoys_alone() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = before(&upstream)?;
    let spec = r#""retry": {"retryOn": {"conditions": [{"triggers": ["connect-failure"]},
        {"httpStatusCodes": [429]}]}}"#;
    let (envoy, report) = applied(&bootstrap, spec).await?;
    ensure!(!report.contains("filter: "), "{report}");
    let (after, _) = apply(&bootstrap, &policy(spec))?;
    let on_route = retry_policy(&after);
    ensure!(on_route["retry_on"] == "connect-failure,retriable-status-codes");
    upstream.script("/", [Reply::status(429)]);
    let response = h1::send(envoy.addr(), Request::new("POST", "/")).await?;
    ensure!(response.status == 200 && upstream.requests().len() == 2);
    Ok(())
}

/// Another run finds nothing left of the first.
#[tokio::test(flavor = "multi_thread")]
async fn what_conditions_have_changed_is_undone() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = before(&upstream)?;
    let spec = format!(
        "{}\n  requestBuffer: {{mode: Stream, limit: 4Mi}}",
        BY_METHOD.trim_end()
    );
    let (after, _) = apply(&bootstrap, &policy(&spec))?;
    let plain = policy("timeout: {http: {requestTimeout: 9s}}");
    let (again, _) = apply(&after, &plain)?;
    let (direct, _) = apply(&bootstrap, &plain)?;
    ensure!(again.config() == direct.config(), "{}", again.config());
    Ok(())
}

/// Envoy retries no request whose body it does not hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_again_if_the_route_can_hold_it() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = before(&upstream)?;
    let post = |size: usize| Request::post("/", vec![b'x'; size]);
    let abandoned = "cluster.backend.retry_or_shadow_abandoned";
    let retry = "retry: {numRetries: 1}";
    let (envoy, _) = applied(&bootstrap, retry).await?;
    ensure!(after_503(&envoy, &upstream, post(MIB / 2)).await? == (200, 2));
    ensure!(envoy.stat(abandoned).await?.unwrap_or_default() == 0);
    ensure!(after_503(&envoy, &upstream, post(2 * MIB)).await? == (503, 1));
    ensure!(envoy.stat(abandoned).await? == Some(1));
    let spec = format!("{retry}\n  requestBuffer: {{mode: Stream, limit: 4Mi}}");
    let (envoy, report) = applied(&bootstrap, &spec).await?;
    ensure!(report.contains("request_body_buffer_limit"), "{report}");
    ensure!(after_503(&envoy, &upstream, post(2 * MIB)).await? == (200, 2));
    let seen = upstream.requests();
    ensure!(seen.iter().all(|it| it.body.len() == 2 * MIB));
    ensure!(envoy.stat(abandoned).await?.unwrap_or_default() == 0);
    // More than the policy lets pass is refused.
    upstream.clear();
    let response = h1::send(envoy.addr(), post(5 * MIB)).await?;
    ensure!(response.status == 413, "{}", response.status);
    Ok(())
}

/// Where the filter is set up by hand, nobody has raised Envoy's buffer.
#[test]
fn lint_says_up_to_which_size_a_body_is_sent_again() -> Result<()> {
    let with = |route: &Value| {
        let route = route.clone();
        Builder::new()
            .plugin(&json!({"policies": []}))
            .cluster("backend", "127.0.0.1:1".parse()?)
            .route(Route::cluster("/", "backend").edit(move |it| {
                it["request_body_buffer_limit"] = route;
            }))
            .build()
    };
    let retried = policy("retry: {numRetries: 2}\n  requestBuffer: {mode: Stream, limit: 4Mi}");
    let gathered = policy("requestBuffer: {limit: 4Mi}");
    for (policy, wanted) in [
        (
            &retried,
            "Envoy retries a request only if its body has at most 512Ki on route",
        ),
        (&gathered, "Envoy buffers at most 512Ki on route"),
    ] {
        let said = lint(&with(&json!(MIB / 2))?, policy)?;
        ensure!(said.contains(wanted), "{said}");
        let said = lint(&with(&json!(4 * MIB))?, policy)?;
        ensure!(!said.contains("at most"), "{said}");
    }
    // Without the filter `btp apply` is still to come.
    let bare = Builder::new()
        .cluster("backend", "127.0.0.1:1".parse()?)
        .route(Route::cluster("/", "backend"))
        .build()?;
    let said = lint(&bare, &retried)?;
    ensure!(!said.contains("at most"), "{said}");
    Ok(())
}
