//! What survives the crash of a worker's VM, on the real Envoy: limits, places
//! and bytes of those who died, and everybody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use btp_tests::client::{h1, raw};
use btp_tests::crashing_filter::{self, CrashingFilter};
use btp_tests::upstream::Reply;
use btp_tests::{Bootstrap, Builder, Envoy, Request, Route, Upstream, wait};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);
/// No policy governs it.
const FREE: &str = "/free/";

/// An Envoy with the filter that can be killed.
struct Proxy {
    envoy: Envoy,
    upstream: Upstream,
    workers: Vec<h1::Connection>,
    _filter: CrashingFilter,
}

/// A policy for all routes but one.
fn policy(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["targetRefs"] =
        json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "all"}]);
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]})
}

fn limit(rule: &Value) -> Value {
    policy(&json!({"rateLimit": {"local": {"rules": [rule]}}}))
}

impl Proxy {
    /// `reload`: how long a dead VM stays dead at least, if anybody asks.
    async fn start(plugin: &Value, workers: u32, reload: &str) -> Result<Self> {
        Self::start_with(plugin, workers, reload, |_| ()).await
    }

    async fn start_with(
        plugin: &Value,
        workers: u32,
        reload: &str,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Self> {
        let upstream = Upstream::start().await?;
        let mut bootstrap = Builder::new()
            .plugin(plugin)
            .stop_iteration(plugin["allowOnHeadersStopIteration"] == true)
            .route(Route::cluster(FREE, "backend").named("free"))
            .route(Route::cluster("/", "backend").named("all"))
            .cluster("backend", upstream.addr())
            .concurrency(workers)
            .build()?;
        bootstrap.edit_http("main", |http| {
            edit(http);
            let config = &mut http["http_filters"][0]["typed_config"]["config"];
            config["reload_config"] = json!({"backoff": {"base_interval": reload}});
        })?;
        let filter = CrashingFilter::new()?;
        filter.replace_in(&mut bootstrap)?;
        Self::run(&bootstrap, upstream, filter, workers as usize).await
    }

    async fn run(
        bootstrap: &Bootstrap,
        upstream: Upstream,
        filter: CrashingFilter,
        workers: usize,
    ) -> Result<Self> {
        let envoy = Envoy::start(bootstrap).await?;
        let workers = envoy.connection_to_each_worker(workers, FREE).await?;
        Ok(Self {
            envoy,
            upstream,
            workers,
            _filter: filter,
        })
    }

    async fn send(&mut self, worker: usize, request: Request) -> Result<u16> {
        Ok(self.workers[worker].send(request).await?.status)
    }

    async fn kill(&mut self, worker: usize) -> Result<()> {
        crashing_filter::kill(&mut self.workers[worker], FREE).await
    }

    /// Kills it, and waits until it has a VM again.
    async fn replace(&mut self, worker: usize) -> Result<()> {
        let before = self.reloads().await?;
        self.kill(worker).await?;
        let connection = &mut self.workers[worker];
        wait::until_async("a new VM", PATIENCE, async || {
            let response = connection.send(Request::get(FREE)).await?;
            Ok((response.status == 200).then_some(()))
        })
        .await?;
        let reloads = self.reloads().await?;
        ensure!(reloads == before + 1, "{reloads} after {before}");
        Ok(())
    }

    async fn reloads(&self) -> Result<u64> {
        let name = "wasm.backend_traffic_policy.vm_reload_success";
        Ok(self.envoy.stat(name).await?.unwrap_or(0))
    }

    async fn stat(&self, name: &str) -> Result<u64> {
        let name = format!("wasmcustom.btp.default.p.{name}");
        Ok(self.envoy.stat(&name).await?.unwrap_or(0))
    }

    async fn wait_for_stat(&self, name: &str, value: u64) -> Result<()> {
        wait::until_async(name, PATIENCE, async || {
            Ok((self.stat(name).await? == value).then_some(()))
        })
        .await
    }
}

/// Why the docs recommend `FAIL_RELOAD`.
#[tokio::test(flavor = "multi_thread")]
async fn other_failure_policies_are_for_good() -> Result<()> {
    let plugin = limit(&json!({"limit": {"requests": 0, "unit": "Hour"}}));
    for (failure_policy, then) in [("FAIL_CLOSED", 503), ("FAIL_OPEN", 200)] {
        let edit = |http: &mut Value| {
            let config = &mut http["http_filters"][0]["typed_config"]["config"];
            config["failure_policy"] = failure_policy.into();
        };
        let mut proxy = Proxy::start_with(&plugin, 1, "0.01s", edit).await?;
        ensure!(proxy.send(0, Request::get("/")).await? == 429);
        proxy.kill(0).await?;
        for _ in 0..20 {
            let status = proxy.send(0, Request::get("/")).await?;
            ensure!(status == then, "{failure_policy}: {status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        ensure!(proxy.reloads().await? == 0);
    }
    Ok(())
}

/// The bucket of a rule and that of a client: neither is refilled by a crash,
/// and what is left of it is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_refills_nothing_and_takes_nothing() -> Result<()> {
    let mine = json!([{"headers": [{"name": "id", "type": "Distinct"}]}]);
    for workers in [1, 2] {
        for selectors in [json!([]), mine.clone()] {
            let plugin = limit(&json!({"name": "few", "clientSelectors": selectors,
                                       "limit": {"requests": 10, "unit": "Hour"}}));
            let mut proxy = Proxy::start(&plugin, workers, "0.1s").await?;
            let workers = workers as usize;
            let mut passed = 0;
            for turn in 0..4 {
                let request = Request::get("/").header("id", "me");
                passed += usize::from(proxy.send(turn % workers, request).await? == 200);
            }
            ensure!(passed == 4, "{passed}");
            for round in 1..=2 {
                for worker in 0..workers {
                    proxy.replace(worker).await?;
                }
                for turn in 0..20 {
                    let request = Request::get("/").header("id", "me");
                    passed += usize::from(proxy.send(turn % workers, request).await? == 200);
                }
                ensure!(passed == 10, "round {round}: {passed}");
            }
            // Those after the crashes count like those before.
            ensure!(proxy.stat("rate_limit.few.admitted").await? == 10);
            ensure!(proxy.stat("rate_limit.few.limited").await? == 34);
            ensure!(proxy.stat("rate_limit.few.overflows").await? == 0);
        }
    }
    Ok(())
}

/// `FAIL_RELOAD` makes one worker's crash nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_workers_keep_serving() -> Result<()> {
    let plugin = limit(&json!({"limit": {"requests": 40, "unit": "Hour"}}));
    let mut proxy = Proxy::start(&plugin, 2, "600s").await?;
    ensure!(proxy.send(0, Request::get("/")).await? == 200);
    proxy.kill(0).await?;
    let mut passed = 1;
    for _ in 0..50 {
        ensure!(proxy.send(0, Request::get("/")).await? == 503);
        match proxy.send(1, Request::get("/")).await? {
            200 => passed += 1,
            status => ensure!(status == 429 && passed == 40, "{status} after {passed}"),
        }
    }
    ensure!(passed == 40, "{passed}");
    ensure!(proxy.reloads().await? == 0);
    Ok(())
}

/// A worker takes what it has fetched ahead with it, and fetches anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_worker_loses_its_lease() -> Result<()> {
    const LEASE: u64 = 5;
    let plugin = limit(&json!({"limit": {"requests": 1000, "unit": "Second", "burst": 320}}));
    let mut proxy = Proxy::start(&plugin, 1, "0.1s").await?;
    let mut fetched = 0;
    for sent in [1, LEASE, LEASE - 1] {
        for _ in 0..sent {
            ensure!(proxy.send(0, Request::get("/")).await? == 200);
        }
        // Though only the second has used up what its worker had.
        fetched += 1;
        let operations = proxy
            .stat("rate_limit.rule-af63bd4c.debug_store_operations")
            .await?;
        ensure!(operations == fetched, "{operations} after {sent} more");
        proxy.replace(0).await?;
    }
    Ok(())
}

