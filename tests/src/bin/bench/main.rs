//! What the filter costs, in both builds, beside Envoy without it, with filters that do
//! nothing and with Envoy's own for the same work. Writes the tables in
//! docs/PERFORMANCE.md, the plots and the raw numbers beside it.
//!
//! `bench [PART…] [--rounds N] [--smoke]`; without parts all of them. `--smoke` makes two
//! short rounds of each comparison and writes into a folder that goes away: it shows that
//! everything still runs, not what it costs.

mod backend;
mod clients;
mod costs;
mod cpu;
mod floors;
mod instances;
mod instructions;
mod latency;
mod limits;
mod load;
mod machine;
mod memory;
mod open_loop;
mod output;
mod replays;
mod scale;
mod setup;
mod traffic;
mod variants;

use anyhow::{Context, Result, bail};

use output::Output;
use setup::Setup;

const PARTS: [&str; 7] = [
    "cpu",
    "instructions",
    "latency",
    "memory",
    "scale",
    "limits",
    "instances",
];

/// One thread: what generates load may share a core with Envoy, and must not disturb it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (parts, setup) = arguments()?;
    let output = Output::open(&setup)?;
    for part in PARTS {
        if !parts.is_empty() && !parts.iter().any(|it| it == part) {
            continue;
        }
        println!("== {part}");
        match part {
            "cpu" => cpu::run(&setup, &output).await?,
            "instructions" => instructions::run(&setup, &output).await?,
            "latency" => latency::run(&setup, &output).await?,
            "memory" => memory::run(&setup, &output).await?,
            "scale" => scale::run(&setup, &output).await?,
            "limits" => limits::run(&setup, &output).await?,
            _ => instances::run(&setup, &output).await?,
        }
    }
    Ok(())
}

fn arguments() -> Result<(Vec<String>, Setup)> {
    let mut parts = Vec::new();
    let mut setup = Setup::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--smoke" => setup.is_smoke = true,
            "--rounds" => {
                let rounds = arguments.next().context("--rounds needs a number")?;
                setup.rounds = Some(rounds.parse().context("--rounds needs a number")?);
            }
            part if PARTS.contains(&part) => parts.push(argument),
            other => bail!("{other:?} is none of {PARTS:?}"),
        }
    }
    Ok((parts, setup))
}
