//! What `btp apply` writes, Envoy loads, and what it says is in force.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{MOUNTED_MODULE, MOUNTED_WASM, read_yaml};
use btp_tests::client::Request;
use btp_tests::{Bootstrap, Build, Envoy, Upstream, repo};
use serde_json::{Value, json};

fn btp(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(repo::cli()?)
        .args(arguments)
        .current_dir(folder)
        .output()?)
}

/// Runs `btp apply`, which must succeed; yields what it printed.
fn apply(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = btp(folder, &[&["apply"], arguments].concat())?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// `envoy --mode validate` of a file as it is written.
fn assert_loads(file: &Path) -> Result<()> {
    let output = Command::new(repo::envoy_binary()?)
        .args([
            "--mode",
            "validate",
            "--log-level",
            "warning",
            "--config-path",
        ])
        .arg(file)
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {log}", file.display());
    let known = [
        // It has no other place that works before 1.40 too: see
        // docs/reference/capabilities.md.
        "'envoy.extensions.wasm.v3.PluginConfig.capability_restriction_config'",
        // A person's own, which is left where no policy names the route.
        "'envoy.config.route.v3.RouteAction.max_grpc_timeout'",
        // Where a person's cluster says STRICT_DNS, and not DnsCluster, there is no
        // other place.
        "'envoy.config.cluster.v3.Cluster.dns_refresh_rate'",
        "'envoy.config.cluster.v3.Cluster.respect_dns_ttl'",
    ];
    let is_known = |line: &str| known.iter().any(|it| line.contains(it));
    let deprecated = |line: &&str| line.contains("deprecated") && !is_known(line);
    let found = log.lines().find(deprecated);
    ensure!(found.is_none(), "{}: {found:?}", file.display());
    Ok(())
}

fn golden() -> PathBuf {
    repo::path("cli/tests/golden")
}

/// Every configuration in the golden files of the command line tool.
#[test]
fn envoy_loads_every_golden_configuration() -> Result<()> {
    let wasm = repo::wasm()?.display().to_string();
    let module = repo::module()?.display().to_string();
    let folder = tempfile::tempdir()?;
    let mut count = 0;
    for case in fs::read_dir(golden())? {
        let case = case?.path();
        let arguments = fs::read_to_string(case.join("args"))?;
        let output = fs::read_to_string(case.join("output.txt"))?;
        let Some(rest) = output.strip_prefix("exit code 0\n--- stdout\n") else {
            continue;
        };
        let prints_report = ["--diff", "--dry-run"].map(|it| arguments.contains(it));
        if !arguments.starts_with("apply ") || prints_report.contains(&true) {
            continue;
        }
        let (config, _) = rest.rsplit_once("--- stderr").context("no stderr")?;
        let config = config
            .replace(MOUNTED_WASM, &wasm)
            .replace("/opt/btp.wasm", &wasm)
            .replace(MOUNTED_MODULE, &module)
            .replace("/opt/btp.so", &module);
        let ending = if config.starts_with('{') {
            "json"
        } else {
            "yaml"
        };
        let file = folder.path().join(format!("envoy.{ending}"));
        fs::write(&file, config)?;
        assert_loads(&file).with_context(|| case.display().to_string())?;
        count += 1;
    }
    ensure!(count >= 4, "only {count} configurations");
    Ok(())
}

/// Every configuration that the command line tool is held to the bytes of,
/// with the policy that changes most applied to it.
#[test]
fn envoy_loads_what_is_applied_to_every_configuration_of_the_corpus() -> Result<()> {
    let [option, file] = Build::under_test()?.apply_option()?;
    let folder = tempfile::tempdir()?;
    let corpus = repo::path("cli/tests/corpus");
    let mut count = 0;
    for case in fs::read_dir(&corpus)? {
        let case = case?.path();
        for name in ["envoy.yaml", "envoy.json"] {
            let bootstrap = case.join(name);
            if !bootstrap.is_file() {
                continue;
            }
            let from = bootstrap.to_string_lossy();
            let policy = corpus.join("policies/everything.yaml");
            let given = policy.to_string_lossy();
            let arguments = [
                "--bootstrap",
                &from,
                "-f",
                &given,
                &option,
                &file,
                "-o",
                name,
            ];
            apply(folder.path(), &arguments)?;
            assert_loads(&folder.path().join(name)).with_context(|| from.to_string())?;
            count += 1;
        }
    }
    ensure!(count >= 24, "only {count} configurations");
    Ok(())
}

const POLICIES: &str = r#"
kind: BackendTrafficPolicy
metadata: {name: retried}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: retried}]
  retry: {numRetries: 2}
