//! `loadBalancer` as types.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::scalar::Duration;
use crate::spec::native_types::api;

/// `loadBalancer`; exactly the settings that `kind` names are there.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct LoadBalancer {
    #[serde(rename = "type")]
    pub kind: LoadBalancerType,
    pub consistent_hash: Option<ConsistentHash>,
    pub backend_utilization: Option<BackendUtilization>,
    pub dynamic_module: Option<DynamicModule>,
    pub endpoint_override: Option<EndpointOverride>,
    pub least_request: Option<LeastRequest>,
    pub slow_start: Option<SlowStart>,
    pub zone_aware: Option<ZoneAware>,
}

/// `loadBalancer.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum LoadBalancerType {
    ConsistentHash,
    LeastRequest,
    Random,
    RoundRobin,
    BackendUtilization,
    DynamicModule,
}

api! {
    /// `loadBalancer.leastRequest`, an extension.
    LeastRequest { choice_count: Option<u32> }
}

/// `loadBalancer.consistentHash`; exactly the input that `kind` names is
/// there.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct ConsistentHash {
    #[serde(rename = "type")]
    pub kind: ConsistentHashType,
    pub header: Option<Name>,
    #[serde(default)]
    pub headers: Vec<Name>,
    pub cookie: Option<HashCookie>,
    #[serde(default)]
    pub query_params: Vec<Name>,
    pub table_size: Option<u64>,
}

/// What is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum ConsistentHashType {
    #[serde(rename = "SourceIP")]
    SourceIp,
    Header,
    Headers,
    Cookie,
    QueryParams,
}

api! {
    /// The name of a header or query parameter.
    Name { name: String }
}

api! {
    /// `consistentHash.cookie`.
    HashCookie {
        name: String,
        ttl: Option<Duration>,
        attributes: BTreeMap<String, String>,
    }
}

api! {
    /// `loadBalancer.backendUtilization`.
    BackendUtilization {
        blackout_period: Option<Duration>,
        error_utilization_penalty_percent: Option<u32>,
        keep_response_headers: bool,
        metric_names_for_computing_utilization: Vec<String>,
        out_of_band: Option<OutOfBand>,
        weight_expiration_period: Option<Duration>,
        weight_update_period: Option<Duration>,
    }
}

api! {
    /// `backendUtilization.outOfBand`.
    OutOfBand {
        authority: Option<String>,
        port: Option<u16>,
        reporting_period: Option<Duration>,
    }
}

api! {
    /// `loadBalancer.dynamicModule`.
    DynamicModule {
        name: String,
        lb_policy_name: String,
        config: Option<serde_json::Value>,
    }
}

api! {
    /// `loadBalancer.endpointOverride`.
    EndpointOverride { extract_from: Vec<ExtractFrom> }
}

api! {
    /// `endpointOverride.extractFrom[]`.
    ExtractFrom { header: Option<String> }
}

api! {
    /// `loadBalancer.slowStart`.
    SlowStart { window: Duration }
}

api! {
    /// `loadBalancer.zoneAware`.
    ZoneAware { prefer_local: Option<PreferLocal>, weighted_zones: Vec<WeightedZone> }
}

api! {
    /// `zoneAware.preferLocal`.
    PreferLocal {
        force: Option<ForceLocal>,
        min_endpoints_threshold: Option<u64>,
        percentage_enabled: Option<u8>,
    }
}

api! {
    /// `preferLocal.force`.
    ForceLocal { min_endpoints_in_zone_threshold: Option<u32> }
}

api! {
    /// `zoneAware.weightedZones[]`.
    WeightedZone { zone: String, weight: u32 }
}
