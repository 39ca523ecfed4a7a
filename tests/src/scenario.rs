//! Scenario tables: one JSON file per capability, one row per exchange.
//!
//! The same tables run against the engine in memory, against a real Envoy
//! ([`run_table_on_envoy`]) and against one that already serves
//! ([`run_table_against`]), and must come out the same.
//!
//! The first segment of a path names the route. Each of a table's `routes` is
//! an Envoy route of that name to the scripted upstream; `/direct/` is answered
//! by Envoy (418, "teapot"), `/down/` goes to a host that refuses connections,
//! any other path has no route.

mod check;
mod run;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

pub use check::{Observed, check};
pub use run::{Failures, Report, run_table_against, run_table_on_envoy, try_table_on_envoy};

/// A plugin configuration and what should come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    /// Name of the capability.
    pub name: String,
    /// Names of the routes to the upstream.
    pub routes: Vec<String>,
    /// The clusters of routes that do not send to `backend`.
    #[serde(default)]
    pub clusters: BTreeMap<String, ClusterSpec>,
    /// The plugin configuration.
    pub config: Value,
    /// The rows, which run in order.
    pub scenarios: Vec<Scenario>,
}

/// A cluster to the upstream.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Its name.
    pub name: String,
    /// `filter_metadata.btp.backends`: the Services that it stands for.
    #[serde(default)]
    pub backends: Vec<String>,
}

/// One exchange.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// What this row shows.
    pub name: String,
    /// How the client speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// What it sends.
    pub request: RequestSpec,
    /// What must come back.
    pub expect: Expect,
}

/// Protocol of the client; the upstream is spoken to in HTTP/1, for gRPC in
/// HTTP/2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1
    #[default]
    Http1,
    /// HTTP/2
    Http2,
    /// A unary gRPC call; the request's body is its message.
    Grpc,
}

/// A request as a table writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestSpec {
    /// Method; gRPC always POSTs.
    #[serde(default = "get")]
    pub method: String,
    /// Path with query.
    pub path: String,
    /// The host that it names; the one it goes to otherwise.
    pub host: Option<String>,
    /// Headers in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
    /// Instead of `body`: so many bytes of `x`.
    pub body_bytes: Option<usize>,
    /// The body's length is not announced.
    #[serde(default)]
    pub chunked: bool,
}

/// What must come back; what is left out is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// HTTP status.
    pub status: Option<u16>,
    /// The whole body; of a gRPC reply its messages, one after another.
    pub body: Option<String>,
    /// A part of the body.
    pub body_contains: Option<String>,
    /// Headers that are there with this value, or (`null`) are not there.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// The response's headers do not come before this time.
    pub min_delay_ms: Option<u64>,
    /// The response's headers come before this time.
    pub max_delay_ms: Option<u64>,
    /// Number of requests the upstream saw.
    pub upstream_requests: Option<usize>,
    /// gRPC status.
    pub grpc_status: Option<u32>,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub details: Option<String>,
    /// What the access log says of decisions; `-` if nothing.
    pub decision: Option<String>,
}

impl Table {
    /// Reads a table.
    pub fn load(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parsing {}", file.display()))
    }
}

impl RequestSpec {
    /// The body's bytes.
    pub fn body_data(&self) -> Vec<u8> {
        match (&self.body, self.body_bytes) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(count)) => vec![b'x'; count],
            (None, None) => Vec::new(),
        }
    }
}

fn get() -> String {
    "GET".into()
}