---
kind: BackendTrafficPolicy
metadata: {name: slow}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: slow}]
  timeout: {http: {requestTimeout: 200ms}}
  responseOverride:
  - match: {statusCodes: [{type: Value, value: 504}]}
    response: {statusCode: 503, body: {type: Inline, inline: "come again"}}
---
kind: BackendTrafficPolicy
metadata: {name: broken}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: broken}]
  faultInjection: {abort: {httpStatus: 418}}
---
kind: BackendTrafficPolicy
metadata: {name: moved}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: moved}]
  responseOverride:
  - match: {statusCodes: [{type: Range, range: {start: 500, end: 599}}]}
    source: Backend
    redirect: {path: {type: ReplaceFullPath, replaceFullPath: /sorry}, statusCode: 301}
"#;

fn routes() -> Value {
    let route = |name: &str| {
        json!({"name": name, "match": {"prefix": format!("/{name}/")},
            "route": {"cluster": "backend"}})
    };
    json!([
        route("retried"),
        route("slow"),
        route("broken"),
        route("moved"),
        {"match": {"prefix": "/"}, "route": {"cluster": "backend"}}
    ])
}

fn cluster(upstream: &Upstream) -> Value {
    json!({"name": "backend", "type": "STATIC", "load_assignment": {
        "cluster_name": "backend",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
            "address": "127.0.0.1", "port_value": upstream.addr().port()}}}}]}]}})
}

fn listener(routes: &Value) -> Value {
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]
    });
    for (key, value) in routes.as_object().into_iter().flatten() {
        manager[key] = value.clone();
    }
    json!({"name": "http",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]})
}

