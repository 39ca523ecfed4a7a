//! An example of a page, put into force on the pages' Envoy.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Example, example};
use crate::bootstrap::{read_yaml, visit};
use crate::native::{many, upstreams};
use crate::{Bootstrap, Envoy, Reply, Request, Upstream, repo};

/// The first of the ports that stand for upstreams in the pages' Envoy.
const FIRST_PORT: usize = 8081;

/// An example in force.
#[derive(Debug)]
pub struct Stage {
    /// `shop` has the first two, `notice` the third, `quotes` the fourth.
    pub upstreams: Vec<Upstream>,
    /// The Envoy that runs it.
    pub envoy: Envoy,
    /// Its configuration.
    pub config: Value,
}

impl Stage {
    /// Applies the example with this title, and starts Envoy.
    pub async fn set(address: &str, title: &str) -> Result<Self> {
        let example = example(address, title)?;
        let upstreams = upstreams(4).await?;
        let folder = tempfile::tempdir()?;
        place(folder.path(), &example, |port| {
            let index = port.checked_sub(FIRST_PORT)?;
            Some(upstreams.get(index)?.addr().port())
        })?;
        succeeded(&apply(folder.path())?)?;
        let out = folder.path().join("out.yaml");
        let bootstrap = Bootstrap::load(out)?;
        Ok(Self {
            envoy: Envoy::start(&bootstrap).await?,
            config: bootstrap.config().clone(),
            upstreams,
        })
    }

    /// The statuses that these requests get, one after the other.
    pub async fn statuses(&self, requests: &[Request]) -> Result<Vec<u16>> {
        let mut statuses = Vec::new();
        for request in requests {
            statuses.push(self.envoy.send(request.clone()).await?.status);
        }
        Ok(statuses)
    }

    /// How many requests the upstreams of `shop` have had.
    pub fn counts(&self) -> (usize, usize) {
        let count = |index: usize| self.upstreams[index].requests().len();
        (count(0), count(1))
    }

    /// All upstreams reply so to this path from now on.
    pub fn script(&self, path: &str, reply: &Reply) {
        for upstream in &self.upstreams {
            upstream.script(path, many(reply));
        }
    }

    /// The cluster that serves a route.
    pub fn cluster_of(&self, route: &str) -> Result<&Value> {
        let route = find(&self.config, &|it| {
            it["name"] == route && it["route"].is_object()
        });
        let name = &route.context("no such route")?["route"]["cluster"];
        let clusters = self.config["static_resources"]["clusters"].as_array();
        let found = clusters
            .into_iter()
            .flatten()
            .find(|it| it["name"] == *name);
        found.with_context(|| format!("no cluster {name}"))
    }
}

/// The first object, from the outside in, that is as wanted.
pub fn find<'a>(value: &'a Value, is_wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    if value.is_object() && is_wanted(value) {
        return Some(value);
    }
    match value {
        Value::Object(fields) => fields.values().find_map(|it| find(it, is_wanted)),
        Value::Array(items) => items.iter().find_map(|it| find(it, is_wanted)),
        _ => None,
    }
}

/// Puts an example and the pages' Envoy into a folder; `port` gives ports
/// that stand for others.
pub fn place(folder: &Path, example: &Example, port: impl Fn(usize) -> Option<u16>) -> Result<()> {
    let mut config = read_yaml(&repo::path("tests/pages/envoy.yaml"))?;
    visit(&mut config, &mut |it| {
        let written = it.get("port_value").and_then(Value::as_u64);
        let other = written.and_then(|it| port(usize::try_from(it).ok()?));
        if let Some(other) = other {
            it["port_value"] = other.into();
        }
    });
    fs::write(folder.join("envoy.json"), config.to_string())?;
    fs::write(folder.join("example.yaml"), &example.text)?;
    Ok(())
}

/// Runs `btp` in a folder.
pub fn btp(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(repo::cli()?);
    Ok(command.args(arguments).current_dir(folder).output()?)
}

/// Applies the example that was placed in a folder; for limits that Envoys share
/// there is a service, as a page of Envoy Gateway's takes it for granted.
pub fn apply(folder: &Path) -> Result<Output> {
    let arguments = ["--bootstrap", "envoy.json", "-f", "example.yaml"];
    let service = [
        "--rate-limit-service",
        "127.0.0.1:8085",
        "--rate-limit-config",
        "limits.yaml",
    ];
    btp(
        folder,
        &[&["apply", "-o", "out.yaml"], &arguments[..], &service].concat(),
    )
}

/// What a run printed.
pub fn succeeded(output: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
