//! Which policy and rule decided, as lines of an access log have it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered, wasm_filter};
use btp_tests::client::{h1, raw};
use btp_tests::{Body, Bootstrap, Build, Builder, Envoy, Reply, Request, Route, Upstream, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
const FILE_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

/// An access log in JSON.
struct Log {
    file: PathBuf,
    _folder: TempDir,
}

impl Log {
    /// Of every listener's connection manager.
    fn of(bootstrap: &mut Bootstrap) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("access.log");
        let logger = json!({
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": FILE_LOG,
                "path": file.display().to_string(),
                "log_format": {"json_format": {
                    "path": "%REQ(:PATH)%",
                    "status": "%RESPONSE_CODE%",
                    "details": "%RESPONSE_CODE_DETAILS%",
                    "decision": "%FILTER_STATE(wasm.btp_decision:PLAIN)%",
                    "own": "%FILTER_STATE(btp_decision:PLAIN)%",
                    "upstream": "%UPSTREAM_FILTER_STATE(wasm.btp_decision:PLAIN)%",
                }},
            },
        });
        bootstrap.edit_http("main", |http| http["access_log"] = json!([logger]))?;
        Ok(Self {
            file,
            _folder: folder,
        })
    }

    /// The lines about requests for this path, once there are so many.
    async fn lines(&self, path: &str, count: usize) -> Result<Vec<Value>> {
        let what = format!("{count} lines about {path}");
        wait::until(&what, PATIENCE, || {
            let text = std::fs::read_to_string(&self.file).ok()?;
            let (complete, _) = text.rsplit_once('\n')?;
            let lines = complete
                .lines()
                .filter_map(|it| serde_json::from_str(it).ok());
            let lines: Vec<Value> = lines.filter(|it: &Value| it["path"] == path).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }

    /// What was decided of the one request for this path; `-` if nothing.
    async fn decision(&self, path: &str) -> Result<String> {
        let lines = self.lines(path, 1).await?;
        // The module says it under a name of its own, too.
        let own = match Build::under_test()? {
            Build::Module => &lines[0]["decision"],
            Build::Wasm => &Value::Null,
        };
        ensure!(lines[0]["own"] == *own, "{}", lines[0]);
        Ok(decision(&lines[0]))
    }
}

fn decision(line: &Value) -> String {
    line["decision"].as_str().unwrap_or("-").to_owned()
}

/// An Envoy without the filter, and its log.
fn without_filter(upstream: &Upstream) -> Result<(Bootstrap, Log)> {
    let mut plain = Builder::new()
        .route(Route::cluster("/", "backend").named("all"))
        .cluster("backend", upstream.addr())
        .build()?;
    let log = Log::of(&mut plain)?;
    Ok((plain, log))
}

/// A policy of the namespace `team`.
fn policy(name: &str, spec: &Value) -> Value {
    json!({"metadata": {"namespace": "team", "name": name}, "spec": spec})
}

fn plugin(policies: &[Value]) -> Value {
    json!({"accessLog": true, "allowOnHeadersStopIteration": true, "policies": policies})
}

/// A rule that counts every request, beside others.
fn limit(name: &str, requests: u32) -> Value {
    json!({"name": name, "limit": {"requests": requests, "unit": "Hour"},
        "clientSelectors": [{"path": {"value": "/"}}]})
}

fn shadow(name: &str, requests: u32) -> Value {
    let mut rule = limit(name, requests);
    rule["shadowMode"] = true.into();
    rule
}

fn limits(rules: &[Value]) -> Value {
    json!({"rateLimit": {"local": {"rules": rules}}})
}

/// Envoy with this plugin configuration before one route and one cluster.
async fn start(plugin: &Value) -> Result<(Envoy, Upstream, Log)> {
    start_with(plugin, |builder| builder).await
}

async fn start_with(
    plugin: &Value,
    change: impl FnOnce(Builder) -> Builder,
) -> Result<(Envoy, Upstream, Log)> {
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .plugin(plugin)
        .stop_iteration(true)
        .cluster("backend", upstream.addr());
    let builder = change(builder).route(Route::cluster("/", "backend").named("all"));
    let mut bootstrap = builder.build()?;
    let log = Log::of(&mut bootstrap)?;
    Ok((Envoy::start(&bootstrap).await?, upstream, log))
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_name_their_rules_also_in_shadow_mode() -> Result<()> {
    let spec = limits(&[limit("per-hour", 2), shadow("trial", 1)]);
    let (envoy, _upstream, log) = start(&plugin(&[policy("limits", &spec)])).await?;
    for (path, status, expected) in [
        ("/1", 200, "-"),
        ("/2", 200, "team/limits rateLimit/trial=shadow_limited"),
        ("/3", 429, "team/limits rateLimit/per-hour=limited"),
    ] {
        let response = envoy.get(path).await?;
        ensure!(response.status == status, "{path}: {response:?}");
        let decision = log.decision(path).await?;
        ensure!(decision == expected, "{path}: {decision}");
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_logged_unless_it_is_asked_for() -> Result<()> {
    let policies = [policy("limits", &limits(&[limit("per-hour", 0)]))];
    for config in [
        json!({"policies": policies}),
        json!({"accessLog": false, "policies": policies}),
    ] {
        let (envoy, _upstream, log) = start(&config).await?;
        ensure!(envoy.get("/").await?.status == 429);
        ensure!(log.decision("/").await? == "-");
    }
    Ok(())
}

/// Rules that a policy takes over stay those of the policy that has them.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_instance_and_a_late_one_write_one_line() -> Result<()> {
    let mut gateway = limits(&[limit("r", 0)]);
    gateway["targetRefs"] =
        json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}]);
    let route = json!({
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "all"}],
        "mergeType": "StrategicMerge",
        "faultInjection": {"delay": {"fixedDelay": "200ms"}}});
    let policies = [policy("limits", &gateway), policy("f", &route)];
    let instance = |enforce: &str| {
        let mut config = plugin(&policies);
        config["enforce"] = json!([enforce]);
        config["gateway"] = json!({"name": "g", "namespace": "team"});
        config
    };
    let mut late = wasm_filter(&instance("rateLimit"), true)?;
    late["name"] = "late".into();
    let add = |builder: Builder| builder.http_filter(late);
    let (envoy, _upstream, log) = start_with(&instance("faultInjection"), add).await?;
    let response = envoy.get("/").await?;
    ensure!(response.status == 429, "{response:?}");
    let decision = log.decision("/").await?;
    ensure!(
        decision == "team/f faultInjection=delayed:200ms; team/limits rateLimit/r=limited",
        "{decision}"
    );
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides_name_the_status_that_they_replace() -> Result<()> {
    let status = |code: u16| json!({"statusCodes": [{"type": "Value", "value": code}]});
    let spec = json!({"responseOverride": [
        {"match": status(503), "response": {"statusCode": 500, "body": {"inline": "sorry"}}},
        {"match": status(404), "redirect": {
            "mode": "Client", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}}}]});
    let (envoy, _upstream, log) = start(&plugin(&[policy("o", &spec)])).await?;
    for (path, status, action) in [
        ("/status/503", 500, "overridden:503"),
        ("/status/404", 302, "redirected:404"),
    ] {
        let response = envoy.get(path).await?;
        ensure!(response.status == status, "{path}: {response:?}");
        let decision = log.decision(path).await?;
        let (rule, said) = decision.split_once('=').context(decision.clone())?;
        ensure!(rule.starts_with("team/o responseOverride/"), "{decision}");
        ensure!(said == action, "{decision}");
    }
    ensure!(envoy.get("/status/418").await?.status == 418);
    ensure!(log.decision("/status/418").await? == "-");
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_a_request_is_there_when_the_line_is_written() -> Result<()> {
    let by_header = |value: &str| json!([{"headers": [{"name": "x", "value": value}]}]);
    let spec = json!({
        "requestBuffer": {"limit": "1Ki"},
        "faultInjection": {"match": by_header("reset"), "abort": {"reset": true}},
        "rateLimit": {"local": {"rules": [
            {"name": "one", "clientSelectors": by_header("one"), "concurrency": {"max": 1}},
            {"name": "later", "clientSelectors": by_header("later"),
             "limit": {"requests": 10, "unit": "Second", "burst": 1},
             "queue": {"maxDelay": "5s"}}]}},
    });
    let (envoy, upstream, log) = start(&plugin(&[policy("p", &spec)])).await?;
    let addr = envoy.addr();

    let large = Request::new("POST", "/large").body(Body::sized(vec![b'x'; 2000]));
    ensure!(h1::send(addr, large).await?.status == 413);
    let decision = log.decision("/large").await?;
    ensure!(decision == "team/p requestBuffer=too_large", "{decision}");

    let reset = Request::get("/reset").header("x", "reset");
    ensure!(h1::send(addr, reset).await.is_err());
    let decision = log.decision("/reset").await?;
    ensure!(
        decision == "team/p faultInjection=aborted:reset",
        "{decision}"
    );

    upstream.script("/held", [Reply::hang()]);
    let mut held = raw::Connection::open(addr).await?;
    held.send("GET /held HTTP/1.1\r\nhost: h\r\nx: one\r\n\r\n")
        .await?;
    upstream.wait_for_requests(1, PATIENCE).await?;
    let second = Request::get("/second").header("x", "one");
    ensure!(h1::send(addr, second).await?.status == 429);
    let decision = log.decision("/second").await?;
    ensure!(
        decision == "team/p rateLimit/one=concurrency_limited",
        "{decision}"
    );

    for _ in 0..2 {
        let queued = Request::get("/queued").header("x", "later");
        ensure!(h1::send(addr, queued).await?.status == 200);
    }
    let lines = log.lines("/queued", 2).await?;
    ensure!(decision_is_queued(&lines), "{lines:?}");
    envoy.assert_vm_alive().await
}

