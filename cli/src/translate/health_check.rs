//! `healthCheck`: the cluster's `health_checks`, `outlier_detection` and
//! `common_lb_config.healthy_panic_threshold`.
//!
//! Unlike Envoy Gateway, which drops it, a `maxEjectionPercent` of 0 is kept.

use std::fmt::Write;

use btp_policy::Code;
use btp_policy::native::{
    ActiveHealthCheck, HealthCheck, HealthCheckLog, HealthCheckType, HttpHealthCheck, LogMatch,
    LogSink, PassiveHealthCheck, Payload, PayloadType,
};
use btp_policy::node::Node;
use btp_policy::scalar::Duration;

use super::change::{Changes, Operation, Path, Target};
use super::load_balancer::require_endpoints;
use crate::envoy::json::{IntoNode, list, node, put};

const ACTIVE: &str = "healthCheck.active";
pub(super) fn translate(health: &HealthCheck, hostname: Option<&str>, out: &mut Changes) {
    if let Some(check) = &health.active {
        translate_active(check, hostname, out);
    }
    if let Some(detection) = &health.passive {
        out.add(
            "healthCheck.passive",
            Target::Cluster,
            "outlier_detection",
            Operation::Set(outlier_detection(detection)),
        );
    }
    if let Some(percent) = health.panic_threshold {
        let operation = Operation::Set(node!({ "value": (u32::from(percent)) }));
        let path = "common_lb_config.healthy_panic_threshold";
        out.add(
            "healthCheck.panicThreshold",
            Target::Cluster,
            path,
            operation,
        );
    }
}

fn translate_active(check: &ActiveHealthCheck, hostname: Option<&str>, out: &mut Changes) {
    let interval = check.interval.unwrap_or(Duration::from_millis(3_000));
    let mut to = node!({
        "timeout": (check.timeout.unwrap_or(Duration::from_millis(1_000))),
        "interval": interval,
        // Envoy's own is a minute, as long as nobody has sent a request.
        "no_traffic_interval": interval,
        "unhealthy_threshold": (check.unhealthy_threshold.unwrap_or(3)),
        "healthy_threshold": (check.healthy_threshold.unwrap_or(1)),
    });
    put(&mut to, "initial_jitter", check.initial_jitter);
    match check.kind {
        HealthCheckType::Http => {
            let http = check.http.as_ref().map(|http| http_check(http, hostname));
            put(&mut to, "http_health_check", http);
        }
        HealthCheckType::Tcp => {
            let mut tcp = node!({});
            if let Some(settings) = &check.tcp {
                put(&mut tcp, "send", settings.send.as_ref().map(payload));
                let receive = settings.receive.as_ref().map(|it| list([payload(it)]));
                put(&mut tcp, "receive", receive);
            }
            put(&mut to, "tcp_health_check", Some(tcp));
        }
        HealthCheckType::Grpc => {
            let mut grpc = node!({});
            let service = check.grpc.as_ref().and_then(|it| it.service.as_deref());
            put(&mut grpc, "service_name", service);
            put(&mut to, "grpc_health_check", Some(grpc));
        }
    }
    if let Some(log) = &check.health_check_log {
        put_log(log, &mut to, out);
    }
    out.add(
        ACTIVE,
        Target::Cluster,
        Path::default(),
        Operation::HealthCheck(to),
    );
    translate_hosts(check, out);
    let port = check.overrides.as_ref().and_then(|it| it.port);
    if let Some(port) = port {
        let field = "healthCheck.active.overrides.port";
        require_endpoints(field, out);
        out.add(
            field,
            Target::Cluster,
            "load_assignment.endpoints.*.lb_endpoints.*.endpoint.health_check_config.port_value",
            Operation::Set(u32::from(port).into_node()),
        );
    }
}

/// Envoy asks an endpoint for the name in its `health_check_config` first,
/// whatever the check says.
fn translate_hosts(check: &ActiveHealthCheck, out: &mut Changes) {
    const ENDPOINT: &str = "load_assignment.endpoints.*.lb_endpoints.*.endpoint";
    if check.kind == HealthCheckType::Tcp {
        return;
    }
    let hostname = check.http.as_ref().and_then(|it| it.hostname.as_deref());
    if hostname.is_some() {
        let path = format!("{ENDPOINT}.health_check_config.hostname");
        let field = "healthCheck.active.http.hostname";
        out.add(field, Target::Cluster, path.as_str(), Operation::Remove);
    } else {
        out.add(ACTIVE, Target::Cluster, ENDPOINT, Operation::EndpointHosts);
    }
}

