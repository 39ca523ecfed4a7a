//! What panels of the dashboard show in a storm, drawn without Grafana: a Prometheus scrapes
//! the Envoy of `examples/retry-storm`, and the panels' own queries are asked second by
//! second. Writes docs/observe/storm.svg.

use std::fs;

use anyhow::{Context, Result};
use btp_tests::dashboard::Dashboard;
use btp_tests::plot::{Lines, Series, palette};
use btp_tests::storm::{self, Parts};
use btp_tests::{Prometheus, repo};

const PLOT: &str = "docs/observe/storm.svg";
const PARTS: Parts = Parts {
    before: 15,
    storm: 15,
    after: 15,
};

/// As Grafana has it for a scrape each second.
const RATE_INTERVAL: &str = "4s";

/// A line: a panel, the letter of its query, its name here.
const SHOWN: [(&str, &str, &str, palette::Color); 3] = [
    ("Let pass", "A", "let pass", palette::GREENS[1]),
    (
        "Too many in flight",
        "A",
        "too many in flight",
        palette::RED,
    ),
    ("In flight", "A", "in flight now", palette::BLUE),
];

/// The policy of the example that the storm is for.
const POLICY: &str = "places-by-class";

#[tokio::main]
async fn main() -> Result<()> {
    let (envoy, _backend) = storm::start().await?;
    let prometheus = Prometheus::start(&envoy).await?;
    let from = prometheus.scrapes_again(5).await?;
    storm::seconds(envoy.addr(), "classes", PARTS).await?;
    let to = prometheus.scrapes_again(2).await?;
    envoy.assert_vm_alive().await?;

    let board = Dashboard::load()?;
    let mut lines = Vec::new();
    for (panel, letter, name, color) in SHOWN {
        let query = board
            .queries()
            .find(|it| it.panel == panel && it.letter == letter);
        let query = query.with_context(|| format!("no panel {panel}"))?;
        let expression = board.substituted(query.expression, RATE_INTERVAL, &[("policy", POLICY)]);
        let values = prometheus.seconds(&expression, from, to).await?;
        lines.push((Series { name, color }, values));
    }
    let plot = Lines {
        title: "Panels \"Let pass\", \"Too many in flight\" and \"In flight\" in a storm"
            .to_owned(),
        subtitle: "Drawn by the tests from the dashboard's queries, not by Grafana. \
                   examples/retry-storm: 15 requests a second, 105 in the storm."
            .to_owned(),
        time: "seconds".to_owned(),
        axis: "requests a second; requests in flight".to_owned(),
        lines,
        marks: vec![
            (f64::from(PARTS.before), "storm".to_owned()),
            (
                f64::from(PARTS.before + PARTS.storm),
                "it is over".to_owned(),
            ),
        ],
    };
    let file = repo::path(PLOT);
    fs::create_dir_all(file.parent().context("is in a folder")?)?;
    Ok(fs::write(file, plot.draw()?)?)
}
