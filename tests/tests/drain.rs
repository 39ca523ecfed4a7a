//! Requests that are held while Envoy drains, ends, or hands over to a new process: what
//! waits for a delay or for its tokens, and what counts as in flight.
//!
//! `docs/guides/upgrading.md` says of both builds what these tests show.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::client::{h1, h2};
use btp_tests::envoy::{NO_HOT_RESTART, free_port};
use btp_tests::{Bootstrap, Builder, Envoy, Reply, Request, Response, Route, Upstream, wait};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

const PATIENCE: Duration = Duration::from_secs(20);
const DELAY: Duration = Duration::from_secs(4);
/// How long a parent serves beside the process that has taken over.
const PARENT: &str = "8";

fn policy(route: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["targetRefs"] = json!([
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route}]);
    json!({"metadata": {"name": route}, "spec": spec})
}

fn local(rule: &Value) -> Value {
    json!({"rateLimit": {"local": {"rules": [rule]}}})
}

/// A policy for each way to be held, and one for a bucket that fills in a year.
fn plugin() -> Value {
    let queued = json!({"limit": {"requests": 20, "unit": "Minute", "burst": 1},
        "queue": {"maxDelay": "1m"}});
    json!({"policies": [
        policy("slow", &json!({"faultInjection": {"delay": {"fixedDelay": "4s"}}})),
        policy("forever", &json!({"faultInjection": {"delay": {"fixedDelay": "1h"}}})),
        policy("queued", &local(&queued)),
        policy("counted", &local(&json!({"concurrency": {"max": 1}}))),
        policy("few", &local(&json!({"limit": {"requests": 2, "unit": "Year"}}))),
    ]})
}

/// `epoch` is in a header of each response that comes from the upstream.
fn bootstrap(upstream: &Upstream, epoch: &str) -> Result<Bootstrap> {
    let header = json!([{"header": {"key": "x-epoch", "value": epoch}}]);
    let mut builder = Builder::new().plugin(&plugin()).concurrency(2);
    for name in ["slow", "forever", "queued", "counted", "few"] {
        let route = Route::cluster(&format!("/{name}"), "backend").named(name);
        builder = builder.route(route.edit(|it| it["response_headers_to_add"] = header.clone()));
    }
    builder.cluster("backend", upstream.addr()).build()
}

/// A request whose answer is still to come.
type Pending = JoinHandle<Result<Response>>;

fn send(envoy: &Envoy, path: &'static str) -> Pending {
    let addr = envoy.addr();
    tokio::spawn(async move { h1::get(addr, path).await })
}

/// One request in each way to be held.
struct Held {
    slow: Pending,
    queued: Pending,
    counted: Pending,
    /// Of the answers to `counted`, for which the upstream waits.
    gate: Arc<Semaphore>,
}

async fn stat(envoy: &Envoy, name: &str, wanted: u64) -> Result<()> {
    let name = format!("wasmcustom.btp.default.{name}");
    wait::until_async(&format!("{name}: {wanted}"), PATIENCE, async || {
        Ok((envoy.stat(&name).await?.unwrap_or(0) == wanted).then_some(()))
    })
    .await
}

impl Held {
    async fn new(envoy: &Envoy, upstream: &Upstream) -> Result<Self> {
        let gate = Arc::new(Semaphore::new(0));
        let replies = std::iter::repeat_with(|| Reply::status(200).behind(&gate));
        upstream.script("/counted", replies.take(10));
        ensure!(envoy.get("/queued").await?.status == 200);
        let held = Self {
            slow: send(envoy, "/slow"),
            queued: send(envoy, "/queued"),
            counted: send(envoy, "/counted"),
            gate: Arc::clone(&gate),
        };
        stat(envoy, "slow.fault_active", 1).await?;
        stat(envoy, "queued.rate_limit.rule-af63bd4c.queued", 1).await?;
        stat(envoy, "counted.rate_limit.rule-af63bd4c.in_flight", 1).await?;
        // It is counted: the second finds no place.
        ensure!(envoy.get("/counted").await?.status == 429);
        Ok(held)
    }

    /// All are answered by this process, and have waited as long as they had to.
    async fn are_answered(self, epoch: &str) -> Result<()> {
        let slow = self.slow.await??;
        ensure!(slow.headers_after >= DELAY, "{slow:?}");
        for response in [slow, self.queued.await??, self.counted.await??] {
            let from = response.header("x-epoch");
            let is_fine = response.status == 200 && from.as_deref() == Some(epoch);
            ensure!(is_fine, "{response:?}");
        }
        Ok(())
    }
}

