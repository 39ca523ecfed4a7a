//! Which clients are served in a storm, with classes of `concurrency` and without: the two
//! routes of
//! docs/compare; `load_shedding plot` draws the plot of the raw numbers that are there.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use btp_tests::plot::{Lines, Series, palette};
use btp_tests::repo;
use btp_tests::storm::{self, Parts, Second};

const RAW: &str = "docs/compare/load-shedding.csv";
const PLOT: &str = "docs/compare/load-shedding.svg";
const HEAD: &str = "second,paying with classes,batch with classes,paying without,batch without,\
    batch sent";
const PARTS: Parts = Parts {
    before: 5,
    storm: 10,
    after: 10,
};

#[tokio::main]
async fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() != Some("plot") {
        fs::write(repo::path(RAW), run().await?)?;
    }
    let raw = fs::read_to_string(repo::path(RAW))?;
    Ok(fs::write(repo::path(PLOT), plot(&raw)?)?)
}

async fn run() -> Result<String> {
    // An Envoy for each: neither takes CPU time that the other needs.
    let (with, without) = (storm::start().await?, storm::start().await?);
    let (by_class, alike) = tokio::join!(
        storm::seconds(with.0.addr(), "classes", PARTS),
        storm::seconds(without.0.addr(), "places", PARTS),
    );
    for (envoy, _) in [with, without] {
        envoy.assert_vm_alive().await?;
    }
    raw(&by_class?, &alike?)
}

fn raw(by_class: &[Second], alike: &[Second]) -> Result<String> {
    let mut raw = format!("{HEAD}\n");
    for (second, (with, without)) in by_class.iter().zip(alike).enumerate() {
        let (paying, batch) = (without.paying, without.batch);
        let sent = with.batch_sent;
        writeln!(
            raw,
            "{second},{},{},{paying},{batch},{sent}",
            with.paying, with.batch
        )?;
    }
    Ok(raw)
}

fn plot(raw: &str) -> Result<String> {
    let [dark, _, light] = palette::GREENS;
    let mut lines: Vec<(Series, Vec<f64>)> = [
        ("paying, with classes", dark),
        ("batch, with classes", light),
        ("paying, without", palette::RED),
        ("batch, without", palette::ORANGE),
    ]
    .map(|(name, color)| (Series { name, color }, Vec::new()))
    .into();
    for row in raw.lines().skip(1) {
        let values = row.split(',').skip(1);
        for ((_, line), value) in lines.iter_mut().zip(values) {
            line.push(value.parse().with_context(|| row.to_owned())?);
        }
    }
    let (begin, end) = (PARTS.before, PARTS.before + PARTS.storm);
    Lines {
        title: "Who is served in a storm".to_owned(),
        subtitle: "The backend serves 25 requests a second, 10 at a time. Paying clients send \
                   5 a second; classes reserve 6 of the 10 places for them."
            .to_owned(),
        time: "seconds".to_owned(),
        axis: "requests served, of those sent in a second".to_owned(),
        lines,
        marks: vec![
            (begin.into(), "batch: 100 a second".to_owned()),
            (end.into(), "batch: 10 a second".to_owned()),
        ],
    }
    .draw()
}
