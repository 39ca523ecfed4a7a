//! What many tests begin with: an Envoy with one policy in front of one
//! upstream.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{Builder, Envoy, Route, Upstream};

impl Builder {
    /// Sends what no route so far takes to `upstream`, the cluster `backend`.
    pub fn backend(self, upstream: &Upstream) -> Self {
        self.route(Route::cluster("/", "backend"))
            .cluster("backend", upstream.addr())
    }
}

impl Envoy {
    /// A statistic of the policy `default/p`; 0 before it is there.
    pub async fn policy_stat(&self, name: &str) -> Result<u64> {
        let name = format!("wasmcustom.btp.default.p.{name}");
        Ok(self.stat(&name).await?.unwrap_or(0))
    }
}

/// The plugin configuration of a policy `p` with this `requestBuffer`.
pub fn body_policy(buffer: &Value) -> Value {
    json!({
        "policies": [{"metadata": {"name": "p"}, "spec": {"requestBuffer": buffer}}],
        "allowOnHeadersStopIteration": true,
    })
}

/// A configuration with the filter under [`body_policy`].
pub fn limiting_bodies(buffer: &Value) -> Builder {
    let plugin = body_policy(buffer);
    Builder::new().plugin(&plugin).stop_iteration(true)
}

/// Starts an upstream, and an Envoy in front of it.
pub async fn start(builder: Builder) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let envoy = Envoy::start(&builder.backend(&upstream).build()?).await?;
    Ok((envoy, upstream))
}
