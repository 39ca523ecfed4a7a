//! An accepted update never leaves a worker without policies, on the real Envoy:
//! memory that is short on workers only, configurations that are too large
//! together, and VMs that die beside an update.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bulk::with_bulk;
use btp_tests::client::h1;
use btp_tests::crashing_filter::{self, CrashingFilter};
use btp_tests::{Builder, EcdsFile, Envoy, Request, Route, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// No policy governs it.
const FREE: &str = "/free/";
const OLDER: &str = "wasmcustom.btp.workers_on_older_configuration";
const NOT_CONFIGURED: &str = "wasmcustom.btp.workers_not_configured";
const VMS: &str = "wasm.envoy.wasm.runtime.v8.active";

/// An Envoy whose filter comes by ECDS, and can be kept short of memory.
struct Proxy {
    envoy: Envoy,
    file: EcdsFile,
    filter: CrashingFilter,
    workers: Vec<h1::Connection>,
}

/// A configuration that can be told by the status it answers with.
fn version(status: u16) -> Value {
    json!({"policies": [{
        "metadata": {"name": "p"},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "all"}],
            "faultInjection": {"abort": {"httpStatus": status}},
        },
    }]})
}

/// One that a worker has no room for which starves: what it had to spare when
/// it loaded its first is less.
fn bulky(status: u16) -> Value {
    with_bulk(version(status), 2_000)
}

impl Proxy {
    async fn start(filter: CrashingFilter, plugin: &Value, workers: u32) -> Result<Self> {
        let file = EcdsFile::edited(plugin, false, |config| adapt(config, &filter))?;
        let bootstrap = Builder::new()
            .plugin_from(&file)
            .route(Route::direct(FREE, 200, "free").named("free"))
            .route(Route::direct("/", 200, "ungoverned").named("all"))
            .concurrency(workers)
            .build()?;
        let envoy = Envoy::start(&bootstrap).await?;
        let workers = workers as usize;
        let workers = envoy.connection_to_each_worker(workers, FREE).await?;
        Ok(Self {
            envoy,
            file,
            filter,
            workers,
        })
    }

    fn update(&self, plugin: &Value) -> Result<()> {
        let adapt = |config: &mut Value| adapt(config, &self.filter);
        self.file.replace_edited(plugin, adapt)
    }

    /// What each worker answers.
    async fn statuses(&mut self) -> Result<Vec<u16>> {
        let mut statuses = Vec::new();
        for worker in &mut self.workers {
            statuses.push(worker.send(Request::get("/")).await?.status);
        }
        Ok(statuses)
    }

    async fn wait_for(&mut self, expected: &[u16]) -> Result<()> {
        let what = format!("the workers to answer {expected:?}");
        wait::until_async(&what, PATIENCE, async || {
            Ok((self.statuses().await? == expected).then_some(()))
        })
        .await
    }

    /// A worker takes a command, whatever it answers.
    async fn command(
        &mut self,
        worker: usize,
        command: impl FnOnce(Request) -> Request,
    ) -> Result<()> {
        let request = command(Request::get(FREE));
        self.workers[worker].send(request).await?;
        Ok(())
    }

    async fn gauges(&self) -> Result<[Option<u64>; 2]> {
        Ok([
            self.envoy.stat(OLDER).await?,
            self.envoy.stat(NOT_CONFIGURED).await?,
        ])
    }

    async fn wait_for_gauges(&self, [older, not_configured]: [u64; 2]) -> Result<()> {
        let expected = [Some(older), Some(not_configured)];
        let what = format!("{older} workers behind and {not_configured} not configured");
        wait::until_async(&what, PATIENCE, async || {
            Ok((self.gauges().await? == expected).then_some(()))
        })
        .await
    }

    async fn vms(&self) -> Result<u64> {
        Ok(self.envoy.stat(VMS).await?.unwrap_or(0))
    }
}

