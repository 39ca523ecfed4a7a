//! What a request costs without the filter, with each of its builds, with Envoy's own
//! filters for the same work and with Lua: CPU of Envoy per request, side by side in one
//! run. Writes the tables in docs/PERFORMANCE.md and the rounds beside it.
//!
//! One Envoy with one worker has a listener for each variant. Rounds go over all
//! variants there and back; each is compared with the control's of the same round.

mod load;
mod variants;

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use btp_tests::measure::{cpu_micros, quartiles, turns, write_table};
use btp_tests::{Builder, Envoy, Upstream, repo};
use load::Request;
use variants::Variant;

const ROUNDS: usize = 30;
/// Requests of each round.
const REQUESTS: usize = 1_000;
/// One request in a million meets the fault that is to meet none: so many may in a round.
const STRAY: usize = 2;

/// Where the load comes from.
#[derive(Clone, Copy, PartialEq)]
enum Generator {
    /// The core that Envoy runs on.
    SameCore,
    /// Another one.
    OtherCore,
}

/// A table of the page.
struct Table {
    name: &'static str,
    variants: Vec<Variant>,
    /// A column for each: heading, request, where it comes from.
    columns: Vec<(&'static str, Request, Generator)>,
    /// Rows are compared with this one, too.
    yardstick: &'static str,
}

#[tokio::main]
async fn main() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut raw = "table,column,variant,round,cpu_us_per_request\n".to_owned();
    for table in tables() {
        let text = measure(&table, &upstream, &mut raw).await?;
        println!("{text}");
        write_table("docs/PERFORMANCE.md", table.name, &text)?;
    }
    fs::write(repo::path("docs/performance/builds.csv"), raw)?;
    Ok(())
}

fn tables() -> [Table; 2] {
    let (direct, proxied) = (Request::get("/direct"), Request::get("/proxied"));
    let quiet = vec![
        ("direct, same core", direct.clone(), Generator::SameCore),
        ("proxied, same core", proxied.clone(), Generator::SameCore),
        ("direct, other core", direct.clone(), Generator::OtherCore),
        ("proxied, other core", proxied, Generator::OtherCore),
    ];
    [
        Table {
            name: "builds",
            variants: variants::quiet(),
            columns: quiet,
            yardstick: variants::NATIVE_FOUR,
        },
        Table {
            name: "refusals",
            variants: variants::refusing(),
            columns: vec![(
                "same core",
                Request::post("/proxied", 20),
                Generator::SameCore,
            )],
            yardstick: variants::NATIVE_LIMIT,
        },
    ]
}

async fn measure(table: &Table, upstream: &Upstream, raw: &mut String) -> Result<String> {
    let envoy = start(&table.variants, upstream).await?;
    let mut columns = Vec::new();
    for (heading, request, generator) in &table.columns {
        pin(&envoy, *generator)?;
        let mut micros = vec![Vec::new(); table.variants.len()];
        for round in 0..=ROUNDS {
            for index in turns(table.variants.len(), round) {
                let variant = &table.variants[index];
                let peer = envoy.listener_addr(&variant.listener())?;
                let before = cpu_micros(&envoy)?;
                let statuses = load::send(peer, request, REQUESTS).await?;
                let spent = (cpu_micros(&envoy)? - before) / REQUESTS as f64;
                // The first round warms up; Envoy's limit lets one request of it pass.
                if round == 0 {
                    continue;
                }
                let expected = statuses.get(&variant.status).copied().unwrap_or_default();
                ensure!(
                    expected + STRAY >= REQUESTS,
                    "{}: {statuses:?}",
                    variant.name
                );
                micros[index].push(spent);
            }
            upstream.clear();
        }
        for (variant, rounds) in table.variants.iter().zip(&micros) {
            for (round, value) in rounds.iter().enumerate() {
                let name = variant.name.replace(',', "");
                let heading = heading.replace(',', "");
                writeln!(raw, "{},{heading},{name},{round},{value:.2}", table.name)?;
            }
        }
        columns.push(micros);
    }
    let headings: Vec<&str> = table.columns.iter().map(|(it, ..)| *it).collect();
    Ok(rows(table, &headings, &columns))
}

async fn start(variants: &[Variant], upstream: &Upstream) -> Result<Envoy> {
    let mut builder = Builder::new().concurrency(1);
    for variant in variants {
        builder = builder.listener(variant.listener_config());
    }
    let bootstrap = variants::clusters(builder, upstream.addr()).build()?;
    Envoy::start(&bootstrap).await
}

/// A row for each variant: what it adds to the control, with quartiles, and that as a
/// ratio to what the yardstick adds.
fn rows(table: &Table, headings: &[&str], columns: &[Vec<Vec<f64>>]) -> String {
    let mut text = format!(
        "| | {} |\n|---|{}\n",
        headings.join(" | "),
        "---|".repeat(headings.len())
    );
    let place = |name: &str| table.variants.iter().position(|it| it.name == name);
    let yardstick = place(table.yardstick).unwrap_or_default();
    for (index, variant) in table.variants.iter().enumerate() {
        let cells = columns.iter().map(|micros| {
            let control = &micros[0];
            let added = |own: &[f64]| -> Vec<f64> {
                own.iter()
                    .zip(control)
                    .map(|(own, control)| own - control)
                    .collect()
            };
            let (low, middle, high) = quartiles(added(&micros[index]));
            if index == 0 {
                let (_, absolute, _) = quartiles(control.clone());
                return format!("{absolute:.1} µs");
            }
            let (_, unit, _) = quartiles(added(&micros[yardstick]));
            format!(
                "{middle:+.1} µs [{low:+.1}, {high:+.1}] = {:.2}",
                middle / unit
            )
        });
        let cells: Vec<String> = cells.collect();
        text.push_str(&format!("| {} | {} |\n", variant.name, cells.join(" | ")));
    }
    text
}

/// Keeps Envoy on one core, and the load on the same or on another.
fn pin(envoy: &Envoy, generator: Generator) -> Result<()> {
    let own = match generator {
        Generator::SameCore => "0",
        Generator::OtherCore => "1",
    };
    for (core, process) in [("0", envoy.pid()), (own, std::process::id())] {
        let pinned = Command::new("taskset")
            .args(["-acp", core, &process.to_string()])
            .output()
            .context("taskset is needed, of util-linux")?;
        ensure!(pinned.status.success(), "{pinned:?}");
    }
    Ok(())
}
