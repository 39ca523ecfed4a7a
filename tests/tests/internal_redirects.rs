//! Envoy follows an internal redirect by beginning the client's request anew: it is counted
//! once by each rate limit and sampled once for each fault.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::apply::apply;
use btp_tests::client::h1;
use btp_tests::{Builder, Envoy, Reply, Request, Response, Route, Upstream};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

fn policy(spec: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]})
}

/// Two routes, `/limited/…` of a policy's own among them, whose redirects Envoy follows.
async fn start(plugin: &Value) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let follows = |name: &str, path: &str| {
        Route::cluster(path, "backend").named(name).edit(|route| {
            route["route"]["internal_redirect_policy"] = json!({"max_internal_redirects": 3});
        })
    };
    let bootstrap = Builder::new()
        .plugin(plugin)
        .concurrency(2)
        .route(follows("limited", "/limited"))
        .route(follows("all", "/"))
        .cluster("backend", upstream.addr())
        .build()?;
    Ok((Envoy::start(&bootstrap).await?, upstream))
}

/// A request for the first path, that the upstream sends from each path to the next.
async fn redirected(envoy: &Envoy, upstream: &Upstream, paths: &[&str]) -> Result<Response> {
    for hop in paths.windows(2) {
        let there = format!("http://{}{}", envoy.addr(), hop[1]);
        upstream.script(hop[0], [Reply::status(302).header("location", there)]);
    }
    h1::get(envoy.addr(), paths[0]).await
}

async fn followed(envoy: &Envoy) -> Result<Option<u64>> {
    envoy
        .stat("cluster.backend.upstream_internal_redirect_succeeded_total")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_request_takes_one_token() -> Result<()> {
    let rule = json!({"name": "all", "limit": {"requests": 4, "unit": "Hour"}});
    let spec = json!({"rateLimit": {"local": {"rules": [rule]}}});
    let (envoy, upstream) = start(&policy(&spec)).await?;
    for left in ["3", "2", "1", "0"] {
        let response = redirected(&envoy, &upstream, &["/here", "/a", "/b"]).await?;
        ensure!(response.status == 200, "{response:?}");
        let remaining = response.header("x-ratelimit-remaining");
        ensure!(
            remaining.as_deref() == Some(left),
            "{remaining:?}, not {left}"
        );
    }
    ensure!(followed(&envoy).await? == Some(8));
    ensure!(h1::get(envoy.addr(), "/").await?.status == 429);
    let admitted = "wasmcustom.btp.default.p.rate_limit.all.admitted";
    ensure!(envoy.stat(admitted).await? == Some(4));
    envoy.assert_vm_alive().await
}

/// The limit of the route that it is redirected to has not counted it yet.
#[tokio::test(flavor = "multi_thread")]
async fn another_routes_limit_counts_it_too() -> Result<()> {
    let limits = |requests: u32| {
        let rule = json!({"limit": {"requests": requests, "unit": "Hour"}});
        json!({"local": {"rules": [rule]}})
    };
    let of = |route: &str, requests: u32| {
        let target =
            json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route});
        json!({"metadata": {"name": route},
               "spec": {"targetRefs": [target], "rateLimit": limits(requests)}})
    };
    let plugin = json!({"policies": [of("limited", 1), of("all", 9)]});
    let (envoy, upstream) = start(&plugin).await?;
    let statuses = async || redirected(&envoy, &upstream, &["/here", "/limited/x"]).await;
    ensure!(statuses().await?.status == 200);
    ensure!(statuses().await?.status == 429);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_request_has_one_chance_of_a_fault() -> Result<()> {
    // With a chance of a half for each of three passes, 7 of 8 would be aborted.
    let abort = json!({"abort": {"httpStatus": 418, "percentage": 50}});
    let (envoy, upstream) = start(&policy(&json!({"faultInjection": abort}))).await?;
    let mut passed = 0;
    for _ in 0..120 {
        let response = redirected(&envoy, &upstream, &["/here", "/a", "/b"]).await?;
        match response.status {
            200 => passed += 1,
            418 => {}
            other => anyhow::bail!("{other}"),
        }
    }
    // Less than 35 has a probability of 2 in a million.
    ensure!((35..=85).contains(&passed), "{passed} of 120");
    envoy.assert_vm_alive().await
}

/// Clients that go away look like a redirect at first, and are none.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_away_give_nobody_a_token() -> Result<()> {
    let rule = json!({"name": "all", "limit": {"requests": 4, "unit": "Hour"}});
    let spec = json!({"rateLimit": {"local": {"rules": [rule]}}});
    let (envoy, upstream) = start(&policy(&spec)).await?;
    for turn in 1..=2 {
        upstream.script("/gone", [Reply::hang()]);
        let request = |path: &str| Request::get(path).header("x-envoy-original-url", "http://x/");
        let gone = tokio::spawn(h1::send(envoy.addr(), request("/gone")));
        upstream.wait_for_requests(2 * turn - 1, PATIENCE).await?;
        gone.abort();
        let _ = gone.await;
        ensure!(h1::send(envoy.addr(), request("/")).await?.status == 200);
    }
    ensure!(h1::get(envoy.addr(), "/").await?.status == 429);
    envoy.assert_vm_alive().await
}

/// Envoy fetches an error page once the filter has seen the response: that is another
/// request, unless its path is exempt.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_page_that_envoy_fetches_counts_unless_it_is_exempt() -> Result<()> {
    for (exempt, left) in [("", "1"), (r#"exempt: [{path: {value: "/page"}}], "#, "2")] {
        let upstream = Upstream::start().await?;
        let bootstrap = Builder::new()
            .cluster("backend", upstream.addr())
            .route(Route::cluster("/", "backend"))
            .build()?;
        let policy = format!(
            "kind: BackendTrafficPolicy
metadata: {{name: p}}
spec:
  rateLimit: {{local: {{{exempt}rules: [{{limit: {{requests: 4, unit: Hour}}}}]}}}}
  responseOverride:
  - match: {{statusCodes: [{{type: Value, value: 503}}]}}
    redirect: {{path: {{type: ReplaceFullPath, replaceFullPath: /page}}, keepStatus: true}}
"
        );
        let envoy = Envoy::start(&apply(&bootstrap, &policy)?.0).await?;
        let page = envoy.get("/status/503").await?;
        ensure!(
            page.status == 503 && page.text() == "upstream says 200\n",
            "{page:?}"
        );
        let next = envoy.get("/").await?;
        let remaining = next.header("x-ratelimit-remaining");
        // The request after it has taken one more.
        ensure!(
            remaining.as_deref() == Some(left),
            "{exempt}: {remaining:?}"
        );
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}