fn adapt(config: &mut Value, filter: &CrashingFilter) {
    let code = &mut config["vm_config"]["code"]["local"]["filename"];
    *code = filter.path().display().to_string().into();
    config["reload_config"] = json!({"backoff": {"base_interval": "0.01s"}});
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_short_of_memory_keeps_its_configuration_and_catches_up_by_itself() -> Result<()> {
    let mut proxy = Proxy::start(CrashingFilter::new()?, &version(511), 2).await?;
    ensure!(proxy.statuses().await? == [511, 511]);
    ensure!(proxy.gauges().await? == [Some(0), Some(0)]);
    let vms = proxy.vms().await?;
    proxy.command(0, crashing_filter::starving).await?;
    proxy.update(&bulky(512))?;
    proxy.wait_for(&[511, 512]).await?;
    proxy.wait_for_gauges([1, 0]).await?;
    let told = "cannot load the accepted configuration";
    let line = proxy.envoy.wait_for_log(told, PATIENCE).await?;
    ensure!(line.contains("keeps the previous one"), "{line}");
    // The old context is gone by now; what is kept goes on, over updates, too.
    proxy.update(&bulky(513))?;
    proxy.wait_for(&[511, 513]).await?;
    ensure!(proxy.gauges().await? == [Some(1), Some(0)]);
    proxy.command(0, crashing_filter::feeding).await?;
    proxy.wait_for(&[513, 513]).await?;
    proxy.wait_for_gauges([0, 0]).await?;
    ensure!(proxy.vms().await? == vms);
    proxy.envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_update_that_fits_is_taken() -> Result<()> {
    let mut proxy = Proxy::start(CrashingFilter::new()?, &version(511), 2).await?;
    for worker in 0..2 {
        proxy.command(worker, crashing_filter::starving).await?;
    }
    proxy.update(&bulky(512))?;
    proxy.wait_for_gauges([2, 0]).await?;
    ensure!(proxy.statuses().await? == [511, 511]);
    for worker in 0..2 {
        proxy.command(worker, crashing_filter::feeding).await?;
    }
    proxy.update(&version(513))?;
    proxy.wait_for(&[513, 513]).await?;
    proxy.wait_for_gauges([0, 0]).await?;
    // Back to one that was accepted before, which Envoy does not ask a canary.
    proxy.update(&version(511))?;
    proxy.wait_for(&[511, 511]).await?;
    proxy.envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_start_short_of_memory_refuse_requests_until_a_configuration_fits()
-> Result<()> {
    let mut proxy = Proxy::start(CrashingFilter::starving(2..=4)?, &version(511), 2).await?;
    ensure!(proxy.statuses().await? == [503, 503]);
    let free = proxy.workers[0].send(Request::get(FREE)).await?;
    ensure!(
        free.status == 503 && free.text() == "not configured\n",
        "{free:?}"
    );
    let call = Request::post(FREE, "").header("content-type", "application/grpc-web");
    let told = proxy.workers[0].send(call).await?;
    ensure!(
        told.status == 200 && told.text().contains("grpc-status:14\r\n"),
        "{told:?}"
    );
    // The main thread has a VM, too, which answers nobody.
    proxy.wait_for_gauges([0, 3]).await?;
    proxy.command(0, crashing_filter::feeding).await?;
    proxy.wait_for(&[511, 503]).await?;
    proxy.wait_for_gauges([0, 2]).await?;
    proxy.command(1, crashing_filter::feeding).await?;
    proxy.update(&version(512))?;
    proxy.wait_for(&[512, 512]).await?;
    proxy.wait_for_gauges([0, 1]).await?;
    proxy.envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_vm_short_of_memory_refuses_requests_until_a_configuration_fits() -> Result<()> {
    // The canary, the main thread and the worker come before it.
    let mut proxy = Proxy::start(CrashingFilter::starving(4..=4)?, &version(511), 1).await?;
    ensure!(proxy.statuses().await? == [511]);
    proxy.command(0, crashing_filter::deadly).await?;
    let told = "it answers every request with 503 until it can";
    wait::until_async("a new VM", PATIENCE, async || {
        proxy.statuses().await?;
        Ok(proxy.envoy.log().contains(told).then_some(()))
    })
    .await?;
    ensure!(proxy.statuses().await? == [503]);
    proxy.wait_for_gauges([0, 1]).await?;
    proxy.update(&version(512))?;
    wait::until_async("the update to fail, too", PATIENCE, async || {
        Ok((proxy.envoy.log().matches(told).count() == 2).then_some(()))
    })
    .await?;
    ensure!(proxy.statuses().await? == [503]);
    proxy.command(0, crashing_filter::feeding).await?;
    proxy.wait_for(&[512]).await?;
    proxy.wait_for_gauges([0, 0]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_dies_while_it_is_behind_does_not_count_for_good() -> Result<()> {
    let mut proxy = Proxy::start(CrashingFilter::new()?, &version(511), 2).await?;
    proxy.command(0, crashing_filter::starving).await?;
    proxy.update(&bulky(512))?;
    proxy.wait_for(&[511, 512]).await?;
    proxy.wait_for_gauges([1, 0]).await?;
    proxy.command(0, crashing_filter::deadly).await?;
    // The new VM has the memory that the old one lacked.
    proxy.wait_for(&[512, 512]).await?;
    proxy.wait_for_gauges([0, 0]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_too_large_together_are_refused_by_the_canary() -> Result<()> {
    // 160 MiB, of which 128 are for requests: one of the large ones fits, and two
    // at once do not.
    let filter = CrashingFilter::rationed(160 * 16)?;
    let mut proxy = Proxy::start(filter, &with_bulk(version(511), 5_000), 2).await?;
    ensure!(proxy.statuses().await? == [511, 511]);
    proxy.update(&with_bulk(version(512), 5_001))?;
    let refused = proxy
        .envoy
        .wait_for_log("configuration refused", PATIENCE)
        .await?;
    ensure!(refused.contains("requests need"), "{refused}");
    ensure!(proxy.statuses().await? == [511, 511]);
    proxy.update(&version(513))?;
    proxy.wait_for(&[513, 513]).await?;
    ensure!(proxy.gauges().await? == [Some(0), Some(0)]);
    proxy.envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_dies_at_a_request_does_no_harm_to_the_next_update() -> Result<()> {
    let mut proxy = Proxy::start(CrashingFilter::new()?, &version(511), 2).await?;
    proxy.command(0, crashing_filter::deadly).await?;
    proxy.update(&version(512))?;
    proxy.wait_for(&[512, 512]).await?;
    proxy.command(1, crashing_filter::deadly).await?;
    proxy.update(&version(513))?;
    proxy.wait_for(&[513, 513]).await?;
    proxy.wait_for_gauges([0, 0]).await
}

/// What no code of the filter can prevent, and how it is seen and cured: the way
/// that docs/reference/crashes.md gives.
#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_dies_at_an_update_shows_in_envoys_gauge_and_another_vm_id_cures_it() -> Result<()>
{
    let mut proxy = Proxy::start(CrashingFilter::new()?, &version(511), 2).await?;
    let healthy = proxy.vms().await?;
    ensure!(
        healthy == 2 + 2,
        "a base, the main thread and two workers: {healthy}"
    );
    for status in [512, 513] {
        proxy.update(&version(status))?;
        proxy.wait_for(&[status; 2]).await?;
        ensure!(proxy.vms().await? == healthy);
    }
    proxy.command(0, crashing_filter::dooming).await?;
    proxy.update(&version(514))?;
    let told = "Failed to configure thread-local Wasm plugin";
    proxy.envoy.wait_for_log(told, PATIENCE).await?;
    wait::until_async("the gauge to fall", PATIENCE, async || {
        Ok((proxy.vms().await? < healthy).then_some(()))
    })
    .await?;
    // Policies are off there: this is wrong, and Envoy's.
    proxy.wait_for(&[200, 514]).await?;
    proxy.update(&version(515))?;
    let told = "Plugin backend_traffic_policy failed to load";
    proxy.envoy.wait_for_log(told, PATIENCE).await?;
    ensure!(proxy.statuses().await? == [200, 514]);
    proxy.file.replace_edited(&version(516), |config| {
        adapt(config, &proxy.filter);
        config["vm_config"]["vm_id"] = "another".into();
    })?;
    proxy.wait_for(&[516, 516]).await?;
    wait::until_async("the old machines to go", PATIENCE, async || {
        Ok((proxy.vms().await? == healthy).then_some(()))
    })
    .await?;
    proxy.wait_for_gauges([0, 0]).await
}
