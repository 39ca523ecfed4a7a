//! What `btp apply` makes of native fields where it matters what the rest of
//! the configuration says.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::apply::apply;
use btp_tests::native::SOON;
use btp_tests::{Bootstrap, Builder, Envoy, Route, Upstream, wait};

/// An Envoy with this configuration under these policies, and the report.
async fn applied(bootstrap: &Bootstrap, policies: &str) -> Result<(Envoy, String)> {
    let (bootstrap, report) = apply(bootstrap, policies)?;
    Ok((Envoy::start(&bootstrap).await?, report))
}

/// Names the routes of a configuration, in their order.
fn name_routes(bootstrap: &mut Bootstrap, names: &[&str]) {
    let mut names = names.iter();
    bootstrap.edit(|config| {
        btp_tests::bootstrap::visit(config, &mut |it| {
            if it.get("match").is_some()
                && let Some(name) = names.next()
            {
                it["name"] = (*name).into();
            }
        });
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_cluster_is_checked_for_the_host_of_its_original() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/catalog", "backend"))
        .route(Route::cluster("/", "backend"))
        .build()?;
    name_routes(&mut bootstrap, &["catalog", "rest"]);
    let policy = "
kind: BackendTrafficPolicy
metadata: {name: catalog}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: catalog}]
  healthCheck:
    panicThreshold: 0
    active: {type: HTTP, interval: 100ms, timeout: 1s, http: {path: /healthz}}
";
    let (envoy, report) = applied(&bootstrap, policy).await?;
    ensure!(
        report.contains("cluster backend-default-catalog"),
        "{report}"
    );
    let checks = wait::until_async("a health check", SOON, async || {
        let checks = upstream.requests_under("/healthz");
        Ok((!checks.is_empty()).then_some(checks))
    })
    .await?;
    let host = checks[0].header("host");
    ensure!(host.as_deref() == Some("backend"), "{host:?}");
    let catalog = envoy.get("/catalog").await?;
    ensure!(catalog.status == 200, "{}", catalog.status);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routes_own_timeout_outlives_the_gateways() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/stream", "backend"))
        .route(Route::cluster("/named", "backend"))
        .route(Route::cluster("/", "backend"))
        .build()?;
    name_routes(&mut bootstrap, &["stream", "named", "rest"]);
    bootstrap.edit(|config| {
        btp_tests::bootstrap::visit(config, &mut |it| {
            if matches!(it["name"].as_str(), Some("stream" | "named")) {
                it["route"]["timeout"] = "0s".into();
            }
        });
    });
    let policies = "
kind: BackendTrafficPolicy
metadata: {name: all}
spec:
  timeout: {http: {requestTimeout: 200ms}}
---
kind: BackendTrafficPolicy
metadata: {name: named}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: named}]
  timeout: {http: {requestTimeout: 200ms}}
";
    let (envoy, report) = applied(&bootstrap, policies).await?;
    ensure!(
        report.contains(r#"kept: route stream: route.timeout is "0s""#),
        "{report}"
    );
    for (path, status) in [("/stream", 200), ("/named", 504), ("/", 504)] {
        let response = envoy.get(&format!("{path}?delay=600")).await?;
        ensure!(response.status == status, "{path}: {}", response.status);
        let waited = Duration::from_millis(if status == 200 { 590 } else { 190 });
        ensure!(response.elapsed >= waited, "{path}: {:?}", response.elapsed);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_and_other_rules_each_have_their_statuses() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/", "backend"))
        .build()?;
    name_routes(&mut bootstrap, &["shop"]);
    let policy = "
kind: BackendTrafficPolicy
metadata: {name: pages}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  responseOverride:
  - match: {statusCodes: [{type: Value, value: 404}]}
    response: {body: {type: Inline, inline: not here}}
  - match: {statusCodes: [{type: Value, value: 403}]}
    redirect: {path: {type: ReplaceFullPath, replaceFullPath: /sorry}, statusCode: 301}
";
    let (envoy, _) = applied(&bootstrap, policy).await?;
    for (path, status, text) in [
        ("/status/404", 404, "not here"),
        ("/status/403", 301, "upstream says 200\n"),
        ("/status/500", 500, "upstream says 500\n"),
        ("/", 200, "upstream says 200\n"),
    ] {
        let response = envoy.get(path).await?;
        ensure!(response.status == status, "{path}: {}", response.status);
        ensure!(response.text() == text, "{path}: {}", response.text());
    }
    ensure!(upstream.requests_under("/sorry").len() == 1);
    Ok(())
}
