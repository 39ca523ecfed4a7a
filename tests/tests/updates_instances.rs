//! Updates that a worker has no memory for, where there is more than one
//! instance of the filter, or somebody waits; and code that Envoy fetches.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{PLUGIN_NAME, cluster, upstream_filtered};
use btp_tests::bulk::with_bulk;
use btp_tests::client::{h1, raw};
use btp_tests::crashing_filter::{self, CrashingFilter};
use btp_tests::{Body, Builder, EcdsFile, Envoy, Reply, Request, Route, Upstream, repo, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const OLDER: &str = "wasmcustom.btp.workers_on_older_configuration";
const NOT_CONFIGURED: &str = "wasmcustom.btp.workers_not_configured";

/// Policies more for which a worker that starves has no room.
const BULK: usize = 2_000;

/// A policy for all routes.
fn policy(spec: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]})
}

/// A configuration that can be told by the status it answers with.
fn version(status: u16) -> Value {
    policy(&json!({"faultInjection": {"abort": {"httpStatus": status}}}))
}

fn adapt(config: &mut Value, filter: &CrashingFilter) {
    let code = &mut config["vm_config"]["code"]["local"]["filename"];
    *code = filter.path().display().to_string().into();
}

async fn wait_for_stat(envoy: &Envoy, name: &str, value: u64) -> Result<()> {
    wait::until_async(&format!("{name} to be {value}"), PATIENCE, async || {
        Ok((envoy.stat(name).await? == Some(value)).then_some(()))
    })
    .await
}

async fn wait_for_status(connection: &mut h1::Connection, status: u16) -> Result<()> {
    wait::until_async(&format!("status {status}"), PATIENCE, async || {
        let response = connection.send(Request::get("/")).await?;
        Ok((response.status == status).then_some(()))
    })
    .await
}

/// Two listeners with a filter each, and one worker that is short of memory when
/// the first filter gets an update.
struct Two {
    envoy: Envoy,
    files: [EcdsFile; 2],
    filter: CrashingFilter,
    connections: [h1::Connection; 2],
}

impl Two {
    async fn start(second_root: &str) -> Result<Self> {
        let filter = CrashingFilter::new()?;
        let named = |config: &mut Value, root: &str| {
            adapt(config, &filter);
            config["root_id"] = root.into();
        };
        let first = EcdsFile::edited(&version(511), false, |it| named(it, PLUGIN_NAME))?;
        let second = EcdsFile::edited(&version(521), false, |it| named(it, second_root))?;
        let mut bootstrap = Builder::new()
            .plugin_from(&first)
            .route(Route::direct("/", 200, "ungoverned"))
            .build()?;
        bootstrap.edit(|config| {
            let listeners = &mut config["static_resources"]["listeners"];
            let text = listeners[0].to_string();
            let [first, second] = [&first, &second].map(|it| it.path().display().to_string());
            let text = text.replace(&first, &second);
            let mut listener: Value = serde_json::from_str(&text).unwrap_or_default();
            listener["name"] = "second".into();
            if let Some(listeners) = listeners.as_array_mut() {
                listeners.push(listener);
            }
        });
        let envoy = Envoy::start(&bootstrap).await?;
        let mut connections = [
            h1::Connection::open(envoy.listener_addr("main")?).await?,
            h1::Connection::open(envoy.listener_addr("second")?).await?,
        ];
        wait_for_status(&mut connections[0], 511).await?;
        wait_for_status(&mut connections[1], 521).await?;
        // Both go on after both have begun.
        wait_for_status(&mut connections[0], 511).await?;
        let starving = crashing_filter::starving(Request::get("/"));
        connections[0].send(starving).await?;
        Ok(Self {
            envoy,
            files: [first, second],
            filter,
            connections,
        })
    }

