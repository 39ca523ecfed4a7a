//! The dynamic module stays in memory though its configuration lets Envoy close it
//! (no `do_not_close`): a filter that is taken away has requests in flight, a thread
//! that wakes them, and counts that its successor goes on with.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::PLUGIN_NAME;
use btp_tests::build::{MODULE_TYPE, module_filter};
use btp_tests::client::h2;
use btp_tests::module::{HEADER_MUTATION, commanded, discovering, is_answered_for, named};
use btp_tests::module::{policies, string};
use btp_tests::{Bootstrap, Builder, EcdsFile, Envoy, Request, Response, Route, Upstream};
use btp_tests::{repo, wait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);
const ACTIVE: &str = "dynamicmodulescustom.btp.fault_active.btp_namespace.default.btp_policy.slow";

fn policy(route: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["targetRefs"] = json!([
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route}]);
    json!({"metadata": {"name": route}, "spec": spec})
}

/// The module in this file, which Envoy may close.
fn may_be_closed(file: &Path, text: &str) -> Value {
    let mut filter = module_filter(file, &string(text));
    filter["dynamic_module_config"]["do_not_close"] = false.into();
    filter
}

/// The same with policies. `version` makes it another configuration.
fn closable(version: u32) -> Result<Value> {
    let delay = json!({"faultInjection": {"delay": {"fixedDelay": "2s"}}});
    let limit = json!({"rateLimit": {"local": {"rules": [
        {"limit": {"requests": 2, "unit": "Year"}}]}}});
    let mut few = policy("few", &limit);
    few["metadata"]["labels"] = json!({"version": version.to_string()});
    let text = json!({"policies": [policy("slow", &delay), few]}).to_string();
    Ok(may_be_closed(&repo::module()?, &text))
}

/// A filter that is not ours.
fn other() -> Value {
    json!({"@type": HEADER_MUTATION, "mutations": {"response_mutations": [
        {"append": {"header": {"key": "x-other", "value": "1"}}}]}})
}

/// The filter is what is in a file.
fn bootstrap(file: &EcdsFile, upstream: &Upstream) -> Result<Bootstrap> {
    let source = json!({"resource_api_version": "V3", "path_config_source": {"path": file.path()}});
    let filter = json!({"name": PLUGIN_NAME, "config_discovery": {
        "config_source": source, "type_urls": [MODULE_TYPE, HEADER_MUTATION]}});
    let builder = Builder::new()
        .concurrency(2)
        .http_filter(filter)
        .route(Route::cluster("/slow", "backend").named("slow"))
        .route(Route::cluster("/few", "backend").named("few"))
        .route(Route::cluster("/", "backend").named("rest"))
        .cluster("backend", upstream.addr());
    named(builder)
}

async fn is_ours(envoy: &Envoy, wanted: bool) -> Result<()> {
    wait::until_async("the update", PATIENCE, async || {
        let is_ours = envoy.get("/rest").await?.header("x-other").is_none();
        Ok((is_ours == wanted).then_some(()))
    })
    .await
}

fn is_mapped(file: &Path, envoy: &Envoy) -> Result<bool> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", envoy.pid()))?;
    Ok(maps.contains(&file.display().to_string()))
}

/// Timer threads of the module: a second copy of it would have its own.
fn timers(envoy: &Envoy) -> Result<usize> {
    let mut count = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", envoy.pid()))? {
        let name = fs::read_to_string(thread?.path().join("comm"))?;
        count += usize::from(name.trim() == "btp timer");
    }
    Ok(count)
}

/// So many requests that are delayed; they end with their clients.
async fn delayed(envoy: &Envoy, count: usize) -> Result<JoinSet<Result<Response>>> {
    let connection = Arc::new(h2::Connection::open(envoy.addr()).await?);
    let mut clients = JoinSet::new();
    for _ in 0..count {
        let connection = Arc::clone(&connection);
        clients.spawn(async move { connection.send(Request::get("/slow")).await });
    }
    Ok(clients)
}

async fn active(envoy: &Envoy, wanted: u64) -> Result<()> {
    wait::until_async(&format!("{wanted} delayed"), PATIENCE, async || {
        // It goes with the last configuration that had it.
        Ok((envoy.own_stat(ACTIVE).await?.unwrap_or(0) == wanted).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_taken_away_finishes_its_delays() -> Result<()> {
    const DELAYED: u64 = 20;
    let upstream = Upstream::start().await?;
    let file = EcdsFile::empty()?;
    file.replace_filter(closable(0)?)?;
    let envoy = Envoy::start(&bootstrap(&file, &upstream)?).await?;
    for round in 1..=2 {
        is_ours(&envoy, true).await?;
        ensure!(envoy.get("/few").await?.status == 200, "round {round}");
        let mut stay = delayed(&envoy, 20).await?;
        active(&envoy, DELAYED).await?;
        let mut vanish = delayed(&envoy, 20).await?;
        active(&envoy, 2 * DELAYED).await?;
        file.replace_filter(other())?;
        is_ours(&envoy, false).await?;
        vanish.shutdown().await;
        let seen = upstream.requests_under("/slow").len();
        while let Some(response) = stay.join_next().await {
            let response = response??;
            ensure!(response.status == 200, "{response:?}");
            ensure!(
                response.headers_after >= Duration::from_secs(2),
                "{response:?}"
            );
        }
        active(&envoy, 0).await?;
        let more = upstream.requests_under("/slow").len() - seen;
        ensure!(more == 20, "{more} went on");
        // Nobody uses the module now, and Envoy has closed what it had opened.
        ensure!(is_mapped(&repo::module()?, &envoy)?);
        ensure!(timers(&envoy)? == 1);
        file.replace_filter(closable(round)?)?;
    }
    // It has counted on all the time.
    is_ours(&envoy, true).await?;
    ensure!(envoy.get("/few").await?.status == 429);
    let mut clients = delayed(&envoy, 1).await?;
    while let Some(response) = clients.join_next().await {
        ensure!(response??.status == 200);
    }
    ensure!(timers(&envoy)? == 1);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_may_be_closed_stays() -> Result<()> {
    let upstream = Upstream::start().await?;
    let module = repo::planted_module()?;
    let closable = |name: &str| may_be_closed(&module, &policies(name));
    let file = EcdsFile::empty()?;
    file.replace_filter(closable("one"))?;
    let envoy = Envoy::start(&discovering(&file, &upstream)?).await?;
    is_ours(&envoy, true).await?;
    ensure!(is_mapped(&module, &envoy)?);
    // Another filter takes its place, so that nobody uses the module.
    file.replace_filter(other())?;
    is_ours(&envoy, false).await?;
    // Its configuration is gone by now, or soon.
    tokio::time::sleep(Duration::from_millis(500)).await;
    ensure!(is_mapped(&module, &envoy)?, "the module was unloaded");
    file.replace_filter(closable("two"))?;
    is_ours(&envoy, true).await?;
    // Panics are caught as before.
    let response = commanded(&envoy, "request_headers").await?;
    ensure!(is_answered_for(&response), "{response:?}");
    Ok(())
}