/// Nothing is held any more.
async fn is_idle(envoy: &Envoy) -> Result<()> {
    stat(envoy, "slow.fault_active", 0).await?;
    stat(envoy, "counted.rate_limit.rule-af63bd4c.in_flight", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_while_listeners_drain_is_answered() -> Result<()> {
    for command in ["/drain_listeners?graceful", "/drain_listeners"] {
        let upstream = Upstream::start().await?;
        let arguments = [NO_HOT_RESTART, "--drain-time-s", "1"];
        let envoy = Envoy::start_with(&bootstrap(&upstream, "0")?, &arguments).await?;
        let mut open = h1::Connection::open(envoy.addr()).await?;
        for _ in 0..2 {
            ensure!(open.send(Request::get("/few")).await?.status == 200);
        }
        let held = Held::new(&envoy, &upstream).await?;
        envoy.admin_post(command).await?;
        wait::until_async("the listener to close", PATIENCE, async || {
            let connected = TcpStream::connect(envoy.addr()).await;
            Ok(connected.is_err().then_some(()))
        })
        .await?;
        // Connections that are there may still ask, and are limited as before.
        ensure!(open.send(Request::get("/few")).await?.status == 429);
        held.gate.add_permits(1);
        held.are_answered("0").await.context(command)?;
        is_idle(&envoy).await?;
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// Delays end all the time while Envoy ends: some before, some meanwhile, most never.
#[tokio::test(flavor = "multi_thread")]
async fn envoy_ends_well_with_requests_held() -> Result<()> {
    const CONNECTIONS: usize = 4;
    const STREAMS: usize = 250;
    let delay = json!({"distribution": {"uniform": {"min": "200ms", "max": "3s"}}});
    let spread = json!({"policies": [{"metadata": {"name": "p"}, "spec":
        {"faultInjection": {"delay": delay}}}]});
    for by_signal in [true, false] {
        let upstream = Upstream::start().await?;
        let builder = Builder::new().plugin(&spread).concurrency(4);
        let builder = builder.backend(&upstream);
        let mut envoy = Envoy::start(&builder.build()?).await?;
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let connection = Arc::new(h2::Connection::open(envoy.addr()).await?);
            for _ in 0..STREAMS {
                let connection = Arc::clone(&connection);
                clients.spawn(async move { connection.send(Request::get("/")).await });
            }
        }
        // The first has been answered: others are due now.
        let first = clients.join_next().await.context("no client")??;
        ensure!(first?.status == 200);
        if by_signal {
            envoy.terminate()?;
        } else {
            envoy.admin_post("/quitquitquit").await?;
        }
        envoy.ended_well(PATIENCE).await?;
        let mut broken_off = 0;
        while let Some(client) = clients.join_next().await {
            match client? {
                Ok(response) => ensure!(response.status == 200, "{response:?}"),
                Err(_) => broken_off += 1,
            }
        }
        ensure!(broken_off > 0, "nobody was held any more");
    }
    Ok(())
}

/// Every other kind of wait at the end: queues, places, delays without an end.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_ends_with_envoy() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut envoy = Envoy::start(&bootstrap(&upstream, "0")?).await?;
    let held = Held::new(&envoy, &upstream).await?;
    let forever = send(&envoy, "/forever");
    stat(&envoy, "forever.fault_active", 1).await?;
    envoy.terminate()?;
    envoy.ended_well(PATIENCE).await?;
    for pending in [held.slow, held.queued, held.counted, forever] {
        ensure!(pending.await?.is_err(), "answered by nobody");
    }
    ensure!(upstream.requests_under("/slow").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_finishes_what_it_holds_and_its_child_begins_anew() -> Result<()> {
    let upstream = Upstream::start().await?;
    let port = free_port()?;
    let of_epoch = |epoch| -> Result<Bootstrap> {
        let mut bootstrap = bootstrap(&upstream, epoch)?;
        bootstrap.edit(|config| {
            let listener = &mut config["static_resources"]["listeners"][0];
            listener["address"]["socket_address"]["port_value"] = port.into();
        });
        Ok(bootstrap)
    };
    let times = ["--drain-time-s", "1", "--parent-shutdown-time-s", PARENT];
    let mut parent = Envoy::start_restartable(&of_epoch("0")?, &times).await?;
    for status in [200, 200, 429] {
        ensure!(parent.get("/few").await?.status == status);
    }
    let held = Held::new(&parent, &upstream).await?;
    let forever = send(&parent, "/forever");
    stat(&parent, "forever.fault_active", 1).await?;

    let child = parent.restart(&of_epoch("1")?, &times).await?;
    ensure!(child.addr() == parent.addr());
    // New connections go to the child. Its buckets are full, and what the parent has in
    // flight takes none of its places.
    wait::until_async("an answer of the child", PATIENCE, async || {
        let response = child.get("/few").await?;
        Ok((response.header("x-epoch").as_deref() == Some("1")).then_some(()))
    })
    .await?;
    for status in [200, 429] {
        let response = child.get("/few").await?;
        ensure!(response.status == status, "{response:?}");
    }
    let counted = send(&child, "/counted");
    wait::until("the child's request", PATIENCE, || {
        (upstream.requests_under("/counted").len() == 2).then_some(())
    })
    .await?;
    ensure!(child.get("/counted").await?.status == 429);

    held.gate.add_permits(2);
    held.are_answered("0").await?;
    let counted = counted.await??;
    ensure!(counted.header("x-epoch").as_deref() == Some("1"));
    // What takes longer than the parent has is broken off.
    parent.ended_well(PATIENCE).await?;
    ensure!(forever.await?.is_err());
    ensure!(upstream.requests_under("/forever").is_empty());
    // The child's gauges are without what they had from its parent.
    is_idle(&child).await?;
    stat(&child, "forever.fault_active", 0).await?;
    ensure!(child.get("/few").await?.status == 429);
    child.assert_vm_alive().await
}
