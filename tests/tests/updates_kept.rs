//! What an update of the configuration leaves alone: what was counted, who is held, and
//! which configuration a worker remembers what of. By a listener that is replaced, and
//! by the filter's configuration alone.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::h1;
use btp_tests::envoy::NO_HOT_RESTART;
use btp_tests::load::Load;
use btp_tests::{Bootstrap, Builder, EcdsFile, Envoy, Reply, Request, Response, Route, Upstream};
use btp_tests::{build, wait};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(20);

fn policy(route: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["targetRefs"] = json!([
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route}]);
    json!({"metadata": {"name": route}, "spec": spec})
}

fn limit(requests: u32) -> Value {
    json!({"rules": [{"limit": {"requests": requests, "unit": "Year"}}]})
}

/// A configuration, told by its number at `/version`.
fn plugin(version: usize) -> Value {
    let abort = json!({"httpStatus": 200, "body": version.to_string()});
    json!({"policies": [
        policy("version", &json!({"faultInjection": {"abort": abort}})),
        policy("slow", &json!({"faultInjection": {"delay": {"fixedDelay": "2s"}}})),
        policy("forever", &json!({"faultInjection": {"delay": {"fixedDelay": "1h"}}})),
        policy("few", &json!({"rateLimit": {"local": limit(4)}})),
        policy("counted", &json!({"rateLimit": {"local": {"rules": [{"concurrency": {"max": 2}}]}}})),
    ]})
}

fn routes(upstream: &Upstream, names: &[&str]) -> Builder {
    let mut builder = Builder::new().cluster("backend", upstream.addr());
    for name in names {
        builder = builder.route(Route::cluster(&format!("/{name}"), "backend").named(name));
    }
    builder
}

/// An Envoy whose listeners are in a file that it watches.
struct Listeners {
    dir: TempDir,
    bootstrap: Bootstrap,
}

impl Listeners {
    fn new(upstream: &Upstream) -> Result<Self> {
        let it = Self {
            dir: TempDir::new()?,
            bootstrap: Self::at(upstream, 1)?,
        };
        it.write(&it.bootstrap)?;
        Ok(it)
    }

    fn at(upstream: &Upstream, version: usize) -> Result<Bootstrap> {
        let builder = routes(upstream, &["version", "slow", "forever", "few", "counted"]);
        builder.plugin(&plugin(version)).concurrency(2).build()
    }

    fn write(&self, bootstrap: &Bootstrap) -> Result<()> {
        let mut listener = bootstrap.config()["static_resources"]["listeners"][0].clone();
        listener["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener".into();
        let mut file = json!({"resources": [listener]});
        build::adapt(&mut file)?;
        let new = self.dir.path().join("new");
        fs::write(&new, file.to_string())?;
        Ok(fs::rename(new, self.dir.path().join("lds.json"))?)
    }

    async fn start(&self, arguments: &[&str]) -> Result<Envoy> {
        let mut bootstrap = self.bootstrap.clone();
        let path = self.dir.path().join("lds.json").display().to_string();
        bootstrap.edit(|config| {
            config["static_resources"]["listeners"] = json!([]);
            config["dynamic_resources"] = json!({"lds_config": {
                "resource_api_version": "V3", "path_config_source": {"path": path}}});
        });
        Envoy::start_with(&bootstrap, &[&[NO_HOT_RESTART], arguments].concat()).await
    }
}

fn send(envoy: &Envoy, path: &'static str) -> JoinHandle<Result<Response>> {
    let addr = envoy.addr();
    tokio::spawn(async move { h1::get(addr, path).await })
}

async fn stat(envoy: &Envoy, name: &str, wanted: u64) -> Result<()> {
    let name = format!("wasmcustom.btp.default.{name}");
    wait::until_async(&format!("{name}: {wanted}"), PATIENCE, async || {
        Ok((envoy.stat(&name).await?.unwrap_or(0) == wanted).then_some(()))
    })
    .await
}

async fn is_version(envoy: &Envoy, version: usize) -> Result<()> {
    let version = version.to_string();
    wait::until_async("the update", PATIENCE, async || {
        Ok((envoy.get("/version").await?.text() == version).then_some(()))
    })
    .await
}

/// Its connections have 6 s, then Envoy closes those that are left.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_listener_keeps_what_was_counted_and_who_is_held() -> Result<()> {
    let upstream = Upstream::start().await?;
    let listeners = Listeners::new(&upstream)?;
    let envoy = listeners.start(&["--drain-time-s", "6"]).await?;
    let gate = Arc::new(Semaphore::new(0));
    let replies = std::iter::repeat_with(|| Reply::status(200).behind(&gate));
    upstream.script("/counted", replies.take(10));
    for _ in 0..3 {
        ensure!(envoy.get("/few").await?.status == 200);
    }
    let (slow, forever) = (send(&envoy, "/slow"), send(&envoy, "/forever"));
    let old = send(&envoy, "/counted");
    let in_flight = "counted.rate_limit.rule-af63bd4c.in_flight";
    stat(&envoy, in_flight, 1).await?;
    stat(&envoy, "slow.fault_active", 1).await?;
    stat(&envoy, "forever.fault_active", 1).await?;

