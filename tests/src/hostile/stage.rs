//! An Envoy with everything switched on, its upstreams, and a worker's eye on
//! each of its workers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::policies::Setup;
use super::upstream::{Arrivals, BadUpstream, SMUGGLED};
use crate::bootstrap::{cluster, upstream_filtered};
use crate::build::Build;
use crate::client::h1;
use crate::measure::resident_kib;
use crate::{Builder, EcdsFile, Envoy, Request, Response, Route, Upstream, wait};

/// How long an update may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// The route's own limit, so that nothing hangs longer.
const ROUTE_TIMEOUT: &str = "2s";

/// What is attacked.
#[derive(Debug)]
pub struct Stage {
    /// Its policies.
    pub setup: Setup,
    /// Its worker threads.
    pub workers: u32,
    /// The proxy.
    pub envoy: Envoy,
    /// Resident memory when it had just started, in KiB.
    pub resident_at_start: u64,
    /// Memory of the largest VM then, in bytes.
    pub vm_bytes_at_start: u64,
    bad: BadUpstream,
    bad_h2: BadUpstream,
    good: Upstream,
    file: EcdsFile,
    version: u64,
    refused: u64,
    probes: Vec<h1::Connection>,
}

impl Stage {
    /// Starts all of it.
    pub async fn start(setup: Setup, workers: u32, seed: u64) -> Result<Self> {
        let bad = BadUpstream::start().await?;
        let bad_h2 = BadUpstream::start_h2(seed).await?;
        let good = Upstream::start().await?;
        let file = EcdsFile::new(&setup.plugin(0), true)?;
        let gated = |cluster: Value| upstream_filtered(roomy(cluster), &setup.upstream_plugin());
        let mut builder = Builder::new()
            .plugin_from(&file)
            .route(Route::direct(SMUGGLED, 204, ""))
            .route(attacked("/deny", "bad", "deny"))
            .route(attacked("/up", "bad", "up"))
            .route(attacked("/h2", "bad-h2", "up-h2"))
            .route(Route::cluster("/honest", "good").named("honest"))
            .raw_cluster(gated(cluster("bad", bad.addr()))?)
            .raw_cluster(gated(over_h2(cluster("bad-h2", bad_h2.addr())))?)
            .concurrency(workers);
        builder = builder.raw_cluster(roomy(over_h2(cluster("good", good.addr()))));
        let mut bootstrap = builder.build()?;
        bootstrap.edit_http("main", hardened)?;
        let envoy = Envoy::start(&bootstrap).await?;
        let probes = envoy
            .connection_to_each_worker(workers as usize, "/deny/probe")
            .await?;
        let resident_at_start = resident_kib(&envoy)?;
        let mut stage = Self {
            setup,
            workers,
            envoy,
            resident_at_start,
            vm_bytes_at_start: 0,
            bad,
            bad_h2,
            good,
            file,
            version: 0,
            refused: 0,
            probes,
        };
        stage.vm_bytes_at_start = stage.vm_bytes().await?;
        Ok(stage)
    }

    /// What reached the bad upstreams so far.
    pub fn seen(&self) -> Arrivals {
        let (a, b) = (self.bad.seen(), self.bad_h2.seen());
        Arrivals {
            requests: a.requests + b.requests,
            largest_body: a.largest_body.max(b.largest_body),
            smuggled: a.smuggled + b.smuggled,
            denied: a.denied + b.denied,
            torn: a.torn + b.torn,
        }
    }

    /// Puts the next version of the policies into the file.
    pub fn update(&mut self) -> Result<()> {
        self.version += 1;
        self.file.replace(&self.setup.plugin(self.version))
    }

    /// Puts policies into the file that must be refused.
    pub fn update_badly(&mut self) -> Result<()> {
        self.refused += 1;
        let mut plugin = self.setup.plugin(self.version);
        plugin["polices"] = self.refused.into();
        self.file.replace(&plugin)
    }

    /// How many updates must have been refused at most.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Forgets what the good upstream recorded.
    pub fn forget(&self) {
        self.good.clear();
    }

    /// Whether the route `deny` refuses on every worker, in the words of the
    /// latest version.
    pub async fn denies(&mut self) -> Result<()> {
        let latest = format!("version {}", self.version);
        let peer = self.envoy.addr();
        for (worker, probe) in self.probes.iter_mut().enumerate() {
            ensure!(
                !probe.is_closed(),
                "the connection to worker {worker} of {peer} was closed"
            );
            wait::until_async(
                &format!("{latest} on worker {worker}"),
                PATIENCE,
                async || {
                    let answer: Response = probe.send(Request::get("/deny/probe")).await?;
                    ensure!(
                        answer.status == 429,
                        "worker {worker} lets through what is denied: {}",
                        answer.status
                    );
                    Ok((answer.text() == latest).then_some(()))
                },
            )
            .await?;
        }
        Ok(())
    }

    /// The sum of the statistics that match.
    pub async fn sum(&self, regex: &str) -> Result<u64> {
        let stats = self.envoy.stats_matching(regex).await?;
        Ok(stats.values().sum())
    }

    /// Memory of the largest VM, in bytes; a module has none, and what it takes is
    /// resident.
    pub async fn vm_bytes(&self) -> Result<u64> {
        if Build::under_test()? == Build::Module {
            return Ok(0);
        }
        let largest = self
            .envoy
            .stat("wasmcustom.btp.vm_memory_bytes_max")
            .await?;
        largest.context("no gauge of VM memory")
    }

    /// Resident memory, in KiB.
    pub fn resident(&self) -> Result<u64> {
        resident_kib(&self.envoy).context("Envoy is gone")
    }
}

fn attacked(prefix: &str, cluster: &str, name: &str) -> Route {
    Route::cluster(prefix, cluster).named(name).edit(|route| {
        route["route"]["timeout"] = ROUTE_TIMEOUT.into();
        route["route"]["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    })
}

/// No bound of the cluster's own comes before those of the filter.
fn roomy(mut cluster: Value) -> Value {
    cluster["circuit_breakers"] = json!({"thresholds": [{
        "max_connections": 100_000, "max_pending_requests": 100_000,
        "max_requests": 100_000, "max_retries": 100_000}]});
    cluster
}

fn over_h2(mut cluster: Value) -> Value {
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    cluster["typed_extension_protocol_options"][OPTIONS] = json!({
        "@type": format!("type.googleapis.com/{OPTIONS}"),
        "explicit_http_config": {"http2_protocol_options": {}},
    });
    cluster
}

/// The settings that SECURITY.md requires, and those that give an attacker more to send.
fn hardened(http: &mut Value) {
    http["use_remote_address"] = true.into();
    http["normalize_path"] = true.into();
    http["merge_slashes"] = true.into();
    http["path_with_escaped_slashes_action"] = "UNESCAPE_AND_FORWARD".into();
    http["upgrade_configs"] = json!([{"upgrade_type": "websocket", "enabled": false}]);
    http["http_protocol_options"] =
        json!({"accept_http_10": true, "enable_trailers": true, "allow_chunked_length": true});
    http["http2_protocol_options"] = json!({"allow_connect": true});
}
