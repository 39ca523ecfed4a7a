//! What the hostcalls of the .wasm cost alone: for some of its rows a replay, which makes
//! the same calls in the same order and computes nothing (`tests/replay-wasm`).
//!
//! Scripts are made from what Envoy's trace shows of the filter under load, with each kind
//! of traffic. Before anything is measured, the trace of each replay is compared with it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use btp_tests::Envoy;
use btp_tests::replay::{self, Exchange, Instance};

use crate::load::Connections;
use crate::setup::Setup;
use crate::traffic::Traffic;
use crate::variants::{self, FIVE, FIVE_APPLIED, FOUR, FOUR_APPLIED, FOUR_SILENT, Kind, Variant};

/// A row, asked one kind of traffic.
struct Observed {
    variant: usize,
    traffic: Traffic,
    /// Of the filter, in the order in which a request meets them.
    instances: Vec<Instance>,
}

/// The rows that are replayed.
pub(crate) const ROWS: [&str; 10] = [
    "no policy",
    "policy of another route",
    "one limit",
    "response override",
    "retry budget",
    FOUR,
    FOUR_SILENT,
    FIVE,
    FOUR_APPLIED,
    FIVE_APPLIED,
];
const TRAFFIC: [Traffic; 2] = [Traffic::Direct, Traffic::Proxied];

const CONNECTIONS: usize = 8;
/// Requests until leases, budgets and the like are as in the measuring.
const WARM_UP: usize = 1_000;
/// Requests that are looked at.
const LOOKED_AT: usize = 400;

/// The variants, each that is replayed with its replays behind it: rounds of what is
/// compared are close to each other.
pub(crate) async fn with_replays(
    variants: Vec<Variant>,
    setup: &Setup,
    backend: SocketAddr,
) -> Result<Vec<Variant>> {
    let mut replays = all(setup, backend).await?;
    let mut both = Vec::new();
    for variant in variants {
        let (what, kind) = (variant.what, variant.kind);
        both.push(variant);
        if kind == Kind::Wasm {
            both.extend(replays.extract_if(.., |replay| replay.what == what));
        }
    }
    Ok(both)
}

/// The replays of all rows, a listener for each kind of traffic.
async fn all(setup: &Setup, backend: SocketAddr) -> Result<Vec<Variant>> {
    let mut variants = variants::some(backend, &ROWS.map(|what| (Kind::Wasm, what)))?;
    let rows: Vec<(usize, Traffic)> = (0..variants.len())
        .flat_map(|variant| TRAFFIC.map(|traffic| (variant, traffic)))
        .collect();
    let originals = observe(setup, backend, &variants, &rows).await?;
    let mut replays = Vec::new();
    for it in &originals {
        let variant = &variants[it.variant];
        let name = format!("{}, {}", variant.name(), it.traffic.name());
        let scripts = it.instances.iter().map(|it| replay::script(&it.usual));
        let scripts: Vec<String> = scripts.collect::<Result<_>>().context(name.clone())?;
        println!("{name}: {}", describe(&it.instances));
        let is_usual = |it: &Instance| it.share.0 * 2 > it.share.1;
        ensure!(
            setup.is_smoke || it.instances.iter().all(is_usual),
            "{name}: exchanges differ too much for one script to stand for them"
        );
        replays.push(variant.replay(it.traffic, &scripts)?);
    }
    // With the originals, as some of these have clusters that replays use, too.
    let first = variants.len();
    variants.extend(replays);
    let rows = originals.iter().enumerate();
    let rows: Vec<(usize, Traffic)> = rows.map(|(i, it)| (first + i, it.traffic)).collect();
    let replayed = observe(setup, backend, &variants, &rows).await?;
    for (original, replay) in originals.iter().zip(&replayed) {
        let name = variants[replay.variant].name();
        compare(original, replay).with_context(|| format!("{name}, {}", replay.traffic.name()))?;
    }
    Ok(variants.split_off(first))
}

/// Has Envoy trace what these rows do.
async fn observe(
    setup: &Setup,
    backend: SocketAddr,
    variants: &[Variant],
    rows: &[(usize, Traffic)],
) -> Result<Vec<Observed>> {
    let envoy = Envoy::start(&variants::bootstrap(variants, backend)?).await?;
    let mut all = Vec::new();
    for (variant, traffic) in rows.iter().copied() {
        let peer = envoy.listener_addr(&variants[variant].listener())?;
        let mut connections = Connections::open(peer, CONNECTIONS).await?;
        let (warm_up, looked_at) = (
            setup.amount(WARM_UP, 10 * CONNECTIONS),
            setup.amount(LOOKED_AT, 5 * CONNECTIONS),
        );
        // All kinds, this one last: an instance behind the router shows with the first
        // request that is proxied.
        let others = variants[variant].asked.iter().map(|(asked, _)| *asked);
        for asked in others.filter(|it| *it != traffic).chain([traffic]) {
            connections
                .send(&Arc::from([asked.request()]), warm_up)
                .await?;
        }
        let before = envoy.log().len();
        envoy.admin_post("/logging?wasm=trace").await?;
        connections
            .send(&Arc::from([traffic.request()]), looked_at)
            .await?;
        envoy.admin_post("/logging?wasm=info").await?;
        let log = envoy.log();
        let log = log.get(before..).context("a log that shrinks")?;
        all.push(Observed {
            variant,
            traffic,
            instances: replay::instances(log)?,
        });
    }
    envoy.assert_vm_alive().await?;
    envoy.stop();
    Ok(all)
}

/// Fails if a replay does not make the calls that its script was made from.
fn compare(original: &Observed, replay: &Observed) -> Result<()> {
    let usual = |it: &Observed| -> Vec<Exchange> {
        let instances = it.instances.iter();
        instances.map(|it| it.usual.clone()).collect()
    };
    let (original, replay) = (usual(original), usual(replay));
    ensure!(
        original == replay,
        "its calls are {replay:#?}, those of the filter {original:#?}"
    );
    Ok(())
}

/// How usual it is what is replayed.
fn describe(instances: &[Instance]) -> String {
    let parts = instances.iter().map(|it| {
        let (usual, all) = it.share;
        let calls = it.usual.hostcalls();
        format!("{calls} hostcalls in {usual} of {all} exchanges")
    });
    parts.collect::<Vec<_>>().join("; ")
}
