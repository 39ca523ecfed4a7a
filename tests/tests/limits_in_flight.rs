//! `concurrency` on the real Envoy: requests in flight, whatever ends them,
//! on several workers and over updates.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::{grpc, h1, h2, raw};
use btp_tests::upstream::Reply;
use btp_tests::{Builder, EcdsFile, Envoy, Request, Route, Upstream, wait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);

fn policy(rule: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"},
        "spec": {"rateLimit": {"local": {"rules": [rule]}}}}]})
}

fn at_most(max: u32) -> Value {
    policy(&json!({"concurrency": {"max": max}}))
}

fn with_timeout(timeout: &'static str) -> impl FnOnce(&mut Value) {
    move |route| route["route"]["timeout"] = timeout.into()
}

async fn start(edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    upstream.script("/hang", std::iter::repeat_n(Reply::hang(), 1_000));
    let builder = Builder::new()
        .route(
            Route::cluster("/", "backend")
                .named("all")
                .edit(with_timeout("0s")),
        )
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&edit(builder).build()?).await?;
    Ok((envoy, upstream))
}

async fn in_flight(envoy: &Envoy, count: u64) -> Result<()> {
    let name = r"^wasmcustom\.btp\.default\.p\.rate_limit\.[^.]+\.in_flight$";
    wait::until_async("so many in flight", PATIENCE, async || {
        let places = envoy.stats_matching(name).await?;
        Ok((places.values().sum::<u64>() == count).then_some(()))
    })
    .await
}

/// Opens so many connections with a request each that is never answered.
/// Those that are answered nevertheless were refused: so many.
async fn hang(envoy: &Envoy, count: usize) -> Result<(Vec<raw::Connection>, usize)> {
    hang_as(envoy, "nobody", count).await
}

/// The same as clients of a tier.
async fn hang_as(envoy: &Envoy, tier: &str, count: usize) -> Result<(Vec<raw::Connection>, usize)> {
    let (waiting, mut refused) = (open(envoy, tier, count).await?, 0);
    let mut kept = Vec::new();
    for mut client in waiting {
        match tokio::time::timeout(Duration::from_millis(200), client.read_head()).await {
            Ok(response) => {
                let response = response?;
                ensure!(response.status == 429, "{response:?}");
                refused += 1;
            }
            Err(_) => kept.push(client),
        }
    }
    Ok((kept, refused))
}

async fn open(envoy: &Envoy, tier: &str, count: usize) -> Result<Vec<raw::Connection>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = raw::Connection::open(envoy.addr()).await?;
        let request = format!("GET /hang HTTP/1.1\r\nhost: h\r\nx-tier: {tier}\r\n\r\n");
        client.send(&request).await?;
        clients.push(client);
    }
    Ok(clients)
}

/// Paying clients with so much to themselves, and others.
fn by_class(max: u32, reserved: &str) -> Value {
    policy(&json!({"concurrency": {"max": max, "classes": [
        {"name": "paying", "reserved": reserved,
            "clientSelectors": [{"headers": [{"name": "x-tier", "value": "paying"}]}]},
        {"name": "batch"}]}}))
}

async fn class_limited(envoy: &Envoy, class: &str, count: u64) -> Result<()> {
    let name = format!("wasmcustom.btp.default.p.rate_limit.rule-af63bd4c.class_limited.{class}");
    wait::until_async("so many of a class refused", PATIENCE, async || {
        Ok((envoy.stat(&name).await?.unwrap_or(0) == count).then_some(()))
    })
    .await
}