    listeners.write(&Listeners::at(&upstream, 2)?)?;
    is_version(&envoy, 2).await?;
    for status in [200, 429] {
        ensure!(envoy.get("/few").await?.status == status, "{status}");
    }
    let new = send(&envoy, "/counted");
    stat(&envoy, in_flight, 2).await?;
    ensure!(envoy.get("/counted").await?.status == 429);
    gate.add_permits(2);
    for pending in [slow, old, new] {
        let response = pending.await??;
        ensure!(response.status == 200, "{response:?}");
    }
    stat(&envoy, in_flight, 0).await?;
    stat(&envoy, "few.rate_limit.rule-af63bd4c.admitted", 4).await?;
    // The old listener ends with its connections, and leaves nothing behind.
    ensure!(forever.await?.is_err());
    stat(&envoy, "forever.fault_active", 0).await?;
    ensure!(upstream.requests_under("/forever").is_empty());
    envoy.assert_vm_alive().await
}

/// Each configuration has a limit of its own at the same place, which one request uses
/// up on each worker. What a worker remembers of one (which policy governs a route, until
/// when a bucket is empty) must not be taken for another's, though their memory may be the
/// same.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_never_takes_one_configuration_for_another() -> Result<()> {
    const UPDATES: usize = 30;
    let upstream = Upstream::start().await?;
    let version = |number: usize| {
        // At each update the policies are at other places of the list.
        let mut plugin = plugin(number);
        let own = json!({"metadata": {"name": format!("of-{number}")}, "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                "name": "own"}],
            "rateLimit": {"local": limit(2)}}});
        if let Some(policies) = plugin["policies"].as_array_mut() {
            policies.push(own);
            let count = policies.len();
            policies.rotate_left(number % count);
        }
        plugin
    };
    let file = EcdsFile::new(&version(0), false)?;
    let builder = routes(&upstream, &["version", "own"]).plugin_from(&file);
    let envoy = Envoy::start(&builder.concurrency(2).build()?).await?;
    let mut workers = envoy.connection_to_each_worker(2, "/version").await?;
    for number in 0..UPDATES {
        if number > 0 {
            file.replace(&version(number))?;
        }
        for worker in &mut workers {
            let text = number.to_string();
            wait::until_async("the update", PATIENCE, async || {
                let response = worker.send(Request::get("/version")).await?;
                Ok((response.text() == text).then_some(()))
            })
            .await?;
        }
        let mut statuses = Vec::new();
        for _ in 0..2 {
            for worker in &mut workers {
                statuses.push(worker.send(Request::get("/own")).await?.status);
            }
        }
        ensure!(statuses == [200, 200, 429, 429], "{number}: {statuses:?}");
    }
    stat(
        &envoy,
        &format!("of-{}.rate_limit.rule-af63bd4c.limited", UPDATES - 1),
        2,
    )
    .await?;
    envoy.assert_vm_alive().await
}

