//! `bandwidthLimit` as types.

use serde::Deserialize;

use crate::scalar::Quantity;
use crate::spec::native_types::api;

api! {
    /// `bandwidthLimit`.
    BandwidthLimit { request: Option<Direction>, response: Option<Direction> }
}

api! {
    /// One direction of `bandwidthLimit`; `limit` is required.
    Direction { limit: Option<Bandwidth>, response_trailers: Option<ResponseTrailers> }
}

/// Bytes per unit of time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct Bandwidth {
    pub value: Quantity,
    pub unit: BandwidthUnit,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum BandwidthUnit {
    Second,
    Minute,
    Hour,
}

api! {
    /// `bandwidthLimit.response.responseTrailers`.
    ResponseTrailers { prefix: Option<String> }
}