/// Whichever worker they come to, and also where workers take places ahead without classes.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_burst_a_higher_class_gets_all_that_it_reserves() -> Result<()> {
    for (workers, max) in [(1, 10), (2, 10), (4, 10), (2, 128)] {
        let (envoy, _upstream) =
            start(|b| b.plugin(&by_class(max, "30%")).concurrency(workers)).await?;
        let (max, reserved) = (u64::from(max), u64::from(max * 30 / 100));
        let clients = usize::try_from(max)?;
        let batch = open(&envoy, "batch", clients).await?;
        class_limited(&envoy, "batch", reserved).await?;
        in_flight(&envoy, max - reserved).await?;
        let paying = open(&envoy, "paying", usize::try_from(reserved)? + 2).await?;
        class_limited(&envoy, "paying", 2).await?;
        in_flight(&envoy, max).await?;
        // What the others leave is nobody's, and what paying clients leave is theirs.
        drop(batch);
        in_flight(&envoy, reserved).await?;
        drop(paying);
        in_flight(&envoy, 0).await?;
        let paying = open(&envoy, "paying", clients).await?;
        in_flight(&envoy, max).await?;
        let refused = h1::get(envoy.addr(), "/").await?;
        ensure!(refused.status == 429, "{refused:?}");
        drop(paying);
        in_flight(&envoy, 0).await?;
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_update_of_the_classes_forgets_nobody() -> Result<()> {
    let file = EcdsFile::new(&at_most(4), false)?;
    let (envoy, _upstream) = start(|b| b.plugin_from(&file).concurrency(2)).await?;
    let (old, refused) = hang(&envoy, 2).await?;
    ensure!(refused == 0);
    let reloads = "extension_config_discovery.http_filter.backend_traffic_policy.config_reload";
    let update = async |count: u64, plugin: &Value| {
        file.replace(plugin)?;
        wait::until_async("the update", PATIENCE, async || {
            Ok((envoy.stat(reloads).await? >= Some(count)).then_some(()))
        })
        .await
    };
    update(2, &by_class(4, "50%")).await?;
    let (_, refused) = hang_as(&envoy, "batch", 2).await?;
    ensure!(refused == 2, "{refused}");
    let (paying, refused) = hang_as(&envoy, "paying", 3).await?;
    ensure!(refused == 1, "{refused}");
    update(3, &at_most(4)).await?;
    let (_, refused) = hang_as(&envoy, "paying", 1).await?;
    ensure!(refused == 1, "{refused}");
    drop(paying);
    in_flight(&envoy, 2).await?;
    let (new, refused) = hang_as(&envoy, "batch", 3).await?;
    ensure!(refused == 1, "{refused}");
    drop(old);
    drop(new);
    in_flight(&envoy, 0).await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn five_at_once_are_five_on_one_two_and_four_workers() -> Result<()> {
    for workers in [1, 2, 4] {
        let (envoy, upstream) = start(|b| b.plugin(&at_most(5)).concurrency(workers)).await?;
        for round in 1..=2 {
            let (clients, refused) = hang(&envoy, 20).await?;
            ensure!(refused == 15, "{workers} workers: {refused}");
            ensure!(upstream.requests().len() == round * 5);
            in_flight(&envoy, 5).await?;
            // All of them vanish.
            drop(clients);
            in_flight(&envoy, 0).await?;
        }
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_come_and_go_and_the_upstream_never_sees_more() -> Result<()> {
    const MAX: usize = 4;
    let (envoy, upstream) = start(|b| b.plugin(&at_most(4)).concurrency(2)).await?;
    let addr = envoy.addr();
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        clients.spawn(async move {
            let mut connection = h1::Connection::open(addr).await?;
            let mut passed = 0;
            for _ in 0..40 {
                let status = connection.send(Request::get("/?delay=5")).await?.status;
                ensure!(matches!(status, 200 | 429), "{status}");
                passed += usize::from(status == 200);
            }
            Ok(passed)
        });
    }
    let mut passed = 0;
    while let Some(count) = clients.join_next().await {
        passed += count??;
    }
    let seen = upstream.requests();
    ensure!(seen.len() == passed && passed >= MAX, "{passed}");
    // An answer leaves the upstream 5 ms after the request is complete.
    let delay = Duration::from_millis(5);
    for one in &seen {
        let at = one.headers_at;
        let open = |other: &&btp_tests::upstream::RecordedRequest| {
            let ends = other.complete_at.map(|complete| complete + delay);
            other.headers_at <= at && ends.is_some_and(|ends| ends > at)
        };
        let open = seen.iter().filter(open).count();
        ensure!(open <= MAX, "{open} at once");
    }
    in_flight(&envoy, 0).await?;
    envoy.assert_vm_alive().await
}

/// Whatever ends an exchange, its place is free afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn every_end_frees_the_place() -> Result<()> {
    let mut plugin = at_most(1);
    plugin["policies"][0]["spec"]["responseOverride"] = json!([{
        "match": {"statusCodes": [{"value": 404}]},
        "response": {"statusCode": 410, "body": {"inline": "gone"}}}]);
    plugin["policies"][0]["spec"]["faultInjection"] = json!({
        "match": [{"path": {"value": "/abort"}}], "abort": {"httpStatus": 503}});
    plugin["policies"][0]["spec"]["requestBuffer"] = json!({"limit": 10});
    plugin["allowOnHeadersStopIteration"] = true.into();
    let upstream = Upstream::start().await?;
    upstream.script("/hang", std::iter::repeat_n(Reply::hang(), 100));
    upstream.script("/reset", std::iter::repeat_n(Reply::reset(), 100));
    let mut bootstrap = Builder::new()
        .plugin(&plugin)
        .stop_iteration(true)
        .route(
            Route::cluster("/slow", "backend")
                .named("all")
                .edit(with_timeout("0.2s")),
        )
        .route(Route::cluster("/", "backend").named("all"))
        .cluster("backend", upstream.addr())
        .build()?;
    bootstrap.edit_http("main", |http| {
        http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    })?;
    let envoy = Envoy::start(&bootstrap).await?;
    let addr = envoy.addr();
    upstream.script("/slow", std::iter::repeat_n(Reply::hang(), 100));

    for (request, status) in [
        (Request::get("/"), 200),
        (Request::new("HEAD", "/"), 200),
        (Request::get("/status/204"), 204),
        (Request::get("/status/404"), 410),
        (Request::get("/reset"), 503),
        (Request::get("/slow"), 504),
        (Request::get("/abort"), 503),
        (Request::post("/", vec![b'x'; 10]), 200),
        (Request::post("/", vec![b'x'; 11]), 413),
    ] {
        for http2 in [false, true] {
            let request = request.clone();
            let what = format!("{request:?}");
            let response = if http2 {
                h2::send(addr, request).await?
            } else {
                h1::send(addr, request).await?
            };
            ensure!(response.status == status, "{what}: {response:?}");
            in_flight(&envoy, 0).await?;
        }
    }
    let call = grpc::call(addr, "/svc/grpc/5", b"x").await?;
    ensure!(call.grpc_status == Some(5), "{call:?}");
    in_flight(&envoy, 0).await?;

    let connection = h2::Connection::open(addr).await?;
    let reset = tokio::time::timeout(
        Duration::from_millis(300),
        connection.send(Request::get("/hang")),
    );
    ensure!(reset.await.is_err());
    in_flight(&envoy, 0).await?;

    for start in [
        "GET /hang HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET /hang HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "POST /hang HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nhalf",
    ] {
        let mut client = raw::Connection::open(addr).await?;
        client.send(start).await?;
        in_flight(&envoy, 1).await?;
        let refused = h1::get(addr, "/").await?;
        ensure!(refused.status == 429, "{start}: {refused:?}");
        client.reset()?;
        in_flight(&envoy, 0).await?;
    }
    ensure!(h1::get(addr, "/").await?.status == 200);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_has_places_of_its_own_and_a_refusal_of_the_rules() -> Result<()> {
    let rule = json!({
        "clientSelectors": [{"headers": [{"name": "id", "type": "Distinct"}]}],
        "concurrency": {"max": 1},
        "reject": {"statusCode": 503, "body": "one at a time", "grpcStatus": 8}});
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("access.log");
    let (envoy, _upstream) = start(|b| {
        b.plugin(&policy(&rule))
            .concurrency(2)
            .access_log(&log, "%RESPONSE_CODE_DETAILS%\n")
    })
    .await?;
    let mut ada = raw::Connection::open(envoy.addr()).await?;
    ada.send("GET /hang HTTP/1.1\r\nhost: h\r\nid: ada\r\n\r\n")
        .await?;
    in_flight(&envoy, 1).await?;
    let of = |id: &str| Request::get("/").header("id", id);
    let refused = h1::send(envoy.addr(), of("ada")).await?;
    ensure!(refused.status == 503 && refused.text() == "one at a time");
    ensure!(refused.header("retry-after").is_none(), "{refused:?}");
    ensure!(h1::send(envoy.addr(), of("bob")).await?.status == 200);
    ensure!(h1::get(envoy.addr(), "/").await?.status == 200);
    let call = grpc::request("/svc/method", b"x").header("id", "ada");
    let call = grpc::send(envoy.addr(), call).await?;
    ensure!(call.grpc_status == Some(8), "{call:?}");
    wait::until("the access log", PATIENCE, || {
        let log = std::fs::read_to_string(&log).ok()?;
        (log.matches("btp_concurrency").count() == 2).then_some(())
    })
    .await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_update_forgets_nobody() -> Result<()> {
    let file = EcdsFile::new(&at_most(2), false)?;
    let (envoy, _upstream) = start(|b| b.plugin_from(&file).concurrency(2)).await?;
    let (old, refused) = hang(&envoy, 3).await?;
    ensure!(refused == 1);
    file.replace(&at_most(3))?;
    let reloads = "extension_config_discovery.http_filter.backend_traffic_policy.config_reload";
    wait::until_async("the update", PATIENCE, async || {
        Ok((envoy.stat(reloads).await? >= Some(2)).then_some(()))
    })
    .await?;
    let (new, refused) = hang(&envoy, 3).await?;
    ensure!(refused == 2, "{refused}");
    drop(old);
    in_flight(&envoy, 1).await?;
    drop(new);
    in_flight(&envoy, 0).await?;
    envoy.assert_vm_alive().await
}

/// A worker that has nothing to do but to keep a request in flight is not
/// presumed dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_worker_keeps_its_places() -> Result<()> {
    let (envoy, _upstream) = start(|b| b.plugin(&at_most(2)).concurrency(2)).await?;
    let (_clients, refused) = hang(&envoy, 4).await?;
    ensure!(refused == 2);
    tokio::time::sleep(Duration::from_secs(16)).await;
    for _ in 0..4 {
        ensure!(h1::get(envoy.addr(), "/").await?.status == 429);
    }
    in_flight(&envoy, 2).await?;
    envoy.assert_vm_alive().await
}

/// Envoy begins a redirected request anew: it has one place all the time.
#[tokio::test(flavor = "multi_thread")]
async fn an_internal_redirect_is_one_request_in_flight() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin(&at_most(1))
        .route(Route::cluster("/", "backend").named("all").edit(|route| {
            route["route"]["internal_redirect_policy"] = json!({});
            route["route"]["request_mirror_policies"] = json!([{"cluster": "backend"}]);
        }))
        .cluster("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let addr = envoy.addr();
    for _ in 0..3 {
        let there = Reply::status(302).header("location", format!("http://{addr}/there"));
        upstream.script("/here", [there.clone(), there]);
        let here = Request::get("/here").header("host", addr.to_string());
        let response = h1::send(addr, here).await?;
        ensure!(response.status == 200, "{response:?}");
        in_flight(&envoy, 0).await?;
    }
    ensure!(!upstream.requests_under("/there").is_empty());
    envoy.assert_vm_alive().await
}

/// Requests count on while the rule is gone, and when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_comes_back_finds_its_requests() -> Result<()> {
    let file = EcdsFile::new(&at_most(2), false)?;
    let (envoy, _upstream) = start(|b| b.plugin_from(&file).concurrency(2)).await?;
    let (clients, refused) = hang(&envoy, 3).await?;
    ensure!(refused == 1);
    let reloads = "extension_config_discovery.http_filter.backend_traffic_policy.config_reload";
    for (count, plugin) in [(2, json!({"policies": []})), (3, at_most(2))] {
        file.replace(&plugin)?;
        wait::until_async("the update", PATIENCE, async || {
            Ok((envoy.stat(reloads).await? >= Some(count)).then_some(()))
        })
        .await?;
        let status = h1::get(envoy.addr(), "/").await?.status;
        ensure!(status == if count == 2 { 200 } else { 429 }, "{status}");
    }
    drop(clients);
    in_flight(&envoy, 0).await?;
    envoy.assert_vm_alive().await
}