/// Of two requests the second has waited.
fn decision_is_queued(lines: &[Value]) -> bool {
    let told: Vec<String> = lines.iter().map(decision).collect();
    let waited =
        |it: &String| it.starts_with("team/p rateLimit/later=queued:") && it.ends_with("ms");
    told.len() == 2 && told[0] == "-" && waited(&told[1])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_what_was_decided() -> Result<()> {
    let spec = json!({"faultInjection": {"delay": {"fixedDelay": "60s"}}});
    let (envoy, _upstream, log) = start(&plugin(&[policy("f", &spec)])).await?;
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client.send("GET /gone HTTP/1.1\r\nhost: h\r\n\r\n").await?;
    let active = "wasmcustom.btp.team.f.fault_active";
    wait::until_async("the delay", PATIENCE, async || {
        Ok((envoy.stat(active).await? == Some(1)).then_some(()))
    })
    .await?;
    client.reset()?;
    let lines = log.lines("/gone", 1).await?;
    ensure!(lines[0]["status"] == 0, "{lines:?}");
    let decision = decision(&lines[0]);
    ensure!(
        decision == "team/f faultInjection=delayed:60000ms",
        "{decision}"
    );
    envoy.assert_vm_alive().await
}

/// What an instance behind the router decides is in the client's line; each entry is once
/// there, however many attempts there are.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_behind_the_router_writes_the_same_line() -> Result<()> {
    let limits = limits(&[shadow("trial", 0)]);
    let faults = json!({"faultInjection": {"position": "Upstream",
        "delay": {"fixedDelay": "10ms"}, "attempts": [1, 2, 3],
        "abort": {"httpStatus": 503}}});
    let mut behind = plugin(&[policy("f", &faults)]);
    behind["position"] = "Upstream".into();
    let upstream = Upstream::start().await?;
    let filtered = upstream_filtered(cluster("filtered", upstream.addr()), &behind)?;
    let add = |builder: Builder| {
        builder
            .raw_cluster(filtered)
            .route(Route::cluster("/tried", "filtered").edit(|route| {
                route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 2,
                "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}});
            }))
    };
    let (envoy, _backend, log) = start_with(&plugin(&[policy("limits", &limits)]), add).await?;
    let response = envoy.get("/tried").await?;
    ensure!(response.status == 503, "{response:?}");
    ensure!(upstream.requests().len() == 3);
    let lines = log.lines("/tried", 1).await?;
    ensure!(
        decision(&lines[0])
            == "team/limits rateLimit/trial=shadow_limited; \
                team/f faultInjection=delayed:10ms faultInjection=aborted:503",
        "{lines:?}"
    );
    envoy.assert_vm_alive().await
}