/// The bound of the docs holds however often workers die.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_let_nobody_through() -> Result<()> {
    const CONNECTIONS: usize = 8;
    const REQUESTS: usize = 500;
    let plugin = limit(&json!({"limit": {"requests": 1000, "unit": "Second", "burst": 320}}));
    for workers in [1_usize, 2] {
        let mut proxy = Proxy::start(&plugin, workers as u32, "0.01s").await?;
        let started = Instant::now();
        let addr = proxy.envoy.addr();
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            clients.spawn(async move {
                let mut connection = h1::Connection::open(addr).await?;
                let mut passed = 0;
                for _ in 0..REQUESTS {
                    let status = connection.send(Request::get("/")).await?.status;
                    ensure!(matches!(status, 200 | 429 | 503), "{status}");
                    passed += u32::from(status == 200);
                }
                Ok(passed)
            });
        }
        let mut passed = 0;
        let mut kills = 0;
        while !clients.is_empty() {
            proxy.kill(kills % workers).await?;
            kills += 1;
            let some_live = tokio::time::sleep(Duration::from_millis(50));
            tokio::pin!(some_live);
            while let Some(count) = tokio::select! {
                () = &mut some_live => None,
                count = clients.join_next() => count,
            } {
                passed += count??;
            }
        }
        let most = 320.0 + 1000.0 * started.elapsed().as_secs_f64() + 4.0 * workers as f64;
        let reloads = proxy.reloads().await?;
        ensure!(reloads > 1, "{reloads} reloads after {kills} kills");
        let counted = proxy.stat("rate_limit.rule-af63bd4c.admitted").await? as f64;
        ensure!(
            f64::from(passed) <= counted && counted <= most,
            "{counted} > {most}"
        );
        println!("{workers} workers, {reloads} crashes: {passed} passed, at most {most}");
    }
    Ok(())
}