/// Every policy is in force on its route, and nowhere else.
async fn assert_in_force(envoy: &Envoy, upstream: &Upstream) -> Result<()> {
    let retried = envoy.get("/retried/status/503").await?;
    ensure!(retried.status == 503, "{retried:?}");
    let attempts = upstream.requests_under("/retried").len();
    ensure!(attempts == 3, "{attempts} attempts");
    let start = Instant::now();
    let slow = envoy.get("/slow/x?delay=60000").await?;
    ensure!(
        slow.status == 503 && slow.text() == "come again",
        "{slow:?}"
    );
    // Envoy's timers are off by up to a few milliseconds.
    ensure!(start.elapsed() >= Duration::from_millis(180));
    ensure!(envoy.get("/broken/x").await?.status == 418);
    ensure!(upstream.requests_under("/broken").is_empty());
    // Envoy's internal redirect: the answer of another path.
    let moved = envoy.get("/moved/status/500").await?;
    ensure!(
        moved.status == 301 && moved.text() == "upstream says 200\n",
        "{moved:?}"
    );
    ensure!(upstream.requests_under("/sorry").len() == 1);
    ensure!(envoy.get("/moved/status/404").await?.status == 404);
    let other = envoy.get("/other/status/503").await?;
    ensure!(other.status == 503, "{other:?}");
    let attempts = upstream.requests_under("/other").len();
    ensure!(attempts == 1, "the bystander had {attempts} attempts");
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_is_in_force_on_its_routes_alone() -> Result<()> {
    let upstream = Upstream::start().await?;
    let folder = tempfile::tempdir()?;
    let hosts = json!([{"name": "all", "domains": ["*"], "routes": routes()}]);
    let config = json!({"static_resources": {
        "listeners": [listener(&json!({"route_config": {"virtual_hosts": hosts}}))],
        "clusters": [cluster(&upstream)]}});
    fs::write(folder.path().join("envoy.json"), config.to_string())?;
    fs::write(folder.path().join("policies.yaml"), POLICIES)?;
    let [option, file] = Build::under_test()?.apply_option()?;
    let report = apply(
        folder.path(),
        &[
            "--bootstrap",
            "envoy.json",
            "-f",
            "policies.yaml",
            &option,
            &file,
            "-o",
            "out.yaml",
        ],
    )?;
    ensure!(
        report.contains("cluster backend-default-retried"),
        "{report}"
    );
    let bootstrap = Bootstrap::load(folder.path().join("out.yaml"))?;
    let envoy = Envoy::start(&bootstrap).await?;
    assert_in_force(&envoy, &upstream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_clusters_and_the_plugin_may_stand_in_files() -> Result<()> {
    let upstream = Upstream::start().await?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    fs::create_dir(&out)?;
    let watched = |name: &str| {
        json!({"resource_api_version": "V3",
        "path_config_source": {"path": out.join(name).display().to_string()}})
    };
    let rds = json!({"rds": {"route_config_name": "shop", "config_source": watched("rds.yaml")}});
    let config = json!({
        "node": {"id": "a", "cluster": "b"},
        "dynamic_resources": {"cds_config": watched("cds.json")},
        "static_resources": {"listeners": [listener(&rds)]}});
    let routes = json!({"resources": [{
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": "shop",
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes()}]}]});
    let mut backend = cluster(&upstream);
    backend["@type"] = "type.googleapis.com/envoy.config.cluster.v3.Cluster".into();
    let clusters = json!({"resources": [backend]});
    let write = |name: &str, value: &Value| fs::write(folder.path().join(name), value.to_string());
    write("envoy.yaml", &config)?;
    write("rds.yaml", &routes)?;
    write("cds.json", &clusters)?;
    fs::write(folder.path().join("policies.yaml"), POLICIES)?;

    let one = [
        "--bootstrap",
        "envoy.yaml",
        "-f",
        "policies.yaml",
        "-o",
        "out.yaml",
    ];
    let refused = btp(folder.path(), &[&["apply"], &one[..]].concat())?;
    ensure!(refused.status.code() == Some(1) && !folder.path().join("out.yaml").exists());
    ensure!(String::from_utf8_lossy(&refused.stderr).contains("--out-dir"));

    let mounted = out.display().to_string();
    let [option, file] = Build::under_test()?.apply_option()?;
    apply(
        folder.path(),
        &[
            "--bootstrap",
            "envoy.yaml",
            "-f",
            "policies.yaml",
            "--out-dir",
            "out",
            "--ecds",
            &mounted,
            &option,
            &file,
        ],
    )?;
    let bootstrap = Bootstrap::load(out.join("envoy.yaml"))?;
    let envoy = Envoy::start(&bootstrap).await?;
    assert_in_force(&envoy, &upstream).await?;

    // Applied to what is applied already, nothing changes.
    let before = read_yaml(&out.join("cds.json"))?;
    fs::create_dir(out.join("again"))?;
    apply(
        &out,
        &[
            "--bootstrap",
            "envoy.yaml",
            "-f",
            "../policies.yaml",
            "--out-dir",
            "again",
            "--ecds",
            &mounted,
            &option,
            &file,
        ],
    )?;
    ensure!(read_yaml(&out.join("again/cds.json"))? == before);
    let plugin = match Build::under_test()? {
        Build::Wasm => "backend_traffic_policy.yaml",
        Build::Module => "backend_traffic_policy_module.yaml",
    };
    for name in ["envoy.yaml", "rds.yaml", "cds.json", plugin] {
        let again = fs::read_to_string(out.join("again").join(name))?;
        ensure!(
            again == fs::read_to_string(out.join(name))?,
            "{name} changed"
        );
    }
    Ok(())
}

/// A bootstrap with 1,000 routes under 200 policies, each with a fault, a
/// timeout, a retry and a breaker.
#[test]
fn a_thousand_routes_under_two_hundred_policies_take_no_time() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let routes: Vec<Value> = (0..1000)
        .map(|it| {
            json!({"name": format!("r{}/{}", it % 200, it), "match": {"prefix": format!("/{it}/")},
                "route": {"cluster": format!("c{}", it % 50)}})
        })
        .collect();
    let clusters: Vec<Value> = (0..50)
        .map(|it| json!({"name": format!("c{it}"), "connect_timeout": "1s"}))
        .collect();
    let hosts = json!([{"name": "all", "domains": ["*"], "routes": routes}]);
    let config = json!({"static_resources": {
        "listeners": [listener(&json!({"route_config": {"virtual_hosts": hosts}}))],
        "clusters": clusters}});
    let policies: String = (0..200)
        .map(|it| {
            let policy = json!({"kind": "BackendTrafficPolicy", "metadata": {"name": format!("p{it}")},
                "spec": {
                    "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                        "name": format!("r{it}")}],
                    "faultInjection": {"abort": {"httpStatus": 503, "percentage": 1}},
                    "timeout": {"http": {"requestTimeout": "3s"}},
                    "retry": {"numRetries": 3},
                    "circuitBreaker": {"maxConnections": 10}}});
            format!("---\n{policy}\n")
        })
        .collect();
    fs::write(folder.path().join("envoy.yaml"), config.to_string())?;
    fs::write(folder.path().join("policies.yaml"), policies)?;
    let arguments = [
        "--bootstrap",
        "envoy.yaml",
        "-f",
        "policies.yaml",
        "-o",
        "out.yaml",
    ];
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        apply(folder.path(), &arguments)?;
        best = best.min(start.elapsed());
    }
    println!("1,000 routes under 200 policies: {best:?}");
    let text = fs::read_to_string(folder.path().join("out.yaml"))?;
    ensure!(text.matches("copy_of:").count() == 200);
    // Two seconds are meant. This only finds what grows faster than it
    // should: a build without optimization on a busy machine is slow, too.
    ensure!(best < Duration::from_secs(30), "took {best:?}");
    Ok(())
}