/// Envoy writes a line for each part of a request that it redirects; each says what was
/// decided there, and what has counted the request once is told once.
#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_a_redirected_request_has_its_own_line() -> Result<()> {
    let mut spec = limits(&[shadow("trial", 0)]);
    spec["faultInjection"] = json!({"delay": {"fixedDelay": "10ms"}});
    let status = json!({"statusCodes": [{"type": "Value", "value": 418}]});
    spec["responseOverride"] =
        json!([{"match": status, "response": {"body": {"inline": "no coffee"}}}]);
    let follow = |builder: Builder| {
        builder.route(Route::cluster("/", "backend").named("all").edit(|route| {
            route["route"]["internal_redirect_policy"] = json!({"max_internal_redirects": 3});
        }))
    };
    let (envoy, upstream, log) = start_with(&plugin(&[policy("p", &spec)]), follow).await?;
    for (from, to) in [("/here", "/there"), ("/there", "/status/418")] {
        let there = format!("http://{}{to}", envoy.addr());
        upstream.script(from, [Reply::status(302).header("location", there)]);
    }
    ensure!(envoy.get("/here").await?.status == 418);
    // The line about a redirect has the path that it leads to.
    let first = log.lines("/there", 1).await?;
    let rest = log.lines("/status/418", 2).await?;
    let of = |line: &Value| (line["details"].as_str().map(str::to_owned), decision(line));
    let redirect = Some("internal_redirect".to_owned());
    let both = "team/p faultInjection=delayed:10ms rateLimit/trial=shadow_limited";
    ensure!(first.len() == 1 && of(&first[0]) == (redirect.clone(), both.to_owned()));
    ensure!(of(&rest[0]) == (redirect, "-".to_owned()), "{rest:?}");
    let last = decision(&rest[1]);
    ensure!(last.starts_with("team/p responseOverride/"), "{rest:?}");
    ensure!(last.ends_with("=overridden:418"), "{rest:?}");
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_an_end() -> Result<()> {
    let rules: Vec<Value> = (0..16)
        .map(|number| shadow(&format!("a-rule-with-a-name-{number}"), 0))
        .collect();
    let longest = format!("{}.{}", "a".repeat(63), "b-9".repeat(20));
    let (envoy, _upstream, log) = start(&plugin(&[policy(&longest, &limits(&rules))])).await?;
    ensure!(envoy.get("/").await?.status == 200);
    let decision = log.decision("/").await?;
    ensure!(decision.len() <= 512 && decision.len() > 400, "{decision}");
    ensure!(
        decision.starts_with(&format!("team/{longest} rateLimit/")),
        "{decision}"
    );
    ensure!(decision.ends_with("=shadow_limited +"), "{decision}");
    envoy.assert_vm_alive().await
}