    fn update_first(&self, status: u16) -> Result<()> {
        let adapt = |config: &mut Value| adapt(config, &self.filter);
        let bulky = with_bulk(version(status), BULK);
        self.files[0].replace_edited(&bulky, adapt)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_never_gets_the_policies_of_another() -> Result<()> {
    let mut two = Two::start(PLUGIN_NAME).await?;
    two.update_first(512)?;
    wait_for_status(&mut two.connections[0], 503).await?;
    wait_for_stat(&two.envoy, NOT_CONFIGURED, 1).await?;
    wait_for_status(&mut two.connections[1], 521).await?;
    let feeding = crashing_filter::feeding(Request::get("/"));
    two.connections[1].send(feeding).await?;
    wait_for_status(&mut two.connections[0], 512).await?;
    wait_for_stat(&two.envoy, NOT_CONFIGURED, 0).await?;
    two.envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_with_a_root_id_of_its_own_keeps_its_policies() -> Result<()> {
    let mut two = Two::start("second").await?;
    two.update_first(512)?;
    wait_for_stat(&two.envoy, OLDER, 1).await?;
    wait_for_status(&mut two.connections[0], 511).await?;
    wait_for_status(&mut two.connections[1], 521).await?;
    two.envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_under_a_configuration_that_is_kept() -> Result<()> {
    let delayed =
        |delay: &str| policy(&json!({"faultInjection": {"delay": {"fixedDelay": delay}}}));
    let filter = CrashingFilter::new()?;
    let file = EcdsFile::edited(&delayed("600ms"), false, |it| adapt(it, &filter))?;
    let bootstrap = Builder::new()
        .plugin_from(&file)
        .route(Route::direct("/", 200, "fine"))
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let get = || h1::get(envoy.addr(), "/");
    h1::send(envoy.addr(), crashing_filter::starving(Request::get("/"))).await?;
    let before = tokio::spawn(h1::get(envoy.addr(), "/"));
    let bulky = with_bulk(delayed("1ms"), BULK);
    file.replace_edited(&bulky, |it| adapt(it, &filter))?;
    wait_for_stat(&envoy, OLDER, 1).await?;
    // The old context has a request still, and none then.
    for response in [before.await??, get().await?, get().await?] {
        ensure!(response.status == 200, "{response:?}");
        ensure!(
            response.elapsed >= Duration::from_millis(600),
            "{response:?}"
        );
    }
    // One waits while the new configuration comes.
    let waiting = tokio::spawn(h1::get(envoy.addr(), "/"));
    h1::send(envoy.addr(), crashing_filter::feeding(Request::get("/"))).await?;
    wait_for_stat(&envoy, OLDER, 0).await?;
    ensure!(waiting.await??.status == 200);
    let response = get().await?;
    ensure!(
        response.elapsed < Duration::from_millis(600),
        "{response:?}"
    );
    envoy.assert_vm_alive().await
}

/// Configurations live on with their requests, also those that were never loaded:
/// the worker is one, and behind no longer than its newest.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_missed_several_updates_counts_once_and_only_for_the_latest() -> Result<()> {
    let version = |status: u16| {
        let spec = |name: &str, fault: Value| {
            let target =
                json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name});
            json!({"metadata": {"name": name},
                   "spec": {"targetRefs": [target], "faultInjection": fault}})
        };
        json!({"policies": [
            spec("held", json!({"delay": {"fixedDelay": "1h"}})),
            spec("all", json!({"abort": {"httpStatus": status}}))]})
    };
    let filter = CrashingFilter::new()?;
    let file = EcdsFile::edited(&version(511), false, |it| adapt(it, &filter))?;
    let bootstrap = Builder::new()
        .plugin_from(&file)
        .route(Route::direct("/held", 200, "late").named("held"))
        .route(Route::direct("/free", 200, "free").named("free"))
        .route(Route::direct("/", 200, "fine").named("all"))
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let mut held = Vec::new();
    let mut hold = async || -> Result<()> {
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client.send("GET /held HTTP/1.1\r\nhost: h\r\n\r\n").await?;
        held.push(client);
        let open = held.len() as u64;
        wait_for_stat(&envoy, "http.main.downstream_rq_active", open).await
    };
    hold().await?;
    h1::send(
        envoy.addr(),
        crashing_filter::starving(Request::get("/free")),
    )
    .await?;
    for status in 512..515 {
        let bulky = with_bulk(version(status), BULK);
        file.replace_edited(&bulky, |it| adapt(it, &filter))?;
        let reloads = u64::from(status - 510);
        let reloaded =
            "extension_config_discovery.http_filter.backend_traffic_policy.config_reload";
        wait_for_stat(&envoy, reloaded, reloads).await?;
        wait_for_stat(&envoy, OLDER, 1).await?;
        ensure!(envoy.get("/").await?.status == 511);
        // Its context lives on.
        hold().await?;
    }
    ensure!(envoy.stat(OLDER).await? == Some(1));
    h1::send(
        envoy.addr(),
        crashing_filter::feeding(Request::get("/free")),
    )
    .await?;
    wait::until_async("the newest", PATIENCE, async || {
        Ok((envoy.get("/").await?.status == 514).then_some(()))
    })
    .await?;
    wait_for_stat(&envoy, OLDER, 0).await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_instance_without_a_configuration_refuses_and_is_not_retried() -> Result<()> {
    let upstream = Upstream::start().await?;
    let plugin = json!({"position": "Upstream", "policies": []});
    let cluster = upstream_filtered(cluster("backend", upstream.addr()), &plugin)?;
    let retried = Route::cluster("/", "backend").edit(|route| {
        route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 3});
    });
    let mut bootstrap = Builder::new().route(retried).raw_cluster(cluster).build()?;
    // The canary is the first.
    let filter = CrashingFilter::starving(2..=3)?;
    filter.replace_in(&mut bootstrap)?;
    let envoy = Envoy::start(&bootstrap).await?;
    let mut connection = h1::Connection::open(envoy.addr()).await?;
    let refused = connection.send(Request::get("/")).await?;
    ensure!(
        refused.status == 503 && refused.text() == "not configured\n",
        "{refused:?}"
    );
    ensure!(upstream.requests().is_empty());
    ensure!(
        envoy
            .stat("cluster.backend.upstream_rq_retry")
            .await?
            .unwrap_or(0)
            == 0
    );
    connection
        .send(crashing_filter::feeding(Request::get("/")))
        .await?;
    wait_for_status(&mut connection, 200).await?;
    envoy.assert_vm_alive().await
}

