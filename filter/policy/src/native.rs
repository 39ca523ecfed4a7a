//! The fields that Envoy enforces by its own configuration, as types.
//!
//! The command line tool makes Envoy configuration of them; the filter knows
//! them by name only. [`crate::schema::check_native`] says what is wrong with
//! them; a `spec` it has nothing to say about can be read into these.

mod balancing;
mod global_rate_limit;
mod health;
mod tracing;
mod traffic;

pub use balancing::*;
pub use global_rate_limit::*;
pub use health::*;
pub use tracing::*;
pub use traffic::*;

use serde::Deserialize;

use crate::node::{Node, Value};
use crate::scalar::Quantity;
use crate::spec::{Owner, owner_of};

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

/// `numerator` out of `denominator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct Fraction {
    pub numerator: u64,
    #[serde(default = "hundred")]
    pub denominator: u64,
}

fn hundred() -> u64 {
    100
}

/// An object without settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl Native {
    /// Reads the native fields of a `spec`.
    ///
    /// # Errors
    /// Something is wrong with them, which `check_native` says better.
    pub fn read(spec: &Node) -> Result<Self, serde_json::Error> {
        let mut fields = serde_json::Map::new();
        if let Value::Map(entries) = &spec.value {
            for entry in entries {
                if owner_of(&entry.key) == Some(Owner::Envoy) {
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

impl<'de> Deserialize<'de> for crate::scalar::Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("is no duration");
        Self::parse(&text).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self::new(number)),
            Written::Text(text) => {
                let wrong = || serde::de::Error::custom("is no quantity");
                Self::parse(&text).ok_or_else(wrong)
            }
        }
    }
}

#[cfg(test)]
mod tests;
