//! Latency of requests at fixed times, at half of the load that the variant can carry. The
//! time that a request waits for others counts.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use btp_tests::Envoy;
use btp_tests::measure::{median, turns};
use btp_tests::plot::{Bar, Bars, Group, Series, palette};

use crate::load::Connections;
use crate::machine::{self, Generator};
use crate::open_loop::Times;
use crate::output::Output;
use crate::setup::Setup;
use crate::traffic::{Request, Traffic};
use crate::variants::{self, Kind, Variant};
use crate::{backend, open_loop};

const ROUNDS: usize = 20;
/// Of each round.
const TIME_MS: usize = 1_000;
const CONNECTIONS: usize = 32;
/// Requests as fast as they are answered, from which the load is worked out.
const SATURATING: usize = 4_000;
const SHARE: f64 = 0.5;
const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

const COMPARED: [(Kind, &str); 9] = [
    (Kind::Control, variants::CONTROL),
    (Kind::Wasm, variants::NOTHING),
    (Kind::Module, variants::NOTHING),
    (Kind::Envoy, variants::FOUR),
    (Kind::Wasm, variants::FOUR_APPLIED),
    (Kind::Module, variants::FOUR_APPLIED),
    (Kind::Envoy, variants::FIVE),
    (Kind::Wasm, variants::FIVE_APPLIED),
    (Kind::Module, variants::FIVE_APPLIED),
];

struct Measured {
    name: String,
    connections: Option<Connections>,
    /// Requests per second.
    saturated: f64,
    /// Microseconds at each percentile, of each round.
    rounds: Vec<[f64; PERCENTILES.len()]>,
    /// By how many microseconds 1 of 100 requests were sent too late, in each round.
    late: Vec<f64>,
}

pub(crate) async fn run(setup: &Setup, output: &Output) -> Result<()> {
    let backend = backend::start().await?;
    let variants = variants::some(backend, &COMPARED)?;
    let envoy = Envoy::start(&variants::bootstrap(&variants, backend)?).await?;
    if !setup.is_smoke {
        machine::pin(&envoy, Generator::OtherCore)?;
    }
    let mut measured = Vec::new();
    for variant in &variants {
        let peer = envoy.listener_addr(&variant.listener())?;
        measured.push(saturate(variant, setup, Connections::open(peer, CONNECTIONS).await?).await?);
    }
    let time = Duration::from_millis(setup.amount(TIME_MS, 50).try_into()?);
    let request = Traffic::Proxied.request();
    for round in 0..setup.rounds(ROUNDS) {
        for index in turns(measured.len(), round) {
            measured[index].round(&request, time, round as u64).await?;
        }
    }
    envoy.assert_vm_alive().await?;
    envoy.stop();
    if !setup.is_smoke {
        machine::unpin()?;
    }
    output.table("latency", &table(&measured)?)?;
    output.file("latency.csv", &raw(&measured)?)?;
    output.file("latency.svg", &plot(&measured)?)
}

/// What the variant can carry: the middle one of three times, after one to warm up.
async fn saturate(
    variant: &Variant,
    setup: &Setup,
    mut connections: Connections,
) -> Result<Measured> {
    let requests: Arc<[Request]> = vec![Traffic::Proxied.request()].into();
    let times = setup.amount(SATURATING, 2 * CONNECTIONS);
    let mut rates = Vec::new();
    for turn in 0..4 {
        let start = Instant::now();
        connections.send(&requests, times).await?;
        if turn > 0 {
            rates.push(times as f64 / start.elapsed().as_secs_f64());
        }
    }
    Ok(Measured {
        name: variant.name(),
        connections: Some(connections),
        saturated: median(rates),
        rounds: Vec::new(),
        late: Vec::new(),
    })
}

impl Measured {
    async fn round(&mut self, request: &Request, time: Duration, seed: u64) -> Result<()> {
        let Some(connections) = self.connections.take() else {
            return Ok(());
        };
        let rate = self.saturated * SHARE;
        let (connections, Times { answered, late }) =
            open_loop::send(connections, request, rate, time, seed).await?;
        self.connections = Some(connections);
        self.rounds
            .push(PERCENTILES.map(|(_, share)| at(&answered, share)));
        self.late.push(at(&late, 0.99));
        Ok(())
    }

    fn percentile(&self, index: usize) -> f64 {
        median(self.rounds.iter().map(|it| it[index]).collect())
    }
}

/// The value with this share of the sorted ones below it.
fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

fn table(measured: &[Measured]) -> Result<String> {
    let names = PERCENTILES.map(|(name, _)| name).join(" | ");
    let mut text = format!(
        "| | saturated, requests/s | {names} | sent late, p99 |\n|---|---|{}---|\n",
        "---|".repeat(PERCENTILES.len())
    );
    for it in measured {
        write!(text, "| {} | {:.0}", it.name, it.saturated)?;
        for index in 0..PERCENTILES.len() {
            write!(text, " | {:.0} µs", it.percentile(index))?;
        }
        writeln!(text, " | {:.0} µs |", median(it.late.clone()))?;
    }
    Ok(text)
}

fn raw(measured: &[Measured]) -> Result<String> {
    let mut raw = "variant,saturated_per_s,round,p50_us,p99_us,p999_us,late_p99_us\n".to_owned();
    for it in measured {
        let rounds = it.rounds.iter().zip(&it.late).enumerate();
        for (round, ([p50, p99, p999], late)) in rounds {
            let (name, saturated) = (&it.name, it.saturated);
            writeln!(
                raw,
                "\"{name}\",{saturated:.0},{round},{p50:.1},{p99:.1},{p999:.1},{late:.1}"
            )?;
        }
    }
    Ok(raw)
}

fn plot(measured: &[Measured]) -> Result<String> {
    let group = |it: &Measured| {
        let bar = |index| {
            Some(Bar {
                value: it.percentile(index),
                range: None,
            })
        };
        Group {
            name: it.name.replace('`', ""),
            bars: (0..PERCENTILES.len()).map(bar).collect(),
        }
    };
    let names = ["median", "99 of 100 are faster", "999 of 1000 are faster"];
    let colors = [palette::BLUE, palette::ORANGE, palette::GREY];
    let series = names.into_iter().zip(colors);
    Bars {
        title: "Latency of proxied requests at half load".to_owned(),
        subtitle: "Each variant at half of the load that it can carry itself; open loop, one \
                   worker, medians of the rounds."
            .to_owned(),
        axis: "from when a request is due to its answer, µs".to_owned(),
        decimals: 0,
        series: series.map(|(name, color)| Series { name, color }).collect(),
        groups: measured.iter().map(group).collect(),
        mark: None,
    }
    .draw()
}