/// `btp apply --access-log` puts it into each instance; the log's format is the person's.
#[tokio::test(flavor = "multi_thread")]
async fn applied_instances_write_the_line() -> Result<()> {
    let upstream = Upstream::start().await?;
    let (plain, log) = without_filter(&upstream)?;
    let spec = json!({
        "faultInjection": {"position": "Upstream", "delay": {"fixedDelay": "10ms"}},
        "rateLimit": {"local": {"rules": [shadow("trial", 0)]}}});
    let mut document = policy("p", &spec);
    document["kind"] = "BackendTrafficPolicy".into();
    for (options, expected) in [
        (
            &["--access-log"][..],
            "team/p rateLimit/trial=shadow_limited faultInjection=delayed:10ms",
        ),
        (&[], "-"),
    ] {
        let (applied, _) = plain.applied(&document, options)?;
        let envoy = Envoy::start(&applied).await?;
        let path = format!("/{}", options.len());
        ensure!(envoy.get(&path).await?.status == 200);
        let decision = log.decision(&path).await?;
        ensure!(decision == expected, "{decision}");
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// The instance behind the router stops the retry, and the one in front of it tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_the_budget_refuses() -> Result<()> {
    let upstream = Upstream::start().await?;
    let (plain, log) = without_filter(&upstream)?;
    let mut document = policy(
        "budget",
        &json!({
            "retry": {"numRetries": 2, "retryOn": {"triggers": ["5xx", "reset"]}},
            "retryConstraint": {"budget": {"percent": 0, "interval": "1h"},
                "minRetryRate": {"count": 1, "interval": "1h"}}}),
    );
    document["kind"] = "BackendTrafficPolicy".into();
    let (applied, _) = plain.applied(&document, &["--access-log"])?;
    let envoy = Envoy::start(&applied).await?;
    // The gate is seen.
    ensure!(envoy.get("/fine").await?.status == 200);
    ensure!(log.decision("/fine").await? == "-");
    upstream.script("/reset", [Reply::reset(), Reply::reset(), Reply::reset()]);
    // The one retry that there is, and then none.
    ensure!(envoy.get("/reset").await?.status == 503);
    let decision = log.decision("/reset").await?;
    ensure!(
        decision == "team/budget retry=budget_exhausted",
        "{decision}"
    );
    ensure!(envoy.get("/status/503").await?.status == 503);
    let decision = log.decision("/status/503").await?;
    ensure!(
        decision == "team/budget retry=budget_exhausted",
        "{decision}"
    );
    envoy.assert_vm_alive().await
}

/// The configuration to copy, with its log in a file.
#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_to_copy_says_who_decided() -> Result<()> {
    let upstream = Upstream::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("access.log");
    let mut bootstrap = Bootstrap::load("envoy/access-log.yaml")?;
    bootstrap.redirect_cluster("backend", upstream.addr())?;
    bootstrap.edit_http("http", |http| {
        let logger = &mut http["access_log"][0]["typed_config"];
        logger["@type"] = FILE_LOG.into();
        logger["path"] = file.display().to_string().into();
    })?;
    let log = Log {
        file,
        _folder: folder,
    };
    let envoy = Envoy::start(&bootstrap).await?;
    for (path, status, expected) in [
        ("/orders/1", 200, "-"),
        (
            "/orders/2",
            200,
            "default/orders rateLimit/trial=shadow_limited",
        ),
        (
            "/orders/3",
            200,
            "default/orders rateLimit/trial=shadow_limited",
        ),
        (
            "/orders/4",
            429,
            "default/orders rateLimit/per-client=limited",
        ),
    ] {
        let response = h1::get(envoy.listener_addr("http")?, path).await?;
        ensure!(response.status == status, "{path}: {response:?}");
        let lines = log.lines(path, 1).await?;
        ensure!(lines[0]["status"] == status, "{lines:?}");
        ensure!(decision(&lines[0]) == expected, "{lines:?}");
    }
    envoy.assert_vm_alive().await
}