fn http_check(http: &HttpHealthCheck, hostname: Option<&str>) -> Node {
    let mut check = node!({ "path": (http.path.as_str()) });
    put(&mut check, "host", http.hostname.as_deref().or(hostname));
    if let Some(method) = http.method.as_deref().filter(|method| !method.is_empty()) {
        let method = method.to_ascii_uppercase();
        put(&mut check, "method", Some(method));
    }
    put(&mut check, "send", http.request_body.as_ref().map(payload));
    let receive = http
        .expected_response
        .as_ref()
        .map(|it| list([payload(it)]));
    put(&mut check, "receive", receive);
    let expected = match http.expected_statuses.as_slice() {
        [] => &[200],
        statuses => statuses,
    };
    put(&mut check, "expected_statuses", Some(ranges(expected)));
    if !http.retriable_statuses.is_empty() {
        let retriable = ranges(&http.retriable_statuses);
        put(&mut check, "retriable_statuses", Some(retriable));
    }
    check
}

/// Text goes in hex, bytes in base64.
fn payload(payload: &Payload) -> Node {
    match payload.kind {
        PayloadType::Text => {
            let mut hex = String::new();
            for byte in payload.text.as_deref().unwrap_or("").bytes() {
                // Writing to a string does not fail.
                let _ = write!(hex, "{byte:02x}");
            }
            node!({ "text": (hex) })
        }
        PayloadType::Binary => node!({ "binary": (payload.binary.as_deref().unwrap_or("")) }),
    }
}

/// Half-open ranges of codes that follow one another.
fn ranges(statuses: &[u16]) -> Node {
    let mut statuses: Vec<u32> = statuses.iter().copied().map(u32::from).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let follows = |one: &u32, other: &u32| one + 1 == *other;
    list(statuses.chunk_by(follows).filter_map(|run| {
        let (first, last) = (run.first()?, run.last()?);
        Some(node!({ "start": (*first), "end": (last + 1) }))
    }))
}

fn put_log(log: &HealthCheckLog, check: &mut Node, out: &mut Changes) {
    let Some(LogSink::File { file }) = log.sinks.first() else {
        out.refuse(
            "healthCheck.active.healthCheckLog",
            Code::MissingField,
            "must have a sink: the log of health checks needs a file",
        );
        return;
    };
    let sink = node!([{
        "name": "envoy.health_check.event_sink.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink",
            "event_log_path": (file.path.as_str())
        }
    }]);
    put(check, "event_logger", Some(sink));
    for (kind, name) in [
        (LogMatch::Failure, "always_log_health_check_failures"),
        (LogMatch::Success, "always_log_health_check_success"),
    ] {
        let wanted = log.matches.contains(&kind);
        put(check, name, wanted.then_some(true));
    }
}

fn outlier_detection(detection: &PassiveHealthCheck) -> Node {
    let seconds = |default: u32| Duration::from_millis(default * 1_000);
    let mut config = node!({
        "interval": (detection.interval.unwrap_or(seconds(3))),
        "base_ejection_time": (detection.base_ejection_time.unwrap_or(seconds(30))),
        "max_ejection_percent": (u32::from(detection.max_ejection_percent.unwrap_or(10))),
        "consecutive_5xx": (detection.consecutive5_xx_errors.unwrap_or(5)),
        "split_external_local_origin_errors": (
            detection.split_external_local_origin_errors.unwrap_or(false)
        ),
        "consecutive_local_origin_failure": (
            detection.consecutive_local_origin_failures.unwrap_or(5)
        ),
    });
    if let Some(errors) = detection.consecutive_gateway_errors {
        put(&mut config, "consecutive_gateway_failure", Some(errors));
        put(
            &mut config,
            "enforcing_consecutive_gateway_failure",
            Some(100),
        );
    }
    if let Some(percent) = detection.failure_percentage_threshold {
        let percent = u32::from(percent);
        put(&mut config, "failure_percentage_threshold", Some(percent));
        put(&mut config, "enforcing_failure_percentage", Some(100));
        let split = detection.split_external_local_origin_errors == Some(true);
        let name = "enforcing_failure_percentage_local_origin";
        put(&mut config, name, split.then_some(100));
    }
    if let Some(always) = detection.always_eject_one_endpoint {
        put(&mut config, "always_eject_one_host", Some(always));
    }
    config
}
