//! What `btp apply` makes of native fields where it matters what the rest of
//! the configuration says.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::apply::{apply, lint};
use btp_tests::client::h2;
use btp_tests::native::{SOON, addresses, cluster_of, many, upstreams};
use btp_tests::{Bootstrap, Builder, Envoy, Reply, Request, Route, Upstream, wait};
use serde_json::json;

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
  - match: {statusCodes: [{type: Value, value: 409}, {type: Range, range: {start: 502, end: 504}}]}
    redirect: {path: {type: ReplaceFullPath, replaceFullPath: /page}, keepStatus: true}
";
    let (envoy, _) = applied(&bootstrap, policy).await?;
    for (path, status, text) in [
        ("/status/404", 404, "not here"),
        ("/status/403", 301, "upstream says 200\n"),
        ("/status/500", 500, "upstream says 500\n"),
        ("/status/409", 409, "upstream says 200\n"),
        ("/status/502", 502, "upstream says 200\n"),
        ("/status/504", 504, "upstream says 200\n"),
        ("/", 200, "upstream says 200\n"),
    ] {
        let response = envoy.get(path).await?;
        ensure!(response.status == status, "{path}: {}", response.status);
        ensure!(response.text() == text, "{path}: {}", response.text());
    }
    ensure!(upstream.requests_under("/sorry").len() == 1);
    ensure!(upstream.requests_under("/page").len() == 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_a_balancer_does_not_go_by_are_warned_of() -> Result<()> {
    const POLICY: &str = "
kind: BackendTrafficPolicy
metadata: {name: pinned}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  loadBalancer:
    type: ConsistentHash
    consistentHash: {type: Header, header: {name: x-user}}
";
    let upstreams = upstreams(2).await?;
    let mut cluster = cluster_of("backend", &addresses(&upstreams));
    let endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"].take();
    let zones = [("a", 5), ("b", 95)].into_iter().enumerate();
    let zones = zones.map(|(index, (zone, weight))| {
        json!({"locality": {"zone": zone}, "load_balancing_weight": weight,
            "lb_endpoints": [endpoints[index]]})
    });
    cluster["load_assignment"]["endpoints"] = zones.collect();
    let mut bootstrap = Builder::new()
        .raw_cluster(cluster)
        .route(Route::cluster("/", "backend"))
        .build()?;
    name_routes(&mut bootstrap, &["shop"]);
    let (envoy, _) = applied(&bootstrap, POLICY).await?;
    for user in 0..100 {
        let request = Request::get("/").header("x-user", format!("user-{user}"));
        ensure!(envoy.send(request).await?.status == 200);
    }
    let first = upstreams[0].requests().len();
    ensure!((25..=75).contains(&first), "{first} of 100: weights count");
    let said = lint(&bootstrap, POLICY)?;
    ensure!(
        said.contains("weights that cluster backend gives"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_kubelb_switches_off_is_not_in_force() -> Result<()> {
    const POLICY: &str = "
kind: BackendTrafficPolicy
metadata: {name: impatient, namespace: tenant-shroud}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  timeout: {http: {requestTimeout: 200ms}}
";
    let tenant = |name: &str| {
        format!(
            "---
apiVersion: kubelb.k8c.io/v1alpha1
kind: Tenant
metadata: {{name: {name}}}
spec: {{gatewayAPI: {{disableBackendTrafficPolicy: true}}}}
"
        )
    };
    let config = "---
apiVersion: kubelb.k8c.io/v1alpha1
kind: Config
metadata: {name: default}
spec: {gatewayAPI: {disableBackendTrafficPolicy: true}}
";
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/", "backend"))
        .build()?;
    name_routes(
        &mut bootstrap,
        &["httproute/tenant-shroud/shop/rule/0/match/0/_"],
    );
    for (objects, status) in [
        (String::new(), 504),
        (tenant("another"), 504),
        (tenant("shroud"), 200),
        (config.to_owned(), 200),
    ] {
        let (envoy, report) = applied(&bootstrap, &format!("{POLICY}{objects}")).await?;
        let response = envoy.get("/?delay=600").await?;
        ensure!(response.status == status, "{objects}: {}", response.status);
        let is_off = report.contains("disabled by");
        ensure!(is_off == (status == 200), "{report}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_goes_by_the_request_timeout_of_a_policy_that_names_the_route() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .cluster_h2("backend", upstream.addr())
        .route(Route::cluster("/named", "backend"))
        .route(Route::cluster("/", "backend"))
        .build()?;
    name_routes(&mut bootstrap, &["named", "rest"]);
    bootstrap.edit(|config| {
        btp_tests::bootstrap::visit(config, &mut |it| {
            if it.get("match").is_some() {
                it["route"]["max_grpc_timeout"] = "0s".into();
            }
        });
    });
    let policies = "
kind: BackendTrafficPolicy
metadata: {name: all}
spec:
  timeout: {http: {requestTimeout: 300ms}}
---
kind: BackendTrafficPolicy
metadata: {name: named}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: named}]
  timeout: {http: {requestTimeout: 300ms}}
";
    let (envoy, report) = applied(&bootstrap, policies).await?;
    let said = "note: route rest: gRPC requests use route.max_grpc_timeout \"0s\"";
    ensure!(report.contains(said), "{report}");
    let said = "replaced: route named: route.max_grpc_timeout (was \"0s\")";
    ensure!(report.contains(said), "{report}");
    for (path, kind, is_cut) in [
        ("/named", "application/grpc", true),
        ("/named", "text/plain", true),
        ("/rest", "application/grpc", false),
        ("/rest", "text/plain", true),
    ] {
        let request = Request::post(&format!("{path}?delay=900"), "x");
        let request = request
            .header("content-type", kind)
            .header("te", "trailers");
        let response = h2::send(envoy.addr(), request).await?;
        let waited = response.elapsed < Duration::from_millis(850);
        let is_error = response.status == 504 || response.header("grpc-status").is_some();
        ensure!(
            is_error == is_cut && waited == is_cut,
            "{path} {kind}: {response:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policys_retries_outweigh_those_of_the_virtual_host() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/", "backend"))
        .build()?;
    bootstrap.edit(|config| {
        btp_tests::bootstrap::visit(config, &mut |it| {
            if it.get("domains").is_some() {
                it["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 1});
            }
        });
    });
    let policy = "
kind: BackendTrafficPolicy
metadata: {name: all}
spec:
  retry: {numRetries: 3}
";
    let (envoy, report) = applied(&bootstrap, policy).await?;
    ensure!(
        report.contains("replaced: virtual host main: retry_policy (was"),
        "{report}"
    );
    upstream.script("/", many(&Reply::status(503)));
    ensure!(envoy.get("/").await?.status == 503);
    ensure!(
        upstream.requests().len() == 4,
        "{} tries",
        upstream.requests().len()
    );
    Ok(())
}
