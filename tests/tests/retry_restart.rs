//! A retry budget in a hot restart: the old process and the new one have accounts of their
//! own. Of the .wasm they are Envoy's statistics, of which the new process is handed what
//! the old one still adds; of the module nothing is handed over. Either way both together
//! stay within the bound that docs/reference/retry.md states.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::client::h1;
use btp_tests::envoy::free_port;
use btp_tests::{Bootstrap, Build, Builder, Envoy, Reply, Request, Route, Upstream, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
/// The old process serves for so long beside the new one, and hardly closes connections
/// meanwhile: it would with a chance of the time passed, of the time that draining takes.
const TIMES: [&str; 4] = [
    "--drain-time-s",
    "1000000",
    "--parent-shutdown-time-s",
    "120",
];
/// Requests that pay for one retry.
const PRICE: u64 = 5;
/// Requests that the parent has had before there is a child.
const BEFORE: u64 = 50;
/// And beside it.
const OVERLAP: u64 = 50;
/// What `minRetryRate` pays for in the time of the test.
const FLOOR: u64 = 1;

fn plugin(position: &str) -> Value {
    json!({"position": position, "policies": [{"metadata": {"name": "p"}, "spec": {
        "retry": {"numRetries": 3, "retryOn": {"triggers": ["5xx"]}},
        "retryConstraint": {
            "budget": {"percent": 100 / PRICE, "interval": "1h"},
            "minRetryRate": {"count": FLOOR, "interval": "1h"}}}}]})
}

fn bootstrap(upstream: &Upstream, port: u16) -> Result<Bootstrap> {
    let mut backend = cluster("backend", upstream.addr());
    backend["circuit_breakers"] = json!({"thresholds": [{"max_retries": 100_000}]});
    let mut bootstrap = Builder::new()
        .plugin(&plugin("Downstream"))
        .raw_cluster(upstream_filtered(backend, &plugin("Upstream"))?)
        .route(Route::cluster("/", "backend"))
        .build()?;
    bootstrap.edit(|config| {
        let listener = &mut config["static_resources"]["listeners"][0];
        listener["address"]["socket_address"]["port_value"] = port.into();
    });
    Ok(bootstrap)
}

/// A connection to one of the processes, and what went over it.
struct Client {
    connection: h1::Connection,
    /// The path of those of its requests that fail.
    path: &'static str,
    requests: u64,
    failing: u64,
}

impl Client {
    async fn new(envoy: &Envoy, path: &'static str) -> Result<Self> {
        Ok(Self {
            connection: h1::Connection::open(envoy.addr()).await?,
            path,
            requests: 0,
            failing: 0,
        })
    }

    /// So many requests that need no retry.
    async fn pay(&mut self, requests: u64) -> Result<()> {
        for _ in 0..requests {
            self.requests += 1;
            let response = self.connection.send(Request::get("/fine")).await?;
            ensure!(response.status == 200, "{response:?}");
        }
        Ok(())
    }

    /// Requests that fail until nothing pays for a retry any more.
    async fn exhaust(&mut self, upstream: &Upstream) -> Result<()> {
        loop {
            let before = self.retries(upstream);
            // After so many one more would be paid for.
            for _ in 1..PRICE {
                self.requests += 1;
                self.failing += 1;
                let response = self.connection.send(Request::get(self.path)).await?;
                ensure!(response.status == 503, "{response:?}");
            }
            if self.retries(upstream) - before <= 1 {
                return Ok(());
            }
        }
    }

    fn retries(&self, upstream: &Upstream) -> u64 {
        upstream.requests_under(self.path).len() as u64 - self.failing
    }
}

/// Waits until Envoy shows so many requests on the account: its own, and those that its
/// parent has told it of.
async fn shows(envoy: &Envoy, requests: u64) -> Result<()> {
    let name = "wasmcustom.btp.default.p.retry_budget_requests";
    wait::until_async(&format!("{requests} requests"), PATIENCE, async || {
        let shown = envoy.stat(name).await?.unwrap_or(0);
        ensure!(shown <= requests, "{shown} requests, not {requests}");
        Ok((shown == requests).then_some(()))
    })
    .await
}

/// Waits until Envoy has flushed its statistics: a child is handed what comes after that.
async fn is_flushed(envoy: &Envoy) -> Result<()> {
    let uptime = async || anyhow::Ok(envoy.stat("server.uptime").await?.unwrap_or(0));
    let before = uptime().await?;
    wait::until_async("a flush", PATIENCE, async || {
        Ok((uptime().await? > before).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_processes_of_a_hot_restart_keep_the_budgets_bound() -> Result<()> {
    let upstream = Upstream::start().await?;
    for path in ["/parent", "/child"] {
        upstream.script(path, std::iter::repeat_n(Reply::status(503), 10_000));
    }
    let port = free_port()?;
    let mut parent = Envoy::start_restartable(&bootstrap(&upstream, port)?, &TIMES).await?;
    let mut old = Client::new(&parent, "/parent").await?;
    old.pay(BEFORE).await?;
    shows(&parent, BEFORE).await?;
    is_flushed(&parent).await?;

    let child = parent.restart(&bootstrap(&upstream, port)?, &TIMES).await?;
    let mut new = Client::new(&child, "/child").await?;
    // Nothing that the parent has paid counts for the child.
    new.pay(10).await?;
    shows(&child, 10).await?;
    new.exhaust(&upstream).await?;
    let own = new.requests / PRICE + FLOOR;
    ensure!(new.retries(&upstream) <= own, "more than {own}");
    ensure!(new.retries(&upstream) + 1 >= own, "less than {own}");

    // What the parent's clients still ask counts for the child of the .wasm as well.
    old.pay(OVERLAP).await?;
    shows(&child, new.requests + OVERLAP).await?;
    new.exhaust(&upstream).await?;
    let handed = match Build::under_test()? {
        Build::Wasm => OVERLAP,
        Build::Module => 0,
    };
    let most = (new.requests + handed) / PRICE + FLOOR;
    ensure!(new.retries(&upstream) <= most, "more than {most}");
    ensure!(new.retries(&upstream) + 1 >= most, "less than {most}");

    // The parent goes on with its own account, and knows nothing of the child's.
    old.exhaust(&upstream).await?;
    let own = old.requests / PRICE + FLOOR;
    ensure!(old.retries(&upstream) <= own, "more than {own}");
    ensure!(old.retries(&upstream) + 1 >= own, "less than {own}");

    // So both together have at most what all requests pay for, those of the parent twice
    // with the .wasm, and `minRetryRate` twice.
    let handed = match Build::under_test()? {
        Build::Wasm => old.requests - BEFORE,
        Build::Module => 0,
    };
    let retries = old.retries(&upstream) + new.retries(&upstream);
    let requests = old.requests + new.requests;
    println!("{retries} retries of {requests} requests, and of {handed} twice");
    ensure!(retries <= (requests + handed) / PRICE + 2 * FLOOR);

    // The child of the .wasm has to pay for its parent's retries, too, before it has more.
    shows(&child, new.requests + old.requests - BEFORE).await?;
    parent.terminate()?;
    parent.ended_well(PATIENCE).await?;
    let before = new.retries(&upstream);
    new.pay(20).await?;
    new.exhaust(&upstream).await?;
    let more = new.retries(&upstream) - before;
    match Build::under_test()? {
        Build::Wasm => ensure!(more == 0, "{more}: the parent's are forgotten"),
        Build::Module => ensure!(more >= 20 / PRICE, "{more}: the parent's count"),
    }
    child.assert_vm_alive().await
}
