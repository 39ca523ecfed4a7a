//! `healthCheck` as types.

use serde::Deserialize;

use crate::scalar::Duration;
use crate::spec::native_types::api;

api! {
    /// `healthCheck`.
    HealthCheck {
        active: Option<ActiveHealthCheck>,
        passive: Option<PassiveHealthCheck>,
        panic_threshold: Option<u8>,
    }
}

/// `healthCheck.active`; exactly the settings that `kind` names are there.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct ActiveHealthCheck {
    #[serde(rename = "type")]
    pub kind: HealthCheckType,
    pub timeout: Option<Duration>,
    pub interval: Option<Duration>,
    pub initial_jitter: Option<Duration>,
    pub healthy_threshold: Option<u32>,
    pub unhealthy_threshold: Option<u32>,
    pub overrides: Option<HealthCheckOverrides>,
    pub http: Option<HttpHealthCheck>,
    pub tcp: Option<TcpHealthCheck>,
    pub grpc: Option<GrpcHealthCheck>,
    pub health_check_log: Option<HealthCheckLog>,
}

/// `healthCheck.active.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum HealthCheckType {
    Http,
    Tcp,
    Grpc,
}

api! {
    /// `healthCheck.active.overrides`.
    HealthCheckOverrides { port: Option<u16> }
}

api! {
    /// `healthCheck.active.http`.
    HttpHealthCheck {
        path: String,
        method: Option<String>,
        hostname: Option<String>,
        expected_statuses: Vec<u16>,
        retriable_statuses: Vec<u16>,
        expected_response: Option<Payload>,
        request_body: Option<Payload>,
    }
}

api! {
    /// `healthCheck.active.tcp`.
    TcpHealthCheck { send: Option<Payload>, receive: Option<Payload> }
}

api! {
    /// `healthCheck.active.grpc`.
    GrpcHealthCheck { service: Option<String> }
}

/// Bytes to send or to expect: `text`, or `binary` in base64.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct Payload {
    #[serde(rename = "type")]
    pub kind: PayloadType,
    pub text: Option<String>,
    pub binary: Option<String>,
}

/// What a payload is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum PayloadType {
    Text,
    Binary,
}

api! {
    /// `healthCheck.active.healthCheckLog`.
    HealthCheckLog { matches: Vec<LogMatch>, sinks: Vec<LogSink> }
}

/// A health check event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum LogMatch {
    Failure,
    FailureSeriesStart,
    Success,
    HealthyTransition,
}

/// Where health check events go: always a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub enum LogSink {
    File { file: LogFile },
}

api! {
    /// A log file.
    LogFile { path: String }
}

impl Eq for LogFile {}

api! {
    /// `healthCheck.passive`.
    PassiveHealthCheck {
        always_eject_one_endpoint: Option<bool>,
        base_ejection_time: Option<Duration>,
        // The API's own capitals: `consecutive5XxErrors`.
        consecutive5_xx_errors: Option<u32>,
        consecutive_gateway_errors: Option<u32>,
        consecutive_local_origin_failures: Option<u32>,
        failure_percentage_threshold: Option<u8>,
        interval: Option<Duration>,
        max_ejection_percent: Option<u8>,
        split_external_local_origin_errors: Option<bool>,
    }
}
