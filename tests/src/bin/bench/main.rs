//! What the filter costs: per request, beside the same Envoy without it, with
//! and without rate limits, and per configuration. Writes the tables in
//! docs/PERFORMANCE.md and the raw numbers beside it.
//!
//! Requests: the variants take turns, round by round and back (ABBA), so that
//! a machine that slows down slows all of them; each round's CPU time is
//! compared with the control's of the same round, and the median of these
//! ratios is what counts.

mod instances;
mod limits;

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use btp_tests::client::h1;
use btp_tests::measure::{cpu_micros, per_request, resident_kib, turns, write_table};
use btp_tests::{Builder, Envoy, Request, Route, repo};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const ROUNDS: usize = 16;
const CONNECTIONS: usize = 8;
const REQUESTS_PER_CONNECTION: usize = 2_500;

struct Variant {
    name: &'static str,
    plugin: Option<Value>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let (requests, raw) = measure_requests().await?;
    let limits = limits::measure().await?;
    let instances = instances::measure().await?;
    let loading = measure_loading().await?;
    fs::write(repo::path("docs/performance/requests.csv"), raw)?;
    fs::write(repo::path("docs/performance/limits.csv"), limits.raw)?;
    fs::write(repo::path("docs/performance/instances.csv"), instances.raw)?;
    println!(
        "{requests}\n{}\n{}\n{loading}",
        limits.table, instances.table
    );
    write_table("docs/PERFORMANCE.md", "requests", &requests)?;
    write_table("docs/PERFORMANCE.md", "limits", &limits.table)?;
    write_table("docs/PERFORMANCE.md", "instances", &instances.table)?;
    write_table("docs/PERFORMANCE.md", "loading", &loading)
}

fn variants() -> [Variant; 4] {
    let route =
        json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "other"}]);
    let spec = json!({
        "faultInjection": {"delay": {"fixedDelay": "1s", "percentage": 0},
                           "abort": {"httpStatus": 500, "percentage": 0.0001}},
        "responseOverride": [{"match": {"statusCodes": [{"value": 404}]}, "response": {}}]});
    let mut targeted = spec.clone();
    targeted["targetRefs"] = route;
    let config = |spec: &Value| json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]});
    [
        Variant {
            name: "no filter (control)",
            plugin: None,
        },
        Variant {
            name: "filter, no policy",
            plugin: Some(json!({"policies": []})),
        },
        Variant {
            name: "filter, policy of another route",
            plugin: Some(config(&targeted)),
        },
        Variant {
            name: "filter, faults and overrides that do not fire",
            plugin: Some(config(&spec)),
        },
    ]
}

async fn measure_requests() -> Result<(String, String)> {
    let variants = variants();
    let mut envoys = Vec::new();
    for variant in &variants {
        let mut builder = Builder::new().route(Route::direct("/", 200, "ok").named("here"));
        if let Some(plugin) = &variant.plugin {
            builder = builder.plugin(plugin);
        }
        let envoy = Envoy::start(&builder.build()?).await?;
        load(&envoy).await?;
        envoys.push(envoy);
    }
    let mut micros = vec![Vec::new(); variants.len()];
    for round in 0..ROUNDS {
        for index in turns(variants.len(), round) {
            let before = cpu_micros(&envoys[index])?;
            load(&envoys[index]).await?;
            let requests = (CONNECTIONS * REQUESTS_PER_CONNECTION) as f64;
            micros[index].push((cpu_micros(&envoys[index])? - before) / requests);
        }
    }
    let rounds = variants.iter().zip(&micros);
    let rounds: Vec<_> = rounds.map(|(it, own)| (it.name, own.as_slice())).collect();
    Ok(per_request(&rounds))
}

/// Requests on kept-alive connections, as fast as they are answered, each by
/// another client. Gives how many passed.
async fn load(envoy: &Envoy) -> Result<usize> {
    load_of(envoy, REQUESTS_PER_CONNECTION).await
}

/// The same with so many on each connection.
async fn load_of(envoy: &Envoy, requests: usize) -> Result<usize> {
    let addr = envoy.addr();
    let mut clients = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let first = connection * requests;
        clients.spawn(async move {
            let mut connection = h1::Connection::open(addr).await?;
            let mut passed = 0;
            for client in first..first + requests {
                let request = Request::get("/").header("x-client", client.to_string());
                passed += usize::from(connection.send(request).await?.status == 200);
            }
            anyhow::Ok(passed)
        });
    }
    let mut passed = 0;
    while let Some(client) = clients.join_next().await {
        passed += client??;
    }
    Ok(passed)
}

async fn measure_loading() -> Result<String> {
    let mut table = "| policies × override rules | loaded in | resident memory, one worker |\n\
                     |---|---|---|\n"
        .to_owned();
    for count in [0, 10, 100, 1_000] {
        let plugin = many_policies(count);
        let envoy = Envoy::start(&Builder::new().plugin(&plugin).build()?).await?;
        let log = envoy.log();
        let line = log.lines().find(|line| line.contains("loaded in"));
        let (_, took) = line
            .and_then(|line| line.rsplit_once("loaded in "))
            .context("no load time")?;
        let memory = resident_kib(&envoy)? / 1024;
        writeln!(table, "| {count} × 10 | {took} | {memory} MiB |")?;
    }
    Ok(table)
}

/// As many policies, each for a route of its own and with ten rules.
fn many_policies(count: usize) -> Value {
    let rule = |index: usize| {
        json!({"match": {"statusCodes": [{"type": "Range", "range": {"start": 400 + index, "end": 450 + index}}]},
               "response": {"statusCode": 503, "contentType": "application/json",
                            "body": {"type": "Inline", "inline": "{\"error\": \"try again later\"}"},
                            "header": {"set": [{"name": "cache-control", "value": "no-store"}]}}})
    };
    let policy = |index: usize| {
        json!({"metadata": {"name": format!("policy-{index}")},
               "spec": {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                                        "name": format!("route-{index}")}],
                        "responseOverride": (0..10).map(rule).collect::<Vec<_>>()}})
    };
    json!({"policies": (0..count).map(policy).collect::<Vec<_>>()})
}