/// `btp apply` makes the configurations of these examples.
#[test]
fn the_examples_are_current() -> Result<()> {
    for (example, build) in [
        ("apply", None),
        ("dynamic-module", Some("--module")),
        ("listener-sets", None),
        ("overload", None),
        ("sessions", None),
        ("tracing", None),
    ] {
        let folder = repo::path(format!("examples/{example}"));
        let arguments = ["--bootstrap", "bootstrap.yaml", "-f", "policy.yaml"];
        let made = apply(
            &folder,
            &arguments.into_iter().chain(build).collect::<Vec<_>>(),
        )?;
        let committed = fs::read_to_string(folder.join("envoy.yaml"))?;
        ensure!(
            made == committed,
            "make {example} anew, as its README says:\n{made}"
        );
    }
    Ok(())
}

#[test]
fn the_example_with_a_rate_limit_service_is_current() -> Result<()> {
    let folder = repo::path("examples/global-rate-limit");
    let made = tempfile::tempdir()?;
    let limits = made.path().join("limits.yaml").display().to_string();
    let common = [
        "--bootstrap",
        "bootstrap.yaml",
        "-f",
        "policy.yaml",
        "--rate-limit-service",
        "ratelimit:8081",
        "--rate-limit-config",
        &limits,
    ];
    let limitador = ["--rate-limit-format", "limitador"];
    for (envoy, service, further) in [
        ("envoy.yaml", "ratelimit/limits.yaml", &[][..]),
        ("module.yaml", "ratelimit/limits.yaml", &["--module"]),
        ("envoy.yaml", "limitador/limits.yaml", &limitador),
    ] {
        let made = apply(&folder, &[&common, further].concat())?;
        for (file, made) in [(envoy, made), (service, fs::read_to_string(&limits)?)] {
            let committed = fs::read_to_string(folder.join(file))?;
            ensure!(made == committed, "make {file} anew, as its README says");
        }
    }
    Ok(())
}

#[test]
fn the_demo_is_current() -> Result<()> {
    let folder = repo::path("envoy");
    let policies = ["fault-injection", "response-override"]
        .map(|example| format!("../examples/{example}/policy.yaml"));
    for (file, build) in [("envoy.yaml", None), ("module.yaml", Some("--module"))] {
        let arguments = ["--bootstrap", "without-filter.yaml"].into_iter();
        let arguments = arguments.chain(build).chain(["-f"]);
        let arguments = arguments.chain(policies.iter().map(String::as_str));
        let made = apply(&folder, &arguments.collect::<Vec<_>>())?;
        let committed = fs::read_to_string(folder.join(file))?;
        ensure!(
            made == committed,
            "make {file} anew, as its head says:\n{made}"
        );
    }
    Ok(())
}

