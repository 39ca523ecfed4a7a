//! Many policies on many routes: how long a configuration takes to load, what it takes of
//! memory, what a request costs under it, and when an update is in force.
//!
//! Each route has a virtual host of its own: Envoy finds these by name, so that what it
//! takes for itself does not depend on how many there are.

mod config;
mod updates;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use btp_tests::Envoy;
use btp_tests::measure::{cpu_micros, median, resident_kib, turns};

use crate::load::Connections;
use crate::machine::{self, Generator};
use crate::output::Output;
use crate::setup::Setup;
use crate::traffic::Request;
use crate::variants::Kind;
use config::{configuration, host, plugin};

const ROUNDS: usize = 20;
const ROUTES: usize = 10_000;
const POLICIES: [usize; 3] = [1, 1_000, 10_000];
const REQUESTS: usize = 2_000;
const CONNECTIONS: usize = 8;

/// One Envoy.
struct Subject {
    kind: Kind,
    policies: usize,
    envoy: Envoy,
    /// From its start until it served.
    started: Duration,
    /// What the filter says of its configuration.
    loaded_ms: Option<u64>,
    connections: Connections,
    /// Microseconds per request of each round: to one route, and to all in turn.
    micros: [Vec<f64>; 2],
}

/// Measures, and writes tables and raw numbers.
pub(crate) async fn run(setup: &Setup, output: &Output) -> Result<()> {
    let routes = setup.amount(ROUTES, 20);
    let mut subjects = subjects(setup, routes).await?;
    let requests = setup.amount(REQUESTS, 5 * CONNECTIONS);
    let all: Arc<[Request]> = (0..routes).map(|it| Request::get(&host(it), "/")).collect();
    let traffic = [vec![all[0].clone()].into(), all];
    // All routes come at least once before it counts.
    let warm_up = routes.div_ceil(requests);
    for round in 0..warm_up + setup.rounds(ROUNDS) {
        for index in turns(subjects.len(), round) {
            let subject = &mut subjects[index];
            if !setup.is_smoke {
                machine::pin(&subject.envoy, Generator::SameCore)?;
            }
            for (place, traffic) in traffic.iter().enumerate() {
                let spent = subject.round(traffic, requests).await?;
                if round >= warm_up {
                    subject.micros[place].push(spent);
                }
            }
        }
    }
    if !setup.is_smoke {
        machine::unpin()?;
    }
    let table = table(&subjects)?;
    let raw = raw(&subjects)?;
    for subject in subjects {
        subject.envoy.assert_vm_alive().await?;
        subject.envoy.stop();
    }
    output.table("scale", &table)?;
    output.file("scale.csv", &raw)?;
    updates::run(setup, output, routes).await
}

/// The control, then each build with each number of policies.
async fn subjects(setup: &Setup, routes: usize) -> Result<Vec<Subject>> {
    let mut subjects = vec![start(Kind::Control, 0, routes).await?];
    for kind in [Kind::Wasm, Kind::Module] {
        for policies in policies(setup, routes) {
            subjects.push(start(kind, policies, routes).await?);
        }
    }
    Ok(subjects)
}

/// How many policies there are in turn; in a smoke test one for each route.
fn policies(setup: &Setup, routes: usize) -> Vec<usize> {
    if setup.is_smoke {
        return vec![routes];
    }
    POLICIES.to_vec()
}

async fn start(kind: Kind, policies: usize, routes: usize) -> Result<Subject> {
    let filter = plugin(kind, policies, 503)?;
    let bootstrap = configuration(routes, filter)?;
    let start = Instant::now();
    let envoy = Envoy::start(&bootstrap).await?;
    let started = start.elapsed();
    let loaded_ms = loaded_in(&envoy.log());
    ensure!(
        loaded_ms.is_some() == (policies > 0),
        "it does not say how long it took"
    );
    let connections = Connections::open(envoy.addr(), CONNECTIONS).await?;
    Ok(Subject {
        kind,
        policies,
        envoy,
        started,
        loaded_ms,
        connections,
        micros: [Vec::new(), Vec::new()],
    })
}

/// Milliseconds, from a line of the log.
fn loaded_in(log: &str) -> Option<u64> {
    let (_, rest) = log.rsplit_once("loaded in ")?;
    rest.split_whitespace().next()?.parse().ok()
}

impl Subject {
    async fn round(&mut self, requests: &Arc<[Request]>, times: usize) -> Result<f64> {
        let before = cpu_micros(&self.envoy)?;
        let statuses = self.connections.send(requests, times).await?;
        let spent = (cpu_micros(&self.envoy)? - before) / times as f64;
        let passed = statuses.get(&200).copied().unwrap_or_default();
        ensure!(passed + 2 >= times, "{statuses:?}");
        Ok(spent)
    }

    fn name(&self) -> String {
        name(self.kind, self.policies)
    }
}

/// `module, 10,000 policies`.
fn name(kind: Kind, policies: usize) -> String {
    match (kind, policies) {
        (Kind::Control, _) => "no filter".to_owned(),
        (_, 1) => format!("{}, 1 policy", kind.name()),
        (_, 1_000..) => {
            let (thousands, rest) = (policies / 1_000, policies % 1_000);
            format!("{}, {thousands},{rest:03} policies", kind.name())
        }
        _ => format!("{}, {policies} policies", kind.name()),
    }
}

fn table(subjects: &[Subject]) -> Result<String> {
    let mut text = "| | policies loaded in | Envoy serves after | resident memory | one route, \
                    again and again | all routes in turn |\n|---|---|---|---|---|---|\n"
        .to_owned();
    let control = subjects.first().context("no control")?;
    for subject in subjects {
        let name = subject.name();
        let loaded = subject.loaded_ms;
        let loaded = loaded.map_or("–".to_owned(), |it| format!("{it} ms"));
        let started = subject.started.as_secs_f64();
        let memory = resident_kib(&subject.envoy)? / 1024;
        write!(text, "| {name} | {loaded} | {started:.1} s | {memory} MiB")?;
        for place in 0..subject.micros.len() {
            let own = &subject.micros[place];
            let cell = if subject.kind == Kind::Control {
                format!("{:.1} µs", median(own.clone()))
            } else {
                let pairs = own.iter().zip(&control.micros[place]);
                let added = median(pairs.map(|(own, none)| own - none).collect());
                format!("{added:+.1} µs")
            };
            write!(text, " | {cell}")?;
        }
        writeln!(text, " |")?;
    }
    Ok(text)
}

fn raw(subjects: &[Subject]) -> Result<String> {
    let mut raw = "variant,requests,round,cpu_us_per_request\n".to_owned();
    for subject in subjects {
        let name = subject.name();
        for (place, requests) in ["one route", "all routes"].into_iter().enumerate() {
            for (round, value) in subject.micros[place].iter().enumerate() {
                writeln!(raw, "\"{name}\",{requests},{round},{value:.2}")?;
            }
        }
    }
    Ok(raw)
}
