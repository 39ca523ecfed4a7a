//! `proxyProtocol` as types.

use serde::Deserialize;

/// `proxyProtocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct ProxyProtocol {
    pub version: ProxyProtocolVersion,
}

/// `proxyProtocol.version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum ProxyProtocolVersion {
    V1,
    V2,
}
