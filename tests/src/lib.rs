//! The test harness: a real Envoy, scripted upstreams and clients.
//!
//! A test builds or loads a [`Bootstrap`], starts an [`Upstream`] and an
//! [`Envoy`], talks through one of the [`client`]s and asserts on what came
//! back, on what the upstream saw and on Envoy's stats and log. Everything
//! listens on ports the system chose, so tests run in parallel.

pub mod apply;
pub mod body;
pub mod bootstrap;
pub mod build;
pub mod bulk;
pub mod client;
pub mod counts;
pub mod crashing_filter;
pub mod dashboard;
pub mod demo;
pub mod envoy;
pub mod fleet;
pub mod half_open;
pub mod hostile;
pub mod known_load;
pub mod load;
pub mod measure;
pub mod module;
pub mod native;
pub mod page;
pub mod pages;
pub mod percent;
pub mod plot;
mod process;
pub mod prometheus;
pub mod rate_limit_service;
pub mod readme;
pub mod replay;
pub mod repo;
pub mod scenario;
pub mod scene;
pub mod series;
pub mod setup;
pub mod storm;
pub mod terminal;
pub mod trace;
pub mod upstream;
pub mod versions;
pub mod wait;
pub mod watched;

pub use body::Body;
pub use bootstrap::{Bootstrap, Builder, EcdsFile, Route};
pub use build::Build;
pub use client::{Request, Response};
pub use crashing_filter::CrashingFilter;
pub use envoy::{Envoy, SameNames};
pub use fleet::Fleet;
pub use prometheus::Prometheus;
pub use rate_limit_service::{RateLimitService, Redis};
pub use upstream::{Reply, Upstream};

/// Header or trailer fields in the order they were sent. Values are bytes:
/// HTTP does not promise UTF-8.
pub type Fields = Vec<(String, Vec<u8>)>;

/// The first value of the field `name`, as text (lossy where it is not UTF-8).
pub fn field(fields: &Fields, name: &str) -> Option<String> {
    fields
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

/// All values of the field `name`.
pub fn field_values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    fields
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
        .collect()
}

fn from_header_map(map: &http::HeaderMap) -> Fields {
    map.iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}

fn to_header_map(fields: &Fields) -> anyhow::Result<http::HeaderMap> {
    let mut map = http::HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        map.append(
            http::HeaderName::from_bytes(name.as_bytes())?,
            http::HeaderValue::from_bytes(value)?,
        );
    }
    Ok(map)
}
