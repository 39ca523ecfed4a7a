//! `routingType` as types.

use serde::Deserialize;

/// `routingType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum RoutingType {
    Service,
    Endpoint,
}