/// Requests that the dead VM was at get Envoy's own answer: at once if the
/// upstream still answers, at the idle timeout if they waited in the filter.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_vm_was_at_ends_without_it() -> Result<()> {
    // The first is long enough but for a machine with much else to do.
    for idle in [15, 60, 240].map(Duration::from_secs) {
        if dead_vm_is_replaced_within(idle).await? {
            return Ok(());
        }
    }
    bail!("the machine is too slow for this test")
}

/// Whether there was time to see it: a VM that is replaced only when `idle` is about to be
/// over shows nothing.
async fn dead_vm_is_replaced_within(idle: Duration) -> Result<bool> {
    let plugin = policy(&json!({"faultInjection": {
        "delay": {"fixedDelay": "1h"},
        "match": [{"headers": [{"name": "x-wait", "value": "yes"}]}]}}));
    let timeout = format!("{}s", idle.as_secs());
    let edit = |http: &mut Value| http["stream_idle_timeout"] = json!(timeout);
    let mut proxy = Proxy::start_with(&plugin, 1, "0.1s", edit).await?;
    let gate = Arc::new(Semaphore::new(0));
    let answer = Reply::status(200).behind(&gate);
    proxy.upstream.script("/answered", [answer]);
    let addr = proxy.envoy.addr();
    let begun = Instant::now();
    let waits = tokio::spawn(h1::send(addr, Request::get("/").header("x-wait", "yes")));
    proxy.wait_for_stat("fault_active", 1).await?;
    let answered = tokio::spawn(h1::get(addr, "/answered"));
    wait::until("the upstream to be asked", PATIENCE, || {
        (!proxy.upstream.requests_under("/answered").is_empty()).then_some(())
    })
    .await?;
    proxy.replace(0).await?;
    gate.add_permits(1);
    let answered = answered.await??;
    if begun.elapsed() > idle / 2 {
        return Ok(false);
    }
    ensure!(!waits.is_finished(), "it did not wait for the idle timeout");
    ensure!(crashing_filter::is_of_a_dead_vm(&answered), "{answered:?}");
    let waited = waits.await??;
    ensure!(crashing_filter::is_of_a_dead_vm(&waited), "{waited:?}");
    // Envoy sets a timer from the time its event loop last read, which is a
    // little before the request.
    let slack = Duration::from_secs(1);
    ensure!(waited.elapsed >= idle - slack, "{waited:?}");
    ensure!(proxy.send(0, Request::get("/")).await? == 200);
    Ok(true)
}

/// What takes its time, side by side.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_dead_held_is_free_within_13_s() -> Result<()> {
    tokio::try_join!(waiting_requests(), bodies(), requests_in_flight()).map(drop)
}

