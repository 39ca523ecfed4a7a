//! The fields that Envoy enforces by its own configuration, as types.
//!
//! The command line tool makes Envoy configuration of them; the filter knows
//! them by name only. [`crate::spec::check_native`] says what is wrong with
//! them; a `spec` it has nothing to say about can be read into these.

pub use super::admission_control::*;
pub use super::bandwidth_limit::*;
pub use super::circuit_breaker::*;
pub use super::compression::*;
pub use super::connection::*;
pub use super::dns::*;
pub use super::health_check::*;
pub use super::http_upgrade::*;
pub use super::http2::*;
pub use super::load_balancer::*;
pub use super::native_types::{Fraction, Nothing};
pub use super::proxy_protocol::*;
pub use super::rate_limit::{Cost, GlobalLimit, GlobalRule, MetadataKey};
pub use super::routing::*;
pub use super::session_persistence::*;
pub use super::tcp_keepalive::*;
pub use super::telemetry::*;
pub use super::timeout::*;

use serde::Deserialize;

use super::schema::owner_of;
use crate::node::{Node, Value};
use crate::owner::Owner;

/// The native fields of one `spec`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are named as in `spec`")]
pub struct Native {
    pub routing_type: Option<RoutingType>,
    pub use_client_protocol: Option<bool>,
    pub circuit_breaker: Option<CircuitBreaker>,
    pub health_check: Option<HealthCheck>,
    pub timeout: Option<Timeout>,
    pub load_balancer: Option<LoadBalancer>,
    pub session_persistence: Option<SessionPersistence>,
    pub admission_control: Option<AdmissionControl>,
    pub bandwidth_limit: Option<BandwidthLimit>,
    pub compression: Vec<Compression>,
    pub compressor: Vec<Compression>,
    pub http_upgrade: Vec<HttpUpgrade>,
    pub telemetry: Option<Telemetry>,
    pub connection: Option<Connection>,
    pub dns: Option<Dns>,
    pub http2: Option<Http2>,
    pub proxy_protocol: Option<ProxyProtocol>,
    pub tcp_keepalive: Option<TcpKeepalive>,
}

impl Native {
    /// Reads the native fields of a `spec`.
    ///
    /// # Errors
    /// Something is wrong with them, which `check_native` says better.
    pub fn read(spec: &Node) -> Result<Self, serde_json::Error> {
        let mut fields = serde_json::Map::new();
        if let Value::Map(entries) = &spec.value {
            for entry in entries {
                if owner_of(&entry.key).is_some_and(Owner::is_native) {
                    fields.insert(entry.key.clone(), without_nulls(&entry.node));
                }
            }
        }
        fields.retain(|_, value| !value.is_null());
        serde_json::from_value(fields.into())
    }
}

/// `null` stands for "left out" everywhere.
fn without_nulls(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .filter(|entry| entry.node.value != Value::Null)
            .map(|entry| (entry.key.clone(), without_nulls(&entry.node)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::List(items) => items.iter().map(without_nulls).collect(),
        _ => serde_json::to_value(node).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
