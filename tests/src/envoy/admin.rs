//! What Envoy's admin interface knows: stats, listeners, readiness.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regex_lite::Regex;
use serde_json::Value;
use tokio::time::sleep;

use super::Envoy;
use crate::build::{self, Build};
use crate::client::{Request, Response, h1};
use crate::percent;

impl Envoy {
    /// GETs a path of the admin interface; anything but 200 is an error.
    pub async fn admin_get(&self, path: &str) -> Result<String> {
        if path.starts_with("/stats") {
            is_shown().await?;
        }
        ok(h1::get(self.admin, path).await?)
    }

    /// POSTs to a path of the admin interface; anything but 200 is an error.
    pub async fn admin_post(&self, path: &str) -> Result<String> {
        ok(h1::send(self.admin, Request::new("POST", path)).await?)
    }

    /// The value of a counter or gauge, if it exists.
    pub async fn stat(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.stats_matching(&exactly(name)).await?.remove(name))
    }

    /// The same, by the name that it has in this Envoy, whichever build it runs.
    pub async fn own_stat(&self, name: &str) -> Result<Option<u64>> {
        is_shown().await?;
        Ok(own_stats(self.admin, &exactly(name)).await?.remove(name))
    }

    /// A cluster as it is in force.
    pub async fn cluster(&self, name: &str) -> Result<Value> {
        let dump = self
            .admin_get("/config_dump?resource=static_clusters")
            .await?;
        let dump: Value = serde_json::from_str(&dump)?;
        let clusters = dump["configs"].as_array().into_iter().flatten();
        let mut clusters = clusters.map(|it| &it["cluster"]);
        let found = clusters.find(|it| it["name"] == name);
        Ok(found
            .with_context(|| format!("no cluster {name:?}"))?
            .clone())
    }

    /// All counters and gauges whose name matches a regular expression; those of the
    /// filter have the names of the .wasm, whichever build it is.
    pub async fn stats_matching(&self, regex: &str) -> Result<BTreeMap<String, u64>> {
        stats_matching(self.admin, regex).await
    }
}

/// [`Envoy::stats_matching`] by an admin interface's address.
pub(super) async fn stats_matching(
    admin: SocketAddr,
    regex: &str,
) -> Result<BTreeMap<String, u64>> {
    let mut found = own_stats(admin, regex).await?;
    if Build::under_test()? == Build::Module {
        is_shown().await?;
        let ours = own_stats(admin, r"dynamicmodulescustom\.").await?;
        let regex = Regex::new(regex)?;
        found.retain(|name, _| build::in_wasm(name).is_none());
        for (name, value) in ours {
            if let Some(name) = build::in_wasm(&name).filter(|it| regex.is_match(it)) {
                *found.entry(name).or_default() += value;
            }
        }
    }
    Ok(found)
}

/// Waits until the module shows what it has counted so far: it takes 50 ms for that, and
/// the machine may be busy.
pub(super) async fn module_shows() {
    sleep(Duration::from_millis(150)).await;
}

/// The same where the module is the build under test.
pub(super) async fn is_shown() -> Result<()> {
    if Build::under_test()? == Build::Module {
        module_shows().await;
    }
    Ok(())
}

async fn own_stats(admin: SocketAddr, regex: &str) -> Result<BTreeMap<String, u64>> {
    let path = format!("/stats?filter={}", percent::encode(regex));
    Ok(numbers(&ok(h1::get(admin, &path).await?)?))
}

/// A regular expression for this name and no other.
fn exactly(name: &str) -> String {
    let mut regex = String::from("^");
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() && c != '_' {
            regex.push('\\');
        }
        regex.push(c);
    }
    regex.push('$');
    regex
}

/// Whether Envoy serves: a connection refused is just too early.
pub(super) async fn is_live(admin: SocketAddr) -> bool {
    matches!(h1::get(admin, "/ready").await, Ok(ready) if ready.status == 200)
}

/// The listeners with an IP address, in the order of the configuration.
pub(super) async fn listeners(admin: SocketAddr) -> Result<Vec<(String, SocketAddr)>> {
    let listing = h1::get(admin, "/listeners?format=json").await?.json()?;
    let listeners = listing["listener_statuses"].as_array();
    listeners
        .into_iter()
        .flatten()
        .filter_map(|listener| {
            let socket = listener["local_address"].get("socket_address")?;
            Some((listener, socket))
        })
        .map(|(listener, socket)| {
            let name = listener["name"].as_str().unwrap_or_default().to_string();
            let addr = socket_addr(socket).with_context(|| format!("no address in {listener}"))?;
            Ok((name, addr))
        })
        .collect()
}

fn socket_addr(socket: &Value) -> Option<SocketAddr> {
    let ip = socket["address"].as_str()?.parse().ok()?;
    let port = socket["port_value"].as_u64()?.try_into().ok()?;
    Some(SocketAddr::new(ip, port))
}

fn ok(response: Response) -> Result<String> {
    ensure!(
        response.status == 200,
        "the admin interface says {}: {}",
        response.status,
        response.text()
    );
    Ok(response.text())
}

/// Lines of `name: value`; histograms and text readouts are left out.
fn numbers(listing: &str) -> BTreeMap<String, u64> {
    listing
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .filter_map(|(name, value)| Some((name.to_string(), value.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_only() {
        let listing = "a.b: 1\na::c: 22\nh: P0(nan,1) P25(nan,2)\nt: \"text\"\n";
        let expected = [("a.b".to_string(), 1), ("a::c".to_string(), 22)];
        assert_eq!(numbers(listing), expected.into());
    }
}