/// The filter is on both sides of authentication: what is denied is not
/// looked at any further, and every answer is overridden.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_stand_around_authentication() -> Result<()> {
    let upstream = Upstream::start().await?;
    let folder = tempfile::tempdir()?;
    let hosts = json!([{"name": "all", "domains": ["*"], "routes": routes()}]);
    let mut listener = listener(&json!({"route_config": {"virtual_hosts": hosts}}));
    let filters = &mut listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
    let deny = json!({"action": "DENY", "policies": {"nobody": {
        "permissions": [{"header": {"name": "x-deny", "present_match": true}}],
        "principals": [{"any": true}]}}});
    let rbac = json!({"name": "rbac", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": deny}});
    filters
        .as_array_mut()
        .context("no filters")?
        .insert(0, rbac);
    let config = json!({"static_resources": {
        "listeners": [listener], "clusters": [cluster(&upstream)]}});
    let policy = json!({"kind": "BackendTrafficPolicy", "metadata": {"name": "all"}, "spec": {
        "requestBuffer": {"limit": 8},
        "responseOverride": [
            {"match": {"statusCodes": [{"type": "Value", "value": 403}]},
                "response": {"statusCode": 404}},
            {"match": {"statusCodes": [{"type": "Value", "value": 413}]},
                "response": {"body": {"type": "Inline", "inline": "too much"}}}]}});
    fs::write(folder.path().join("envoy.json"), config.to_string())?;
    fs::write(folder.path().join("policy.json"), policy.to_string())?;
    let arguments = [
        "--bootstrap",
        "envoy.json",
        "-f",
        "policy.json",
        "-o",
        "out.yaml",
    ];
    let report = apply(folder.path(), &arguments)?;
    ensure!(
        report.contains("http_filters[2] backend_traffic_policy_late"),
        "{report}"
    );
    let bootstrap = Bootstrap::load(folder.path().join("out.yaml"))?;
    let envoy = Envoy::start(&bootstrap).await?;
    let large = Request::post("/x", "0123456789");
    let answer = envoy.send(large.clone()).await?;
    ensure!(
        answer.status == 413 && answer.text() == "too much",
        "{answer:?}"
    );
    let denied = envoy.send(large.header("x-deny", "1")).await?;
    ensure!(denied.status == 404, "{denied:?}");
    let small = envoy.send(Request::post("/x", "01234567")).await?;
    ensure!(small.status == 200, "{small:?}");
    ensure!(upstream.requests_under("/x").len() == 1);
    envoy.assert_vm_alive().await
}

/// Envoy with one route to an upstream, governed by this spec.
async fn shop_under(spec: &Value) -> Result<(Upstream, Envoy)> {
    let upstream = Upstream::start().await?;
    let folder = tempfile::tempdir()?;
    let route = json!({"name": "shop", "match": {"prefix": "/"}, "route": {"cluster": "backend"}});
    let hosts = json!([{"name": "all", "domains": ["*"], "routes": [route]}]);
    let config = json!({"static_resources": {
        "listeners": [listener(&json!({"route_config": {"virtual_hosts": hosts}}))],
        "clusters": [cluster(&upstream)]}});
    let mut policy = json!({
        "kind": "BackendTrafficPolicy", "metadata": {"name": "policy"}, "spec": spec});
    policy["spec"]["targetRefs"] =
        json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "shop"}]);
    fs::write(folder.path().join("envoy.json"), config.to_string())?;
    fs::write(folder.path().join("policy.json"), policy.to_string())?;
    let arguments = ["--bootstrap", "envoy.json", "-f", "policy.json"];
    apply(
        folder.path(),
        &[&arguments[..], &["-o", "out.yaml"]].concat(),
    )?;
    let envoy = Envoy::start(&Bootstrap::load(folder.path().join("out.yaml"))?).await?;
    Ok((upstream, envoy))
}

/// 200 requests that fail, each of which might be tried three times: the
/// budget lets a fifth of them be, and what the reserve gives.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_budget_bounds_the_tries_behind_the_router() -> Result<()> {
    const REQUESTS: usize = 200;
    let (upstream, envoy) = shop_under(&json!({
        "retry": {"numRetries": 2, "retryOn": {"triggers": ["5xx"]}},
        "retryConstraint": {
            "budget": {"percent": 20, "interval": "1h"},
            "minRetryRate": {"count": 1, "interval": "1h"},
        },
    }))
    .await?;
    for _ in 0..REQUESTS {
        let response = envoy.get("/status/503").await?;
        ensure!(response.status == 503, "{}", response.status);
        ensure!(response.header("x-envoy-ratelimited").is_none());
    }
    let retries = upstream.requests().len() - REQUESTS;
    let fifth = REQUESTS / 5;
    ensure!(
        (fifth - 5..=fifth + 1).contains(&retries),
        "{retries} retries"
    );
    envoy.assert_vm_alive().await
}

/// The first try fails behind the router, the second heals it.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_behind_the_router_is_met_by_retries() -> Result<()> {
    let (upstream, envoy) = shop_under(&json!({
        "retry": {"numRetries": 2, "retryOn": {"triggers": ["5xx"]}},
        "faultInjection": {
            "position": "Upstream", "attempts": [1], "abort": {"httpStatus": 503},
        },
    }))
    .await?;
    let response = envoy.get("/status/200").await?;
    ensure!(response.status == 200, "{}", response.status);
    ensure!(upstream.requests().len() == 2);
    envoy.assert_vm_alive().await
}