/// What README and docs/reference/crashes.md say of remote code.
#[tokio::test(flavor = "multi_thread")]
async fn code_that_envoy_has_yet_to_fetch_starts_with_a_wrong_configuration_and_gives_503()
-> Result<()> {
    let wasm = repo::wasm()?;
    let sum = Command::new("sha256sum").arg(&wasm).output()?;
    let sum = String::from_utf8(sum.stdout)?;
    let sum = sum.split_whitespace().next().context("no checksum")?;
    let code = std::fs::read(&wasm)?;
    let origin = Upstream::start().await?;
    origin.script("/filter.wasm", [Reply::status(200).body(Body::sized(code))]);
    let remote = json!({"remote": {
        "http_uri": {
            "uri": format!("http://{}/filter.wasm", origin.addr()),
            "cluster": "code",
            "timeout": "30s",
        },
        "sha256": sum,
    }});
    let file = EcdsFile::edited(&version(600), false, |config| {
        config["vm_config"]["code"] = remote.clone();
    })?;
    let bootstrap = Builder::new()
        .plugin_from(&file)
        .route(Route::direct("/", 200, "ungoverned"))
        .cluster("code", origin.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    envoy
        .wait_for_log("must be between 200 and 599 (got 600)", PATIENCE)
        .await?;
    ensure!(envoy.get("/").await?.status == 503);
    let mut connection = h1::Connection::open(envoy.addr()).await?;
    let update = |status| {
        file.replace_edited(&version(status), |config| {
            config["vm_config"]["code"] = remote.clone();
        })
    };
    update(511)?;
    wait_for_status(&mut connection, 511).await?;
    // Envoy has the code by now, so that the old configuration stays in force.
    update(601)?;
    envoy
        .wait_for_log("must be between 200 and 599 (got 601)", PATIENCE)
        .await?;
    ensure!(envoy.get("/").await?.status == 511);
    Ok(())
}
