//! When an update is in force: from the moment its file is in place to each worker's first
//! answer by it, while requests go on.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::PLUGIN_NAME;
use btp_tests::build::{MODULE_TYPE, WASM_TYPE};
use btp_tests::client::h1;
use btp_tests::measure::median;
use btp_tests::{EcdsFile, Envoy, Request};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::config::{configuration, host, policies_for};
use crate::output::Output;
use crate::setup::Setup;
use crate::variants::{Kind, builds};

const ROUNDS: usize = 7;
const WORKERS: usize = 2;
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// What one update took, in milliseconds.
struct Update {
    /// Of the fastest worker.
    first: f64,
    /// Of the slowest.
    last: f64,
    /// The longest that a request waited for its answer meanwhile.
    waited: f64,
}

pub(super) async fn run(setup: &Setup, output: &Output, routes: usize) -> Result<()> {
    let mut table = "| | in force on the first worker | on both | longest wait for an answer \
                     meanwhile |\n|---|---|---|---|\n"
        .to_owned();
    let mut raw = "build,policies,round,first_ms,last_ms,longest_wait_ms\n".to_owned();
    for kind in [Kind::Wasm, Kind::Module] {
        for policies in super::policies(setup, routes) {
            let updates = measure(kind, policies, routes, setup.rounds(ROUNDS)).await?;
            let of = |field: fn(&Update) -> f64| median(updates.iter().map(field).collect());
            writeln!(
                table,
                "| {} | {:.0} ms | {:.0} ms | {:.0} ms |",
                super::name(kind, policies),
                of(|it| it.first),
                of(|it| it.last),
                of(|it| it.waited),
            )?;
            for (round, it) in updates.iter().enumerate() {
                let Update {
                    first,
                    last,
                    waited,
                } = it;
                let kind = kind.name();
                writeln!(
                    raw,
                    "{kind},{policies},{round},{first:.1},{last:.1},{waited:.1}"
                )?;
            }
        }
    }
    output.table("updates", &table)?;
    output.file("updates.csv", &raw)
}

/// Updates of one Envoy whose filter comes from a file.
async fn measure(kind: Kind, policies: usize, routes: usize, rounds: usize) -> Result<Vec<Update>> {
    let file = EcdsFile::empty()?;
    file.replace_filter(version(kind, policies, 0)?)?;
    let discovered = json!({"name": PLUGIN_NAME, "config_discovery": {
        "config_source": {"resource_api_version": "V3",
                          "path_config_source": {"path": file.path()}},
        "type_urls": [WASM_TYPE, MODULE_TYPE]}});
    let bootstrap = configuration(routes, Some(discovered))?;
    let envoy = Envoy::start(&bootstrap.with_concurrency(WORKERS as u32)).await?;
    let mut connections = envoy.connection_to_each_worker(WORKERS, "/").await?;
    let mut updates = Vec::new();
    for round in 1..=rounds {
        let filter = version(kind, policies, round)?;
        let start = Instant::now();
        let mut workers = JoinSet::new();
        file.replace_filter(filter)?;
        for connection in connections.drain(..) {
            workers.spawn(watch(connection, start, status(round)));
        }
        let (mut times, mut waited) = (Vec::new(), Duration::ZERO);
        while let Some(worker) = workers.join_next().await {
            let (connection, time, own) = worker??;
            connections.push(connection);
            times.push(time.as_secs_f64() * 1e3);
            waited = waited.max(own);
        }
        let bounds = (times.first(), times.last());
        let (Some(first), Some(last)) = bounds else {
            continue;
        };
        updates.push(Update {
            first: *first,
            last: *last,
            waited: waited.as_secs_f64() * 1e3,
        });
    }
    envoy.assert_vm_alive().await?;
    envoy.stop();
    Ok(updates)
}

/// Asks one worker until it answers with this status: when it did, and the longest that
/// an answer took.
async fn watch(
    mut connection: h1::Connection,
    start: Instant,
    status: u16,
) -> Result<(h1::Connection, Duration, Duration)> {
    let mut waited = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let response = connection.send(Request::get("/").host(&host(0))).await?;
        waited = waited.max(asked.elapsed());
        if response.status == status {
            return Ok((connection, start.elapsed(), waited));
        }
        ensure!(start.elapsed() < PATIENCE, "the update does not arrive");
        sleep(PAUSE).await;
    }
}

/// Each version aborts all requests, with a status of its own.
fn status(round: usize) -> u16 {
    501 + u16::from(round % 2 == 1)
}

/// The filter of this version, as Envoy discovers it.
fn version(kind: Kind, policies: usize, round: usize) -> Result<Value> {
    let plugin = policies_for(policies, status(round), 100.0);
    let mut builds = builds(&plugin)?.into_iter();
    let found = builds.find(|(it, _)| *it == kind);
    let (_, filter) = found.context("no such build")?;
    Ok(filter["typed_config"].clone())
}
