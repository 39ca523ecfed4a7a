//! `spec.retry` on the real Envoy: what the router is told, and when not.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::{h1, h2};
use btp_tests::{Builder, Envoy, Reply, Request, Route, Upstream};
use serde_json::{Value, json};

const MS: Duration = Duration::from_millis(1);

fn plugin(spec: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]})
}

fn applied(spec: &Value) -> Value {
    let mut plugin = plugin(spec);
    plugin["nativeFields"] = "Applied".into();
    plugin
}

async fn start(plugin: &Value, edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .plugin(plugin)
        .cluster("backend", upstream.addr())
        .cluster_h2("backend-h2", upstream.addr());
    let builder = edit(builder).route(Route::cluster("/", "backend"));
    let envoy = Envoy::start(&builder.build()?).await?;
    Ok((envoy, upstream))
}

/// Makes every client one that Envoy trusts, whose own orders it keeps.
fn trusting(config: &mut Value) {
    config["internal_address_config"] = json!({"cidr_ranges": [
        {"address_prefix": "127.0.0.0", "prefix_len": 8}]});
    config["use_remote_address"] = true.into();
}

fn failures(count: usize) -> impl Iterator<Item = Reply> {
    std::iter::repeat_n(Reply::status(503), count)
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_happen_on_a_route_without_a_policy() -> Result<()> {
    let (envoy, upstream) = start(&plugin(&json!({"retry": {}})), |b| b).await?;
    upstream.script("/twice", failures(2));
    let response = envoy.get("/twice").await?;
    ensure!(response.status == 200, "{response:?}");
    ensure!(upstream.requests_under("/twice").len() == 3);
    upstream.script("/thrice", failures(3));
    ensure!(envoy.get("/thrice").await?.status == 503);
    let seen = upstream.requests_under("/thrice");
    ensure!(seen.len() == 3);
    for name in [
        "x-envoy-max-retries",
        "x-envoy-retry-on",
        "x-envoy-retry-grpc-on",
        "x-envoy-retriable-status-codes",
    ] {
        ensure!(
            seen.iter().all(|seen| seen.header(name).is_none()),
            "{name}"
        );
    }
    // Other statuses are final.
    ensure!(envoy.get("/a/status/500").await?.status == 500);
    ensure!(upstream.requests_under("/a/").len() == 1);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_works_without_its_trigger() -> Result<()> {
    let spec = json!({"retry": {"numRetries": 3, "retryOn":
        {"triggers": ["connect-failure"], "httpStatusCodes": [418, 500]}}});
    let (envoy, upstream) = start(&plugin(&spec), |b| b).await?;
    for status in [418, 500] {
        ensure!(envoy.get(&format!("/status/{status}")).await?.status == status);
        ensure!(upstream.requests().len() == 4);
        upstream.clear();
    }
    ensure!(envoy.get("/status/503").await?.status == 503);
    ensure!(upstream.requests().len() == 1);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_wanted_methods_are_tried_again() -> Result<()> {
    let spec = json!({"retry": {"methods": ["Idempotent", "PATCH"]}});
    let native = |route: &mut Value| {
        route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 5});
    };
    let (envoy, upstream) = start(&plugin(&spec), |b| {
        b.route(Route::cluster("/native/", "backend").edit(native))
    })
    .await?;
    for (method, tries) in [("GET", 3), ("PUT", 3), ("PATCH", 3), ("POST", 1)] {
        for prefix in ["/a", "/native"] {
            upstream.clear();
            let path = format!("{prefix}/status/503");
            h1::send(envoy.addr(), Request::new(method, &path)).await?;
            let seen = upstream.requests().len();
            ensure!(seen == tries, "{method} {prefix}: {seen}");
        }
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_ends_after_its_time() -> Result<()> {
    let spec = json!({"retry": {"retryOn": {"triggers": ["gateway-error"]},
        "perRetry": {"timeout": "300ms"}}});
    let (envoy, upstream) = start(&plugin(&spec), |b| b).await?;
    upstream.script("/slow", [Reply::hang()]);
    let response = envoy.get("/slow").await?;
    ensure!(response.status == 200 && response.elapsed >= 300 * MS);
    ensure!(upstream.requests().len() == 2);
    envoy.assert_vm_alive().await
}

/// No response, no status: only some triggers are for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_took_too_long_is_tried_again_as_a_reset_is() -> Result<()> {
    for (retry_on, tries) in [
        (json!({"triggers": ["reset"]}), 3),
        (json!({"triggers": ["5xx"]}), 3),
        (json!({"triggers": ["connect-failure"]}), 1),
        (json!({"httpStatusCodes": [503, 504]}), 1),
    ] {
        let spec = json!({"retry": {"retryOn": &retry_on, "perRetry": {"timeout": "100ms"}}});
        let (envoy, upstream) = start(&plugin(&spec), |b| b).await?;
        upstream.script("/slow", std::iter::repeat_n(Reply::hang(), 3));
        let response = envoy.get("/slow").await?;
        ensure!(response.status == 504, "{retry_on}: {response:?}");
        let seen = upstream.requests().len();
        ensure!(seen == tries, "{retry_on}: {seen}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_and_refused_connections_are_tried_again() -> Result<()> {
    let spec = json!({"retry": {"retryOn": {"triggers": ["reset", "connect-failure"]}}});
    let (envoy, upstream) = start(&plugin(&spec), |b| {
        b.route(Route::cluster("/h2/", "backend-h2"))
    })
    .await?;
    for path in ["/h1/x", "/h2/x"] {
        upstream.script(path, [Reply::reset(), Reply::reset()]);
        ensure!(envoy.get(path).await?.status == 200);
        ensure!(upstream.requests_under(path).len() == 3);
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trusted_client_asks_for_is_clamped() -> Result<()> {
    let spec = json!({"retry": {"numRetries": 2}});
    for plugin in [plugin(&spec), applied(&spec)] {
        let upstream = Upstream::start().await?;
        let native = |route: &mut Value| {
            route["route"]["retry_policy"] = json!({"retry_on": "retriable-status-codes",
                "retriable_status_codes": [503], "num_retries": 2});
        };
        let mut bootstrap = Builder::new()
            .plugin(&plugin)
            .cluster("backend", upstream.addr())
            .route(Route::cluster("/", "backend").edit(native))
            .build()?;
        bootstrap.edit_http("main", trusting)?;
        let envoy = Envoy::start(&bootstrap).await?;
        for (asked, tries) in [
            ("9", 3),
            (
                "1",
                if plugin["nativeFields"].is_null() {
                    3
                } else {
                    2
                },
            ),
        ] {
            upstream.clear();
            let request = Request::get("/status/503").header("x-envoy-max-retries", asked);
            ensure!(h1::send(envoy.addr(), request).await?.status == 503);
            let seen = upstream.requests().len();
            ensure!(
                seen == tries,
                "asked for {asked}, tried {seen} times: {plugin}"
            );
        }
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// Every write to a request header makes Envoy look for its route again. It
/// finds the same one, among many, also by a header.
#[tokio::test(flavor = "multi_thread")]
async fn the_route_stays_the_same() -> Result<()> {
    let (envoy, upstream) = start(&plugin(&json!({"retry": {"numRetries": 1}})), |mut b| {
        for i in 0..1_000 {
            b = b.route(Route::direct(&format!("/other{i}/"), 404, "no"));
        }
        let tenant = |route: &mut Value| {
            route["match"]["headers"] = json!([{"name": "x-tenant",
                "string_match": {"exact": "a"}}]);
            route["route"]["prefix_rewrite"] = "/tenant-a/".into();
        };
        b.route(Route::cluster("/", "backend").edit(tenant))
    })
    .await?;
    let request = Request::get("/status/503").header("x-tenant", "a");
    ensure!(h2::send(envoy.addr(), request).await?.status == 503);
    ensure!(upstream.requests_under("/tenant-a/").len() == 2);
    ensure!(envoy.get("/status/503").await?.status == 503);
    ensure!(upstream.requests_under("/status/").len() == 2);
    envoy.assert_vm_alive().await
}
