//! Connections, timeouts, limits and what is done to the traffic.

use serde::Deserialize;

use super::{Fraction, Nothing};
use crate::scalar::{Duration, Quantity};

macro_rules! api {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
        #[expect(missing_docs, reason = "the fields are named as in the API")]
        pub struct $name {
            $(pub $field: $type,)*
        }
    };
}
pub(super) use api;

/// `routingType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum RoutingType {
    Service,
    Endpoint,
}

api! {
    /// `circuitBreaker`.
    CircuitBreaker {
        max_connections: Option<u32>,
        max_pending_requests: Option<u32>,
        max_parallel_requests: Option<u32>,
        max_parallel_retries: Option<u32>,
        max_requests_per_connection: Option<u32>,
        per_endpoint: Option<PerEndpoint>,
        retry_budget: Option<RetryBudget>,
    }
}

api! {
    /// `circuitBreaker.perEndpoint`.
    PerEndpoint { max_connections: Option<u32> }
}

api! {
    /// `circuitBreaker.retryBudget`; `percent` is required.
    RetryBudget { percent: Option<Fraction>, min_retry_concurrency: Option<u32> }
}

api! {
    /// `timeout`.
    Timeout { http: Option<HttpTimeout>, tcp: Option<TcpTimeout> }
}

api! {
    /// `timeout.http`.
    HttpTimeout {
        connection_idle_timeout: Option<Duration>,
        max_connection_duration: Option<Duration>,
        max_stream_duration: Option<Duration>,
        request_timeout: Option<Duration>,
        stream_idle_timeout: Option<Duration>,
    }
}

api! {
    /// `timeout.tcp`.
    TcpTimeout { connect_timeout: Option<Duration> }
}

api! {
    /// `admissionControl`.
    AdmissionControl {
        max_rejection_percent: Option<u8>,
        min_request_rate: Option<u64>,
        min_success_rate: Option<u8>,
        rejection_aggression: Option<u64>,
        sampling_window: Option<Duration>,
        success_criteria: Option<SuccessCriteria>,
    }
}

api! {
    /// `admissionControl.successCriteria`.
    SuccessCriteria { http: Option<HttpCriteria>, grpc: Option<GrpcCriteria> }
}

api! {
    /// `successCriteria.http`.
    HttpCriteria { status_codes: Vec<u16> }
}

api! {
    /// `successCriteria.grpc`, by the names of gRPC's statuses.
    GrpcCriteria { status_codes: Vec<String> }
}

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

/// An item of `compression` or `compressor`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct Compression {
    #[serde(rename = "type")]
    pub kind: CompressionType,
    pub gzip: Option<Nothing>,
    pub brotli: Option<Nothing>,
    pub zstd: Option<Nothing>,
    pub min_content_length: Option<Quantity>,
}

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum CompressionType {
    Gzip,
    Brotli,
    Zstd,
}

/// An item of `httpUpgrade`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct HttpUpgrade {
    #[serde(rename = "type")]
    pub kind: String,
    pub connect: Option<Connect>,
}

/// `httpUpgrade[].connect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct Connect {
    pub terminate: bool,
}

api! {
    /// `connection`.
    Connection {
        buffer_limit: Option<Quantity>,
        socket_buffer_limit: Option<Quantity>,
        preconnect: Option<Preconnect>,
    }
}

api! {
    /// `connection.preconnect`.
    Preconnect { per_endpoint_percent: Option<u32>, predictive_percent: Option<u32> }
}

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

api! {
    /// `http2`.
    Http2 {
        connection_keepalive: Option<ConnectionKeepalive>,
        initial_connection_window_size: Option<Quantity>,
        initial_stream_window_size: Option<Quantity>,
        max_concurrent_streams: Option<u32>,
        on_invalid_message: Option<OnInvalidMessage>,
    }
}

/// `http2.onInvalidMessage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum OnInvalidMessage {
    TerminateConnection,
    TerminateStream,
}

api! {
    /// `http2.connectionKeepalive`.
    ConnectionKeepalive {
        idle_interval: Option<Duration>,
        interval: Option<Duration>,
        interval_jitter: Option<u8>,
        timeout: Option<Duration>,
    }
}

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

api! {
    /// `tcpKeepalive`.
    TcpKeepalive {
        idle_time: Option<Duration>,
        interval: Option<Duration>,
        probes: Option<u32>,
    }
}
