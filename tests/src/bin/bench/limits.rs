//! What rate limits cost: a large limit that refuses nobody, the same under
//! overload, a bucket for each of many clients, and bounds on what is in flight.
//!
//! How large a limit must be to be overloaded so and so much is found out
//! first, by counting what this machine gets through. Before each of its rounds,
//! as many requests empty what the bucket has saved up.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, Result};
use btp_tests::measure::{cpu_micros, median, turns};
use btp_tests::{Builder, Envoy, Route};
use serde_json::{Value, json};

use crate::clients::{CONNECTIONS, load};
use crate::output::Output;
use crate::setup::Setup;

/// What one variant did in one round, per request.
#[derive(Clone, Copy, Default)]
struct Round {
    cpu_micros: f64,
    passed: f64,
    operations: f64,
}

struct Variant {
    name: &'static str,
    envoy: Envoy,
    /// Its limit is to be used up when a round begins.
    is_overloaded: bool,
    /// Of each load, on each connection.
    requests: usize,
    rounds: Vec<Round>,
}

const ROUNDS: usize = 16;
const REQUESTS_PER_CONNECTION: usize = 2_500;
/// As much burst as it takes for a lease of 5 ms.
const BURST_SECONDS: f64 = 0.32;
const MOST: u64 = 4_294_967_295;

/// Measures all variants in turns.
pub(crate) async fn run(setup: &Setup, output: &Output) -> Result<()> {
    let requests = setup.amount(REQUESTS_PER_CONNECTION, 20);
    let start = |name, plugin| start(name, plugin, requests);
    let control = start("no filter (control)", None).await?;
    let calibration = start("calibration", Some(limit(MOST, MOST))).await?;
    let capacity = capacity(&calibration).await?;
    calibration.envoy.stop();
    let overload = |factor: f64| {
        let rate = capacity / factor;
        limit(rate as u64, (rate * BURST_SECONDS) as u64)
    };
    let mut variants = vec![
        control,
        start("one limit that refuses nobody", Some(limit(MOST, MOST))).await?,
        start("one limit at half the load", Some(overload(2.0)))
            .await?
            .overloaded(),
        start("one limit at a tenth of the load", Some(overload(10.0)))
            .await?
            .overloaded(),
        start("a limit for each of 20,000 clients", Some(distinct())).await?,
        start("at most 100 in flight", Some(in_flight(100))).await?,
        start("at most a million in flight", Some(in_flight(1_000_000))).await?,
    ];
    for round in 0..setup.rounds(ROUNDS) {
        for index in turns(variants.len(), round) {
            let measured = variants[index].round().await?;
            variants[index].rounds.push(measured);
        }
    }
    let reported = report(&variants, output);
    for variant in variants {
        variant.envoy.stop();
    }
    reported
}

impl Variant {
    fn overloaded(self) -> Self {
        Self {
            is_overloaded: true,
            ..self
        }
    }

    async fn round(&self) -> Result<Round> {
        if self.is_overloaded {
            load(&self.envoy, self.requests).await?;
        }
        let requests = (CONNECTIONS * self.requests) as f64;
        let (micros, operations) = (cpu_micros(&self.envoy)?, self.operations().await?);
        let passed = load(&self.envoy, self.requests).await?;
        let micros = cpu_micros(&self.envoy)? - micros;
        let operations = self.operations().await? - operations;
        Ok(Round {
            cpu_micros: micros / requests,
            passed: passed as f64 / requests,
            operations: operations as f64 / requests,
        })
    }

    async fn operations(&self) -> Result<u64> {
        let name = "wasmcustom.btp.default.p.rate_limit.rule-af63bd4c.debug_store_operations";
        Ok(self.envoy.stat(name).await?.unwrap_or(0))
    }

    fn median(&self, what: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(what).collect())
    }
}

async fn start(name: &'static str, plugin: Option<Value>, requests: usize) -> Result<Variant> {
    let mut builder = Builder::new().route(Route::direct("/", 200, "ok").named("here"));
    if let Some(plugin) = plugin {
        builder = builder.plugin(&plugin);
    }
    let envoy = Envoy::start(&builder.build()?).await?;
    load(&envoy, requests).await?;
    Ok(Variant {
        name,
        envoy,
        is_overloaded: false,
        requests,
        rounds: Vec::new(),
    })
}

/// Requests per second that pass as fast as they can.
async fn capacity(variant: &Variant) -> Result<f64> {
    let started = Instant::now();
    let passed = load(&variant.envoy, variant.requests).await?;
    Ok(passed as f64 / started.elapsed().as_secs_f64())
}

fn policy(rule: Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"},
                         "spec": {"rateLimit": {"local": {"rules": [rule]}}}}]})
}

fn limit(rate: u64, burst: u64) -> Value {
    policy(json!({"limit": {"requests": rate, "unit": "Second", "burst": burst.max(1)}}))
}

/// The header has another value in each request of a load.
fn distinct() -> Value {
    policy(json!({
        "clientSelectors": [{"headers": [{"name": "x-client", "type": "Distinct"}]}],
        "limit": {"requests": 1_000, "unit": "Hour"}}))
}

fn in_flight(max: u32) -> Value {
    policy(json!({"concurrency": {"max": max}}))
}

fn report(variants: &[Variant], output: &Output) -> Result<()> {
    let control = variants.first().context("no control")?;
    let mut table = "| | CPU per request, ratio to the control | median of the differences | \
                     passed | operations on shared state per request |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    let mut raw = "variant,round,cpu_us_per_request,passed,store_operations\n".to_owned();
    for variant in variants {
        let pairs = || variant.rounds.iter().zip(&control.rounds);
        let ratio = pairs().map(|(own, control)| own.cpu_micros / control.cpu_micros);
        let added = pairs().map(|(own, control)| own.cpu_micros - control.cpu_micros);
        let (ratio, added) = (median(ratio.collect()), median(added.collect()));
        let passed = 100.0 * variant.median(|round| round.passed);
        let operations = variant.median(|round| round.operations);
        let name = variant.name;
        writeln!(
            table,
            "| {name} | {ratio:.2} | {added:+.1} µs | {passed:.0} % | {operations:.3} |"
        )?;
        for (index, round) in variant.rounds.iter().enumerate() {
            let Round {
                cpu_micros,
                passed,
                operations,
            } = round;
            writeln!(
                raw,
                "{name},{index},{cpu_micros:.2},{passed:.4},{operations:.4}"
            )?;
        }
    }
    // A name with a comma would be two cells.
    let raw = raw.replace("20,000", "20000");
    output.table("limits", &table)?;
    output.file("limits.csv", &raw)
}
