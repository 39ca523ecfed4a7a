//! An update of the filter itself: from the .wasm of an earlier commit to the
//! one under test, with the same `vm_id`, while requests come
//! (docs/guides/upgrading.md).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::client::{h1, raw};
use btp_tests::upstream::Reply;
use btp_tests::{Builder, EcdsFile, Envoy, Request, Route, Upstream, repo, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const WORKERS: u32 = 2;
/// Requests an hour, on the route that is counted.
const HOURLY: usize = 20;
/// Requests an hour of each client.
const PER_CLIENT: usize = 4;
/// Requests in flight.
const MOST: usize = 5;

/// `page`: what tells one configuration from another.
fn policies(page: &str) -> Value {
    let policy = |route: &str, spec: Value| {
        let mut spec = spec;
        spec["targetRefs"] =
            json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route}]);
        json!({"metadata": {"name": route}, "spec": spec})
    };
    let rules = |rules: Value| json!({"rateLimit": {"local": {"rules": rules}}});
    json!({"policies": [
        policy("hourly", rules(json!([{"limit": {"requests": HOURLY, "unit": "Hour"}}]))),
        policy("clients", rules(json!([{
            "clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}],
            "limit": {"requests": PER_CLIENT, "unit": "Hour"}}]))),
        policy("flight", rules(json!([{"concurrency": {"max": MOST}}]))),
        // Whatever may refuse, and never has a reason to.
        policy("load", json!({
            "rateLimit": {"local": {"rules": [
                {"clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}],
                 "limit": {"requests": 4_000_000, "unit": "Second"}, "concurrency": {"max": 1000}},
                {"limit": {"requests": 4_000_000, "unit": "Second"}, "concurrency": {"max": 1000}}]}},
            "requestBuffer": {"limit": 1000, "mode": "Stream"},
            "faultInjection": {"delay": {"fixedDelay": "3ms", "percentage": 30}, "maxActive": 1000},
            "responseOverride": [{"match": {"statusCodes": [{"value": 404}]},
                "response": {"contentType": "text/plain", "body": {"inline": page}}}],
            "retry": {}, "retryConstraint": {}})),
    ]})
}

/// The path of the code in a `PluginConfig`.
fn of(code: &Path) -> impl FnOnce(&mut Value) {
    move |config| {
        config["vm_config"]["code"]["local"]["filename"] = code.display().to_string().into();
    }
}

/// Clients that ask again and again, one of whom waits a little each time in
/// the filter.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Load {
    fn start(envoy: &Envoy) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let clients = (0..4).map(|client| {
            let (stop, served, peer) = (stop.clone(), served.clone(), envoy.addr());
            tokio::spawn(async move {
                let mut connection = h1::Connection::open(peer).await?;
                while !stop.load(Ordering::Relaxed) {
                    let mut request = Request::get("/load");
                    if client % 2 == 0 {
                        request = request.header("x-user", client.to_string());
                    }
                    let response = connection.send(request).await?;
                    ensure!(response.status == 200, "{response:?}");
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        });
        let clients = clients.collect();
        Self {
            stop,
            served,
            clients,
        }
    }

    /// Waits until so many more have been served.
    async fn served(&self, more: u64) -> Result<()> {
        let wanted = self.served.load(Ordering::Relaxed) + more;
        wait::until_async("requests to be served", PATIENCE, async || {
            let failed = self
                .clients
                .iter()
                .any(tokio::task::JoinHandle::is_finished);
            let served = self.served.load(Ordering::Relaxed);
            Ok((failed || served >= wanted).then_some(()))
        })
        .await
    }

    /// All of them were served.
    async fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await?.context("a client was not served")?;
        }
        Ok(())
    }
}

/// How many of so many requests get through.
async fn admitted(envoy: &Envoy, count: usize, request: impl Fn() -> Request) -> Result<usize> {
    let mut admitted = 0;
    for _ in 0..count {
        match envoy.send(request()).await?.status {
            200 => admitted += 1,
            429 => {}
            other => anyhow::bail!("status {other}"),
        }
    }
    Ok(admitted)
}

/// Opens so many requests that are never answered; gives those that were not
/// refused.
async fn hang(envoy: &Envoy, count: usize) -> Result<Vec<raw::Connection>> {
    let mut waiting = Vec::new();
    for _ in 0..count {
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send("GET /flight HTTP/1.1\r\nhost: h\r\n\r\n")
            .await?;
        let head = tokio::time::timeout(Duration::from_millis(500), client.read_head()).await;
        match head {
            Ok(refused) => ensure!(refused?.status == 429),
            Err(_) => waiting.push(client),
        }
    }
    Ok(waiting)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_load_refuses_nobody_and_refills_no_bucket() -> Result<()> {
    let (before, now) = (repo::wasm_before()?, repo::wasm()?);
    let file = EcdsFile::edited(&policies("%REQ(:path)%"), false, of(&before))?;
    let upstream = Upstream::start().await?;
    upstream.script("/flight", std::iter::repeat_n(Reply::hang(), 100));
    let routes = ["hourly", "clients", "flight", "load"];
    let builder = Builder::new().plugin_from(&file).concurrency(WORKERS);
    let builder = routes.into_iter().fold(builder, |builder, name| {
        let route = Route::cluster(&format!("/{name}"), "backend").named(name);
        builder.route(route.edit(|route| route["route"]["timeout"] = "0s".into()))
    });
    let bootstrap = builder.cluster("backend", upstream.addr()).build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let load = Load::start(&envoy);
    load.served(200).await?;

    let hourly = || Request::get("/hourly");
    let client = |user: &'static str| move || Request::get("/clients").header("x-user", user);
    ensure!(admitted(&envoy, HOURLY - 5, hourly).await? == HOURLY - 5);
    ensure!(admitted(&envoy, 10, client("used-up")).await? == PER_CLIENT);
    ensure!(admitted(&envoy, 1, client("has-left")).await? == 1);
    let old = hang(&envoy, MOST - 2).await?;
    ensure!(old.len() == MOST - 2);

    // To the new code, and then to another configuration of it.
    let reloads = "extension_config_discovery.http_filter.backend_traffic_policy.config_reload";
    for (count, page) in [(2, "%REQ(:path)%"), (3, "%PATH(NQ)%")] {
        file.replace_edited(&policies(page), of(&now))?;
        wait::until_async("the update", PATIENCE, async || {
            Ok((envoy.stat(reloads).await? >= Some(count)).then_some(()))
        })
        .await?;
        load.served(500).await?;
    }

    // What was left is left, and not a token more.
    ensure!(admitted(&envoy, HOURLY, hourly).await? == 5);
    ensure!(admitted(&envoy, 10, client("used-up")).await? == 0);
    ensure!(admitted(&envoy, 10, client("has-left")).await? == PER_CLIENT - 1);
    ensure!(admitted(&envoy, 10, client("new")).await? == PER_CLIENT);
    let new = hang(&envoy, MOST).await?;
    ensure!(new.len() == 2, "{} places beside {}", new.len(), old.len());

    load.end().await?;
    drop((old, new));
    let gauge = "wasmcustom.btp.default.flight.rate_limit.rule-af63bd4c.in_flight";
    wait::until_async("places to be free", PATIENCE, async || {
        Ok((envoy.stat(gauge).await? == Some(0)).then_some(()))
    })
    .await?;
    let again = hang(&envoy, MOST + 1).await?;
    ensure!(again.len() == MOST, "{}", again.len());
    envoy.assert_vm_alive().await
}
