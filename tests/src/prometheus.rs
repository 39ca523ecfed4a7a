//! A Prometheus of a test's own, with the shipped rules and relabelling, that scrapes one
//! Envoy.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bootstrap::read_yaml;
use crate::client::h1;
use crate::envoy::free_port;
use crate::percent;
use crate::process::Process;
use crate::{Envoy, repo, wait};

/// What `docker compose --profile observe` has it read.
pub const CONFIG: &str = "envoy/observe/prometheus.yaml";

const START: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;
const INTERVAL: &str = "1s";

/// A running Prometheus; killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    address: SocketAddr,
    _data: TempDir,
}

/// One series of an answer at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// All labels, its name among them.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Prometheus {
    /// Starts it; it scrapes this Envoy every second.
    pub async fn start(envoy: &Envoy) -> Result<Self> {
        let data = TempDir::new()?;
        let config = data.path().join("prometheus.json");
        fs::write(&config, configuration(envoy.admin_addr())?.to_string())?;
        let mut attempt = 1;
        loop {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let mut command = Command::new(repo::prometheus()?);
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", data.path().display()))
                .arg(format!("--web.listen-address={address}"))
                .arg("--log.level=warn");
            match serving(command, address).await {
                Ok(process) => {
                    return Ok(Self {
                        process,
                        address,
                        _data: data,
                    });
                }
                // Somebody else may have taken the port meanwhile.
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// What an expression yields now, or at a time in seconds since 1970.
    pub async fn query(&self, expression: &str, at: Option<f64>) -> Result<Vec<Sample>> {
        let mut path = format!("/api/v1/query?query={}", percent::encode(expression));
        if let Some(at) = at {
            path += &format!("&time={at:.3}");
        }
        let data = self.ask(&path).await?;
        let series = data["result"].as_array().context("no list of series")?;
        series.iter().map(sample).collect()
    }

    /// What an expression, which must yield one series at most, yields second by second; 0
    /// where it yields none.
    pub async fn seconds(&self, expression: &str, from: f64, to: f64) -> Result<Vec<f64>> {
        let mut values = Vec::new();
        let mut at = from;
        while at <= to {
            let found = self.query(expression, Some(at)).await?;
            ensure!(found.len() <= 1, "{expression}: {found:?}");
            values.push(found.first().map_or(0.0, |sample| sample.value));
            at += 1.0;
        }
        Ok(values)
    }

    /// The values of a label among the series that a selector matches.
    pub async fn label_values(&self, label: &str, selector: &str) -> Result<Vec<String>> {
        let selector = percent::encode(selector);
        let path = format!("/api/v1/label/{label}/values?match%5B%5D={selector}");
        Ok(serde_json::from_value(self.ask(&path).await?)?)
    }

    /// When it scraped Envoy last, in seconds since 1970.
    pub async fn last_scrape(&self) -> Result<Option<f64>> {
        let found = self.query("timestamp(envoy_server_live)", None).await?;
        Ok(found.first().map(|sample| sample.value))
    }

    /// Waits for so many further scrapes, and yields the time of the last one.
    pub async fn scrapes_again(&self, times: usize) -> Result<f64> {
        let mut last = self.last_scrape().await?;
        for _ in 0..times {
            last = Some(
                wait::until_async("another scrape", START, async || {
                    let found = self.last_scrape().await?;
                    Ok(found.filter(|_| found != last))
                })
                .await
                .with_context(|| self.process.log())?,
            );
        }
        last.context("there was no scrape")
    }

    async fn ask(&self, path: &str) -> Result<Value> {
        let mut answer = h1::get(self.address, path).await?.json()?;
        ensure!(answer["status"] == "success", "{path}: {answer}");
        Ok(answer["data"].take())
    }
}

/// The shipped one, for this Envoy, and often enough for a test.
fn configuration(envoy: SocketAddr) -> Result<Value> {
    let file = repo::path(CONFIG);
    let mut config = read_yaml(&file)?;
    config["global"] = json!({"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL});
    let folder = file.parent().context("has a folder")?;
    let rules = config["rule_files"].as_array_mut().context("has rules")?;
    for rule in rules {
        let name = rule.as_str().context("is a name")?;
        *rule = folder.join(name).display().to_string().into();
    }
    config["scrape_configs"][0]["static_configs"] = json!([{"targets": [envoy.to_string()]}]);
    Ok(config)
}

async fn serving(command: Command, address: SocketAddr) -> Result<Process> {
    let mut process = Process::spawn("Prometheus", command)?;
    wait::until_async("Prometheus", START, async || {
        if let Some(status) = process.exited()? {
            bail!("Prometheus ended ({status}):\n{}", process.log());
        }
        let ready = h1::get(address, "/-/ready").await;
        Ok(ready.is_ok_and(|it| it.status == 200).then_some(()))
    })
    .await?;
    Ok(process)
}

fn sample(series: &Value) -> Result<Sample> {
    let value = series["value"][1].as_str().context("has a value")?;
    Ok(Sample {
        labels: serde_json::from_value(series["metric"].clone())?,
        value: value.parse()?,
    })
}
