//! `btp apply` with one build of the filter over what it wrote with the other: the same
//! policies hold, and what it takes out leaves no trace. Both builds run here, whichever
//! is under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::cluster;
use btp_tests::load::Load;
use btp_tests::watched::{ClustersIn, RoutesIn, Watched};
use btp_tests::{Bootstrap, Envoy, Request, Upstream, repo, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

const POLICIES: &str = r#"
kind: BackendTrafficPolicy
metadata: {name: gold}
spec:
  targetSelectors: [{group: gateway.networking.k8s.io, kind: HTTPRoute, matchLabels: {tier: gold}}]
  faultInjection: {abort: {httpStatus: 418}}
---
kind: BackendTrafficPolicy
metadata: {name: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop, sectionName: pay}]
  rateLimit:
    local:
      rules:
      - clientSelectors: [{metadata: [{namespace: auth, path: [claims, plan, name], value: free}]}]
        limit: {requests: 0, unit: Hour}
---
kind: BackendTrafficPolicy
metadata: {name: tries}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: tries}]
  faultInjection:
    position: Upstream
    abort: {httpStatus: 503}
    match: [{metadata: [{namespace: auth, path: [claims, plan, name], value: free}]}]
"#;

/// What a token says is nested, as with `jwt_authn`.
const CLAIMS: &str = r#"
function envoy_on_request(handle)
  local plan = handle:headers():get("x-plan")
  if plan then
    handle:streamInfo():dynamicMetadata():set("auth", "claims", {plan = {name = plan}})
  end
end
"#;

/// The builds, as options of the command.
fn builds() -> Result<[[String; 2]; 2]> {
    let wasm = repo::wasm()?.display().to_string();
    let module = repo::module()?.display().to_string();
    Ok([["--wasm".to_owned(), wasm], ["--module".to_owned(), module]])
}

fn configuration(upstream: &Upstream) -> Value {
    let of = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.{name}");
    let route = |name: &str, metadata: Value| {
        json!({"name": name, "match": {"prefix": format!("/{name}")},
            "metadata": {"filter_metadata": metadata}, "route": {"cluster": "backend"}})
    };
    let shop = json!({"kind": "HTTPRoute", "namespace": "default", "name": "shop",
        "sectionName": "pay"});
    let manager = json!({
        "@type": of("network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http",
        "http_filters": [
            {"name": "claims", "typed_config": {"@type": of("http.lua.v3.Lua"),
                "default_source_code": {"inline_string": CLAIMS}}},
            {"name": "router", "typed_config": {"@type": of("http.router.v3.Router")}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            route("labelled", json!({"btp": {"labels": {"tier": "gold"}}})),
            route("made-of", json!({"envoy-gateway": {"resources": [shop]}})),
            route("tries", json!({})),
            route("plain", json!({}))]}]}});
    json!({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "listeners": [{"name": "http",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}],
            "clusters": [cluster("backend", upstream.addr())]},
    })
}

/// Applies to a file in a folder; gives the result, in the same folder.
fn apply(folder: &Path, from: &Path, to: &str, options: &[&str]) -> Result<PathBuf> {
    let output = Command::new(repo::cli()?)
        .arg("apply")
        .arg("--bootstrap")
        .arg(from)
        .args(["-o", to])
        .args(options)
        .current_dir(folder)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(folder.join(to))
}

async fn assert_in_force(file: &Path) -> Result<()> {
    let envoy = Envoy::start(&Bootstrap::load(file)?).await?;
    for (path, plan, status) in [
        ("/labelled", None, 418),
        ("/made-of", None, 200),
        ("/made-of", Some("free"), 429),
        ("/made-of", Some("gold"), 200),
        ("/tries", None, 200),
        ("/tries", Some("free"), 503),
        ("/plain", Some("free"), 200),
    ] {
        let request = Request::get(path);
        let request = match plan {
            Some(plan) => request.header("x-plan", plan),
            None => request,
        };
        let found = envoy.send(request).await?.status;
        ensure!(found == status, "{path} {plan:?}: {found}");
    }
    let is_counted = |it: &str| {
        let name = it.starts_with("btp_fault_aborts_injected{");
        name && it.contains(r#"btp_policy="gold""#) && it.ends_with(" 1")
    };
    // The module shows it a little later, whichever build the other tests run.
    wait::until_async("the count", Duration::from_secs(5), async || {
        let metrics = envoy.admin_get("/stats/prometheus").await?;
        Ok(metrics.lines().any(is_counted).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_build_takes_the_place_of_the_other_and_leaves_no_trace() -> Result<()> {
    let upstream = Upstream::start().await?;
    let folder = TempDir::new()?;
    let path = folder.path();
    let own = path.join("own.json");
    fs::write(&own, configuration(&upstream).to_string())?;
    fs::write(path.join("policies.yaml"), POLICIES)?;
    let [wasm, module] = builds()?;
    let mut last = own.clone();
    for (index, [option, file]) in [&wasm, &module, &wasm].into_iter().enumerate() {
        let options = ["-f", "policies.yaml", option, file];
        let over = apply(path, &last, &format!("over-{index}.json"), &options)?;
        let anew = apply(path, &own, "anew.json", &options)?;
        let text = fs::read_to_string(&over)?;
        ensure!(text == fs::read_to_string(anew)?, "{option}: {text}");
        let others = if option == "--wasm" {
            "DynamicModule"
        } else {
            "v3.Wasm"
        };
        ensure!(!text.contains(others), "{option}: {text}");
        assert_in_force(&over).await?;
        let back = apply(path, &over, "back.json", &[])?;
        ensure!(fs::read_to_string(back)? == fs::read_to_string(&own)?);
        last = over;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_are_exchanged_while_requests_come_and_each_meets_its_policy() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    let live = watched.live().display().to_string();
    let spec = json!({"faultInjection": {"abort": {"httpStatus": 418}}});
    let [wasm, module] = builds()?;
    let options = |build: &[String; 2]| {
        let [option, file] = build.clone();
        ["--ecds".to_owned(), live.clone(), option, file]
    };
    let apply = |build: &[String; 2]| {
        let options = options(build);
        watched.applied(Some(&spec), &options.each_ref().map(String::as_str))
    };
    apply(&wasm)?;
    let envoy = watched.start().await?;
    ensure!(envoy.get("/shop").await?.status == 418);
    let load = Load::start(envoy.addr(), "/shop", 4, |it| it.status.to_string());
    for build in [&module, &wasm, &module] {
        apply(build)?;
    }
    let tally = load.stop().await?;
    ensure!(tally.requests > 20, "{tally:?}");
    ensure!(tally.of("418") == tally.requests, "{tally:?}");
    ensure!(envoy.get("/cart").await?.status == 200);
    let filters = envoy
        .admin_get("/config_dump?resource=ecds_filters")
        .await?;
    ensure!(filters.contains("DynamicModuleFilter"), "{filters}");
    Ok(())
}