/// Before any request has come under the new configuration, and after.
#[tokio::test(flavor = "multi_thread")]
async fn counters_go_on_over_updates() -> Result<()> {
    let upstream = Upstream::start().await?;
    let file = EcdsFile::new(&plugin(0), false)?;
    let builder = routes(&upstream, &["few"]).plugin_from(&file);
    let envoy = Envoy::start(&builder.concurrency(2).build()?).await?;
    for _ in 0..5 {
        envoy.get("/few").await?;
    }
    let counted = async |limited| {
        stat(&envoy, "few.rate_limit.rule-af63bd4c.admitted", 4).await?;
        stat(&envoy, "few.rate_limit.rule-af63bd4c.limited", limited).await
    };
    counted(1).await?;
    let reloads = "extension_config_discovery.http_filter.backend_traffic_policy.config_reload";
    for update in 1..4 {
        file.replace(&plugin(usize::try_from(update)?))?;
        wait::until_async("the update", PATIENCE, async || {
            Ok((envoy.stat(reloads).await? > Some(update)).then_some(()))
        })
        .await?;
        // Envoy drops the old configuration a little later.
        tokio::time::sleep(Duration::from_millis(200)).await;
        counted(update).await?;
        ensure!(envoy.get("/few").await?.status == 429);
        counted(update + 1).await?;
    }
    envoy.assert_vm_alive().await
}

/// Retries are under way at every update. What is held of a budget goes back to it, and
/// its numbers go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_goes_on_over_updates() -> Result<()> {
    const CONNECTIONS: usize = 8;
    const UPDATES: usize = 10;
    let budgeted = |version: usize| {
        let spec = json!({
            "retry": {"numRetries": 2, "retryOn": {"triggers": ["5xx"]}},
            "retryConstraint": {"budget": {"percent": 20, "interval": "10s"},
                "minRetryRate": {"count": 1, "interval": "1h"}},
        });
        json!({"policies": [{"spec": spec, "metadata":
            {"name": "p", "labels": {"version": version.to_string()}}}]})
    };
    let upstream = Upstream::start().await?;
    let file = EcdsFile::new(&budgeted(0), false)?;
    let builder = Builder::new().plugin_from(&file).backend(&upstream);
    let envoy = Envoy::start(&builder.concurrency(2).build()?).await?;
    // It opens the account, and what pays for its retry is the minimum rate.
    ensure!(envoy.get("/status/503").await?.status == 503);
    let load = Load::start(
        envoy.addr(),
        "/status/503?delay=5",
        CONNECTIONS,
        |response| response.status.to_string(),
    );
    let reloads = "extension_config_discovery.http_filter.backend_traffic_policy.config_reload";
    for update in 1..=UPDATES {
        file.replace(&budgeted(update))?;
        wait::until_async("the update", PATIENCE, async || {
            Ok((envoy.stat(reloads).await? > Some(update as u64)).then_some(()))
        })
        .await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let tally = load.stop().await?;
    let requests = tally.requests + 1;
    let retries = upstream.requests().len() as u64 - requests;
    let stat = async |name: &str| envoy.policy_stat(&format!("retry_budget_{name}")).await;
    let what = format!("{requests} requests, {retries} retries");
    ensure!(stat("requests").await? == requests, "{what}");
    let paid = stat("retries").await?;
    ensure!(
        paid + stat("min_retries").await? == retries,
        "{what}, {paid} of the budget"
    );
    ensure!(
        paid > 0 && paid * 5 <= requests,
        "{what}, {paid} of the budget"
    );
    ensure!(
        stat("debug_held").await? == 0 && stat("debug_min_held").await? == 0,
        "{what}"
    );
    envoy.assert_vm_alive().await
}