/// Asks until what the dead held is free, and checks how long it took since
/// `started`, when it gave its first sign of life, and since it died.
async fn until_free(
    started: Instant,
    mut is_free: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let died = Instant::now();
    wait::until_async("what the dead held", PATIENCE, async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(is_free().await?.then_some(()))
    })
    .await?;
    let (whole, after) = (started.elapsed(), died.elapsed());
    ensure!(whole >= Duration::from_secs(12), "{whole:?}");
    // And no more than a busy machine adds; the engine's test is exact.
    ensure!(after <= Duration::from_secs(30), "{after:?}");
    Ok(())
}

/// Places of `maxActive`.
async fn waiting_requests() -> Result<()> {
    let plugin = policy(&json!({"faultInjection": {
        "delay": {"fixedDelay": "1s"}, "maxActive": 1}}));
    let mut proxy = Proxy::start(&plugin, 2, "0.1s").await?;
    let started = Instant::now();
    let waits = raw_get(&proxy, "/").await?;
    proxy.wait_for_stat("fault_active", 1).await?;
    // Whichever has it.
    proxy.replace(0).await?;
    proxy.replace(1).await?;
    let mut probes = 0;
    until_free(started, async || {
        probes += 1;
        ensure!(proxy.send(probes % 2, Request::get("/")).await? == 200);
        Ok(proxy.stat("fault_delays_injected").await? == 2)
    })
    .await?;
    ensure!(proxy.stat("fault_overflow").await? == probes as u64 - 1);
    proxy.wait_for_stat("fault_active", 0).await?;
    drop(waits);
    Ok(())
}

/// Bytes of `maxTotal`.
async fn bodies() -> Result<()> {
    const ROOM: u64 = 65_536;
    let mut plugin = policy(&json!({"requestBuffer": {"limit": ROOM, "maxTotal": ROOM}}));
    plugin["allowOnHeadersStopIteration"] = json!(true);
    let mut proxy = Proxy::start(&plugin, 1, "0.1s").await?;
    let started = Instant::now();
    let mut upload = raw::Connection::open(proxy.envoy.addr()).await?;
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {ROOM}\r\n\r\nx");
    upload.send(head).await?;
    proxy.wait_for_stat("request_buffer_bytes", ROOM).await?;
    proxy.replace(0).await?;
    until_free(started, async || {
        let status = proxy.envoy.send(Request::post("/", "x")).await?.status;
        ensure!(matches!(status, 200 | 503), "{status}");
        Ok(status == 200)
    })
    .await?;
    proxy.wait_for_stat("request_buffer_bytes", 0).await
}

/// Places of `concurrency.max`.
async fn requests_in_flight() -> Result<()> {
    let plugin = limit(&json!({"concurrency": {"max": 2}}));
    let mut proxy = Proxy::start(&plugin, 2, "0.1s").await?;
    proxy
        .upstream
        .script("/hang", std::iter::repeat_n(Reply::hang(), 2));
    let started = Instant::now();
    let waits = [
        raw_get(&proxy, "/hang").await?,
        raw_get(&proxy, "/hang").await?,
    ];
    proxy
        .wait_for_stat("rate_limit.rule-af63bd4c.in_flight", 2)
        .await?;
    ensure!(proxy.send(0, Request::get("/")).await? == 429);
    proxy.replace(0).await?;
    proxy.replace(1).await?;
    until_free(started, async || {
        Ok(proxy.send(0, Request::get("/")).await? == 200)
    })
    .await?;
    // The end of those whom nobody knows any more frees nothing twice.
    drop(waits);
    proxy
        .wait_for_stat("rate_limit.rule-af63bd4c.in_flight", 0)
        .await?;
    ensure!(proxy.send(1, Request::get("/")).await? == 200);
    proxy
        .wait_for_stat("rate_limit.rule-af63bd4c.in_flight", 0)
        .await
}

/// A request that nobody waits for.
async fn raw_get(proxy: &Proxy, path: &str) -> Result<raw::Connection> {
    let mut connection = raw::Connection::open(proxy.envoy.addr()).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    connection.send(request).await?;
    Ok(connection)
}
