//! A cluster that is copied for a policy behaves as the one that it is a copy
//! of would under that policy. Every native field is applied to a route that
//! shares its cluster and to one that does not, before an origin that refuses
//! a Host which is none.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use btp_tests::apply::apply;
use btp_tests::native::origin::speak_http2;
use btp_tests::native::{specs, wait_for_stat};
use btp_tests::{Bootstrap, Builder, Envoy, Request, Route, Upstream, bootstrap};
use serde_json::{Value, json};

/// What a cluster is before any policy.
type Kind = fn(&mut Value);

/// Policies that a cluster of this kind takes, with health checks that come at
/// once.
fn policies(kind: Kind) -> Result<Vec<Value>> {
    let mut specs = specs::all();
    // That is the filter's.
    specs.retain(|spec| spec["retryConstraint"].is_null());
    let check = |check: Value| {
        let mut active = json!({"interval": "200ms", "timeout": "5s", "unhealthyThreshold": 1});
        for (name, value) in check.as_object().into_iter().flatten() {
            active[name] = value.clone();
        }
        json!({"healthCheck": {"active": active, "panicThreshold": 0}})
    };
    specs.push(check(json!({"type": "HTTP", "http": {"path": "/healthz"}})));
    specs.push(check(json!({"type": "GRPC", "grpc": {}})));
    specs.push(check(json!({"type": "TCP", "tcp": {}})));
    specs.push(json!({"loadBalancer": {"type": "BackendUtilization",
        "backendUtilization": {"outOfBand": {"reportingPeriod": "1s"}}}}));
    let mut alone = Builder::new()
        .raw_cluster({
            let mut cluster = bootstrap::cluster("c0", "127.0.0.1:9".parse()?);
            kind(&mut cluster);
            cluster
        })
        .route(Route::cluster("/", "c0"))
        .build()?;
    add_own_instances(&mut alone)?;
    specs.retain(|spec| alone.clone().govern("c0", spec).is_ok());
    Ok(specs)
}

/// For `preferLocal`: the cluster of this Envoy's own instances.
fn add_own_instances(bootstrap: &mut Bootstrap) -> Result<()> {
    let own = bootstrap::cluster("own-instances", "127.0.0.1:9".parse()?);
    bootstrap.edit(|config| {
        config["cluster_manager"] = json!({"local_cluster_name": "own-instances"});
        config["node"]["locality"] = json!({"zone": "a"});
        if let Some(clusters) = config["static_resources"]["clusters"].as_array_mut() {
            clusters.push(own);
        }
    });
    Ok(())
}

/// Route `a<i>` to cluster `c<i>`, each under the policy of its number; if they
/// are shared, beside a route `b<i>` that no policy governs.
fn configuration(
    count: usize,
    upstream: &Upstream,
    kind: Kind,
    is_shared: bool,
) -> Result<Bootstrap> {
    let mut builder = Builder::new();
    for index in 0..count {
        let name = format!("c{index}");
        let mut cluster = bootstrap::cluster(&name, upstream.addr());
        kind(&mut cluster);
        builder = builder.raw_cluster(cluster);
        for (prefix, is_there) in [("a", true), ("b", is_shared)] {
            let route = format!("{prefix}{index}");
            if is_there {
                let path = format!("/{route}/");
                builder = builder.route(Route::cluster(&path, &name).named(&route));
            }
        }
    }
    let mut bootstrap = builder.build()?;
    add_own_instances(&mut bootstrap)?;
    Ok(bootstrap)
}

fn documents(specs: &[Value]) -> String {
    let policy = |(index, spec): (usize, &Value)| {
        let mut spec = spec.clone();
        spec["targetRefs"] = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
            "name": format!("a{index}")}]);
        let document = json!({"kind": "BackendTrafficPolicy",
            "metadata": {"name": format!("p{index}")}, "spec": spec});
        format!("---\n{document}\n")
    };
    specs.iter().enumerate().map(policy).collect()
}

/// A cluster without what tells a copy from its original: its name, the record
/// of what it is a copy of, and the host of health checks, which is the name of
/// the original where nothing says another. Each run has an origin of its own.
fn essence(mut cluster: Value, original: &str) -> Value {
    bootstrap::visit(&mut cluster, &mut |it| {
        if it.get("port_value").is_some() && it.get("address").is_some() {
            it["port_value"] = 0.into();
        }
        for (check, host) in [
            ("http_health_check", "host"),
            ("grpc_health_check", "authority"),
        ] {
            if let Some(check) = it.get_mut(check)
                && check.get(host).is_none()
            {
                check[host] = original.into();
            }
        }
    });
    if let Some(cluster) = cluster.as_object_mut() {
        cluster.remove("metadata");
        cluster.remove("name");
    }
    if let Some(assignment) = cluster["load_assignment"].as_object_mut() {
        assignment.remove("cluster_name");
    }
    cluster
}

