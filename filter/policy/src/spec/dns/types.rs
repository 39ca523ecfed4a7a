//! `dns` as types.

use serde::Deserialize;

use crate::scalar::Duration;
use crate::spec::native_types::api;

api! {
    /// `dns`.
    Dns {
        dns_refresh_rate: Option<Duration>,
        respect_dns_ttl: Option<bool>,
        lookup_family: Option<LookupFamily>,
    }
}

/// `dns.lookupFamily`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum LookupFamily {
    #[serde(rename = "IPv4")]
    V4,
    #[serde(rename = "IPv6")]
    V6,
    #[serde(rename = "IPv4Preferred")]
    V4Preferred,
    #[serde(rename = "IPv6Preferred")]
    V6Preferred,
    #[serde(rename = "IPv4AndIPv6")]
    Both,
}
