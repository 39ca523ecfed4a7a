//! Local rate limits on the real Envoy: several listeners, live updates, workers that
//! die. How exact they are is the subject of `limits_exact.rs`.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::{grpc, h1};
use btp_tests::{Builder, EcdsFile, Envoy, Request, Response, Route, Upstream, wait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);

fn policy(local: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": {"rateLimit": {"local": local}}}]})
}

fn limit(requests: u32, unit: &str) -> Value {
    policy(&json!({"rules": [{"limit": {"requests": requests, "unit": unit}}]}))
}

async fn start(edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .route(Route::cluster("/a/", "backend").named("a"))
        .route(Route::cluster("/", "backend").named("rest"))
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&edit(builder).build()?).await?;
    Ok((envoy, upstream))
}

async fn stat(envoy: &Envoy, name: &str) -> Result<u64> {
    let name = format!("wasmcustom.btp.default.p.rate_limit.{name}");
    Ok(envoy.stat(&name).await?.unwrap_or(0))
}

/// Sends requests over so many connections at the same time, which Envoy
/// spreads over its workers; counts those that pass.
async fn burst(envoy: &Envoy, connections: usize, each: usize) -> Result<usize> {
    let addr = envoy.addr();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(async move {
            let mut connection = h1::Connection::open(addr).await?;
            let mut passed = 0;
            for _ in 0..each {
                let response = connection.send(Request::get("/")).await?;
                ensure!(matches!(response.status, 200 | 429), "{response:?}");
                passed += usize::from(response.status == 200);
            }
            Ok(passed)
        });
    }
    let mut passed = 0;
    while let Some(count) = clients.join_next().await {
        passed += count??;
    }
    Ok(passed)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_per_client_are_three_on_any_number_of_workers() -> Result<()> {
    let local = json!({"rules": [{
        "clientSelectors": [{"headers": [{"name": "id", "type": "Distinct"}]}],
        "limit": {"requests": 3, "unit": "Hour"}}]});
    let (envoy, _upstream) = start(|b| b.plugin(&policy(&local)).concurrency(2)).await?;
    for id in ["one", "two", "\u{e4}"] {
        let mut passed = 0;
        for _ in 0..12 {
            let request = Request::get("/").header("id", id);
            passed += usize::from(h1::send(envoy.addr(), request).await?.status == 200);
        }
        ensure!(passed == 3, "{id}: {passed}");
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_listeners_share_a_limit_and_two_routes_do_not() -> Result<()> {
    let plugin = limit(5, "Hour");
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/a/", "backend").named("a"))
        .route(Route::cluster("/", "backend").named("rest"))
        .cluster("backend", upstream.addr())
        .build()?;
    bootstrap.edit(|config| {
        let listeners = config["static_resources"]["listeners"].as_array_mut();
        if let Some(listeners) = listeners {
            let mut second = listeners[0].clone();
            second["name"] = "second".into();
            listeners.push(second);
        }
    });
    let envoy = Envoy::start(&bootstrap).await?;
    let passed = async |listener: &str, path: &str| -> Result<usize> {
        let mut passed = 0;
        for _ in 0..4 {
            let response = h1::get(envoy.listener_addr(listener)?, path).await?;
            passed += usize::from(response.status == 200);
        }
        Ok(passed)
    };
    ensure!(passed("main", "/x").await? == 4);
    ensure!(passed("second", "/x").await? == 1);
    ensure!(passed("second", "/a/x").await? == 4);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_update_refills_nothing() -> Result<()> {
    let file = EcdsFile::new(&limit(10, "Hour"), false)?;
    let (envoy, _upstream) = start(|b| b.plugin_from(&file).concurrency(2)).await?;
    ensure!(burst(&envoy, 4, 5).await? == 10);
    // Of 40 there are 30 left, and 20 come.
    for (version, requests, left) in [(1_u64, 10_u32, 0), (2, 40, 20), (3, 5, 0)] {
        let mut plugin = limit(requests, "Hour");
        plugin["policies"][0]["metadata"]["labels"] = json!({"version": version.to_string()});
        file.replace(&plugin)?;
        let reloads = format!(
            "extension_config_discovery.http_filter.{}.config_reload",
            "backend_traffic_policy"
        );
        wait::until_async("the update", PATIENCE, async || {
            let done = envoy.stat(&reloads).await?.unwrap_or(0) > version;
            Ok(done.then_some(()))
        })
        .await?;
        // What comes back meanwhile: at 40 an hour one in 90 s.
        let passed = burst(&envoy, 4, 5).await?;
        ensure!(passed == left, "{requests}: {passed}");
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_gets_a_grpc_status() -> Result<()> {
    for (reject, status) in [(json!({}), 14), (json!({"grpcStatus": 8}), 8)] {
        let local =
            json!({"reject": reject, "rules": [{"limit": {"requests": 0, "unit": "Hour"}}]});
        let (envoy, _upstream) = start(|b| b.plugin(&policy(&local))).await?;
        let reply = grpc::send(envoy.addr(), grpc::request("/svc/method", b"x")).await?;
        ensure!(
            reply.status == 200 && reply.grpc_status == Some(status),
            "{reply:?}"
        );
    }
    Ok(())
}

fn values(response: &Response, name: &str) -> Vec<String> {
    let values = response.header_values(name).into_iter();
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstreams_own_headers_are_kept() -> Result<()> {
    let (envoy, _upstream) = start(|b| b.plugin(&limit(7, "Hour"))).await?;
    let response = envoy.get("/x?h=x-ratelimit-limit:99").await?;
    ensure!(
        values(&response, "x-ratelimit-limit") == ["99", "7"],
        "{response:?}"
    );
    ensure!(values(&response, "x-ratelimit-remaining") == ["6"]);
    ensure!(values(&response, "x-ratelimit-reset") == ["0"]);
    Ok(())
}

/// A list may be split over several fields: ours is one more.
#[tokio::test(flavor = "multi_thread")]
async fn the_lists_of_draft_10_stand_beside_an_upstreams_own() -> Result<()> {
    let rule = json!({
        "name": "each", "limit": {"requests": 1, "unit": "Day"},
        "xRateLimitHeaders": "DraftVersion10",
    });
    let plugin = policy(&json!({"rules": [rule]}));
    let (envoy, _upstream) = start(|b| b.plugin(&plugin)).await?;
    let response = envoy.get("/x?h=ratelimit:%22own%22;r=7").await?;
    let limits = values(&response, "ratelimit");
    ensure!(
        limits == ["\"own\";r=7", "\"each\";r=0;t=86400"],
        "{response:?}"
    );
    let policies = ["\"each\";q=1;w=86400"];
    ensure!(values(&response, "ratelimit-policy") == policies);
    let refused = envoy.get("/x").await?;
    ensure!(refused.status == 429 && values(&refused, "ratelimit-policy") == policies);
    let limits = values(&refused, "ratelimit");
    ensure!(
        limits.len() == 1 && limits[0].starts_with("\"each\";r=0;t="),
        "{limits:?}"
    );
    Ok(())
}

/// All that the workers know by themselves is lost with their VMs; a worker
/// that crashes and is reloaded loses no more.
#[tokio::test(flavor = "multi_thread")]
async fn new_virtual_machines_refill_nothing() -> Result<()> {
    let plugin = limit(10, "Hour");
    let file = EcdsFile::new(&plugin, false)?;
    let (envoy, _upstream) = start(|b| b.plugin_from(&file).concurrency(2)).await?;
    ensure!(burst(&envoy, 4, 2).await? == 8);
    let created = async || -> Result<u64> {
        let name = "wasm.envoy.wasm.runtime.v8.created";
        Ok(envoy.stat(name).await?.unwrap_or(0))
    };
    let before = created().await?;
    let mut resource: Value = serde_json::from_slice(&std::fs::read(file.path())?)?;
    resource["version_info"] = "2".into();
    resource["resources"][0]["typed_config"]["config"]["vm_config"]["configuration"] =
        json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "other"});
    file.replace_text(&resource.to_string())?;
    wait::until_async("new virtual machines", PATIENCE, async || {
        Ok((created().await? >= before + 4).then_some(()))
    })
    .await?;
    let reloads = "extension_config_discovery.http_filter.backend_traffic_policy.config_reload";
    wait::until_async("the update", PATIENCE, async || {
        Ok((envoy.stat(reloads).await? >= Some(2)).then_some(()))
    })
    .await?;
    let passed = burst(&envoy, 4, 5).await?;
    ensure!(passed == 2, "{passed}");
    envoy.assert_vm_alive().await
}

/// Rotating a key changes nothing for the one that is used up, and little for
/// who is new: without a slot he still has his own limit, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn rotating_keys_help_nobody() -> Result<()> {
    const KEYS: usize = 3_000;
    let local = json!({"rules": [{
        "name": "each",
        "clientSelectors": [{"headers": [{"name": "id", "type": "Distinct"}]}],
        "limit": {"requests": 3, "unit": "Hour"}}]});
    let mut plugin = policy(&local);
    plugin["limits"] = json!({"distinctKeys": 64});
    let (envoy, upstream) = start(|b| b.plugin(&plugin).concurrency(2)).await?;
    let send = async |id: String| -> Result<u16> {
        let request = Request::get("/").header("id", id);
        Ok(h1::send(envoy.addr(), request).await?.status)
    };
    for _ in 0..3 {
        ensure!(send("victim".into()).await? == 200);
    }
    let mut connection = h1::Connection::open(envoy.addr()).await?;
    for key in 0..KEYS {
        let request = Request::get("/").header("id", key.to_string());
        connection.send(request).await?;
    }
    // Two sets of 64 slots, and cells for the rest.
    let passed = upstream.requests().len();
    ensure!(passed > 3 + KEYS * 9 / 10, "{passed}");
    let mut passed = 0;
    for _ in 0..9 {
        passed += usize::from(send("newcomer".into()).await? == 200);
    }
    // By rounding the third comes a little later.
    ensure!((2..=3).contains(&passed), "{passed}");
    ensure!(send("victim".into()).await? == 429);
    ensure!(stat(&envoy, "each.overflows").await? > 2_000);
    let log = envoy.log();
    let said = log.matches("limits.distinctKeys allows").count();
    ensure!(said == 1, "{log}");
    envoy.assert_vm_alive().await
}

/// Those who come at the same time pass one after the other, with their
/// bodies; who would wait too long is refused at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_smooths_a_burst() -> Result<()> {
    let local = json!({"rules": [{
        "limit": {"requests": 5, "unit": "Second", "burst": 1},
        "queue": {"maxDelay": "30s", "maxQueued": 4}}]});
    let (envoy, upstream) = start(|b| b.plugin(&policy(&local)).concurrency(2)).await?;
    let addr = envoy.addr();
    let mut clients = JoinSet::new();
    for _ in 0..12 {
        clients.spawn(h1::send(addr, Request::post("/", vec![b'x'; 100_000])));
    }
    let mut waits = Vec::new();
    let mut refused = 0;
    while let Some(response) = clients.join_next().await {
        let response = response??;
        match response.status {
            200 => waits.push(response.headers_after),
            429 => refused += 1,
            _ => anyhow::bail!("{response:?}"),
        }
    }
    waits.sort_unstable();
    ensure!(waits.len() >= 5 && refused > 0, "{waits:?}");
    // The fifth takes the fourth token that comes back. Clients start their
    // clocks a little before the requests arrive.
    ensure!(waits[4] >= Duration::from_millis(800), "{waits:?}");
    let seen = upstream.requests();
    ensure!(seen.len() == waits.len());
    ensure!(seen.iter().all(|request| request.body.len() == 100_000));
    ensure!(stat(&envoy, "rule-af63bd4c.queued").await? >= 4);
    envoy.assert_vm_alive().await
}
