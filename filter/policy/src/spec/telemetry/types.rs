//! `telemetry` as types.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::spec::native_types::{Fraction, api};

api! {
    /// `telemetry`.
    Telemetry { metrics: Option<Metrics>, tracing: Option<Tracing> }
}

api! {
    /// `telemetry.metrics`.
    Metrics { route_stat_name: Option<String> }
}

api! {
    /// `telemetry.tracing`.
    Tracing {
        sampling_fraction: Option<Fraction>,
        client_sampling_fraction: Option<Fraction>,
        overall_sampling_fraction: Option<Fraction>,
        span_name: Option<SpanName>,
        tags: BTreeMap<String, String>,
        custom_tags: BTreeMap<String, CustomTag>,
    }
}

api! {
    /// `tracing.spanName`.
    SpanName { client: String, server: String }
}

/// A tag, from the source that `kind` names.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct CustomTag {
    #[serde(rename = "type")]
    pub kind: CustomTagType,
    pub literal: Option<LiteralTag>,
    pub environment: Option<NamedTag>,
    pub request_header: Option<NamedTag>,
}

/// Where a tag's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum CustomTagType {
    Literal,
    Environment,
    RequestHeader,
}

api! {
    /// A value as it is.
    LiteralTag { value: String }
}

api! {
    /// The name of a variable or header.
    NamedTag { name: String, default_value: Option<String> }
}
