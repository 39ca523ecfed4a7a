//! CPU of Envoy per request, of everything that is compared, in one run.
//!
//! One Envoy with one worker has a listener for each variant. Rounds go over all of them
//! there and back, with the load on Envoy's core and on another; each is compared with the
//! control's of the same round.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Result, ensure};
use btp_tests::measure::{cpu_micros, turns};
use btp_tests::{Bootstrap, Envoy};

use crate::load::Connections;
use crate::machine::{self, Generator};
use crate::output::Output;
use crate::setup::Setup;
use crate::traffic::{Request, Traffic};
use crate::variants::{self, Kind, Variant};
use crate::{backend, costs, floors, replays};

/// What was measured of one variant with one kind of traffic.
pub(crate) struct Series {
    pub(crate) what: &'static str,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) traffic: Traffic,
    pub(crate) generator: Generator,
    /// Microseconds per request, of each round.
    pub(crate) micros: Vec<f64>,
}

/// One listener, and one kind of traffic to it.
struct Item {
    variant: usize,
    status: u16,
    requests: Arc<[Request]>,
    series: Series,
}

const ROUNDS: usize = 24;
/// They warm up: what V8 compiles a second time it has compiled then.
const WARM_UP: usize = 2;
/// Requests of each round.
const REQUESTS: usize = 1_000;
const CONNECTIONS: usize = 8;
/// One request in a million meets the fault that is to meet none: so many may in a round.
const STRAY: usize = 2;

/// Measures, and writes tables, plots and raw numbers.
pub(crate) async fn run(setup: &Setup, output: &Output) -> Result<()> {
    let load = machine::load()?;
    let backend = backend::start().await?;
    let variants = replays::with_replays(variants::all(backend)?, setup, backend).await?;
    let bootstrap = variants::bootstrap(&variants, backend)?;
    let rounds = setup.rounds(ROUNDS);
    let requests = setup.amount(REQUESTS, 5 * CONNECTIONS);
    let series = measure(setup, &variants, &bootstrap, rounds, requests).await?;
    if !setup.is_smoke {
        machine::unpin()?;
    }
    output.file("cpu.csv", &raw(&series)?)?;
    output.table("floors", &floors::table(&series)?)?;
    let run = format!(
        "{} {rounds} rounds of {requests} requests.",
        machine::describe(load)?
    );
    costs::publish(&series, &run, output)
}

async fn measure(
    setup: &Setup,
    variants: &[Variant],
    bootstrap: &Bootstrap,
    rounds: usize,
    requests: usize,
) -> Result<Vec<Series>> {
    let envoy = Envoy::start(bootstrap).await?;
    let mut connections = Vec::new();
    for variant in variants {
        let peer = envoy.listener_addr(&variant.listener())?;
        connections.push(Connections::open(peer, CONNECTIONS).await?);
    }
    let mut items = Generator::ALL.map(|generator| items(variants, generator));
    for round in 0..WARM_UP + rounds {
        for place in turns(items.len(), round) {
            if !setup.is_smoke {
                machine::pin(&envoy, Generator::ALL[place])?;
            }
            for index in turns(items[place].len(), round) {
                let item = &mut items[place][index];
                let before = cpu_micros(&envoy)?;
                let statuses = connections[item.variant]
                    .send(&item.requests, requests)
                    .await?;
                let spent = (cpu_micros(&envoy)? - before) / requests as f64;
                // Envoy's limit lets the first request pass.
                if round < WARM_UP {
                    continue;
                }
                let expected = statuses.get(&item.status).copied().unwrap_or_default();
                let name = &item.series.name;
                ensure!(expected + STRAY >= requests, "{name}: {statuses:?}");
                item.series.micros.push(spent);
            }
        }
    }
    envoy.assert_vm_alive().await?;
    envoy.stop();
    let items = items.into_iter().flatten();
    Ok(items.map(|item| item.series).collect())
}

/// What is asked from this place, one kind of traffic after another: rounds of what is
/// compared are close to each other. What filters answer differs little between the places.
fn items(variants: &[Variant], generator: Generator) -> Vec<Item> {
    let mut items = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        for (traffic, status) in variant.asked.iter().copied() {
            let is_quiet = matches!(traffic, Traffic::Direct | Traffic::Proxied);
            if generator == Generator::OtherCore && !is_quiet {
                continue;
            }
            items.push(Item {
                variant: index,
                status,
                requests: vec![traffic.request()].into(),
                series: Series {
                    what: variant.what,
                    kind: variant.kind,
                    name: variant.name(),
                    traffic,
                    generator,
                    micros: Vec::new(),
                },
            });
        }
    }
    items.sort_by_key(|item| item.series.traffic);
    items
}

fn raw(series: &[Series]) -> Result<String> {
    let mut raw = "traffic,generator,variant,round,cpu_us_per_request\n".to_owned();
    for it in series {
        let (traffic, generator) = (it.traffic.name(), it.generator.name());
        for (round, value) in it.micros.iter().enumerate() {
            writeln!(
                raw,
                "{traffic},{generator},\"{}\",{round},{value:.2}",
                it.name
            )?;
        }
    }
    Ok(raw)
}