/// What comes back for each policy, and what the origin saw.
async fn behaviour(envoy: &Envoy, upstream: &Upstream, count: usize) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for index in 0..count {
        let path = format!("/a{index}/status/200?bytes=400");
        let request = Request::get(&path).host("shop.example");
        let request = request.header("accept-encoding", "gzip, br");
        let response = envoy.send(request).await?;
        let mut headers: BTreeMap<String, String> = response
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        for name in ["date", "x-envoy-upstream-service-time"] {
            headers.remove(name);
        }
        // Made from the address that the upstream listens at, and the time.
        if let Some(cookie) = headers.get_mut("set-cookie") {
            *cookie = cookie.split_once(';').context("a cookie")?.1.to_owned();
        }
        let seen = upstream.requests_under(&format!("/a{index}/"));
        let seen = seen.into_iter().map(|seen| {
            let headers = seen.headers.into_iter();
            let headers = headers.filter(|(name, _)| name != "x-request-id");
            let headers: Vec<(String, String)> = headers
                .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
                .collect();
            (seen.method, seen.version, seen.authority, headers)
        });
        let seen: Vec<_> = seen.collect();
        let body = response.body.len();
        found.push(format!("{} {headers:?} {body}: {seen:?}", response.status));
    }
    Ok(found)
}

/// The hosts of requests besides those of requests, by path.
fn checks(upstream: &Upstream) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for seen in upstream.requests() {
        let is_request = seen.path.starts_with("/a") || seen.path.starts_with("/b");
        if !is_request {
            let own = upstream.addr().to_string();
            let host = seen.authority.replace(&own, "its address");
            found.entry(seen.path).or_default().push(host);
        }
    }
    for hosts in found.values_mut() {
        hosts.sort();
        hosts.dedup();
    }
    found
}

/// The origin gets requests for these paths from Envoy itself.
async fn assert_copies_behave(kind: Kind, paths: &[&str]) -> Result<()> {
    let specs = policies(kind)?;
    ensure!(specs.len() >= 40, "only {} policies", specs.len());
    let policies = documents(&specs);
    let mut runs = Vec::new();
    for is_shared in [false, true] {
        let upstream = Upstream::strict().await?;
        let given = configuration(specs.len(), &upstream, kind, is_shared)?;
        let (bootstrap, _) = apply(&given, &policies)?;
        let envoy = Envoy::start(&bootstrap).await?;
        runs.push((upstream, bootstrap, envoy));
    }
    let [(alone, _, before_alone), (shared, bootstrap, before_shared)] = &runs[..] else {
        anyhow::bail!("two runs");
    };
    let names = bootstrap.config()["static_resources"]["clusters"].as_array();
    let names = names
        .into_iter()
        .flatten()
        .filter_map(|it| it["name"].as_str());
    let copies: Vec<&str> = names.filter(|name| name.contains("-default-p")).collect();
    for (index, spec) in specs.iter().enumerate() {
        let original = format!("c{index}");
        let copy = format!("c{index}-default-p{index}");
        let expected = before_alone.cluster(&original).await?;
        let found = if copies.contains(&copy.as_str()) {
            before_shared.cluster(&copy).await?
        } else {
            // Nothing of it is the cluster's.
            before_shared.cluster(&original).await?
        };
        let [expected, found] = [expected, found].map(|it| essence(it, &original));
        ensure!(
            expected == found,
            "{spec}: {found:#} instead of {expected:#}"
        );
        if spec["healthCheck"]["active"].is_object() {
            for (envoy, name) in [(before_alone, &original), (before_shared, &copy)] {
                let attempts = format!("cluster.{name}.health_check.attempt");
                wait_for_stat(envoy, &attempts, |attempts| attempts > 1).await?;
            }
            let healthy = |name: &str| format!("cluster.{name}.membership_healthy");
            let expected = before_alone.stat(&healthy(&original)).await?;
            let found = before_shared.stat(&healthy(&copy)).await?;
            ensure!(
                expected == found,
                "{spec}: {found:?} of {expected:?} healthy"
            );
        }
    }
    let expected = behaviour(before_alone, alone, specs.len()).await?;
    let found = behaviour(before_shared, shared, specs.len()).await?;
    for ((spec, expected), found) in specs.iter().zip(&expected).zip(&found) {
        ensure!(expected == found, "{spec}: {found} instead of {expected}");
    }
    let (expected, found) = (checks(alone), checks(shared));
    ensure!(expected == found, "{found:?} instead of {expected:?}");
    for path in paths {
        ensure!(found.contains_key(*path), "no {path} in {found:?}");
    }
    ensure!(copies.len() > 30, "only {} copies", copies.len());
    Ok(())
}

const HEALTH: &str = "/healthz";
const GRPC_HEALTH: &str = "/grpc.health.v1.Health/Check";
const LOAD: &str = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics";

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_clusters_of_http1_behave_as_the_original() -> Result<()> {
    assert_copies_behave(|_| {}, &[HEALTH]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_clusters_of_http2_and_names_behave_as_the_original() -> Result<()> {
    let kind = |cluster: &mut Value| {
        speak_http2(cluster);
        cluster["type"] = "STRICT_DNS".into();
    };
    assert_copies_behave(kind, &[HEALTH, GRPC_HEALTH, LOAD]).await
}
