//! `timeout`: of the route, the cluster and its connections.

use btp_policy::native::{HttpTimeout, Timeout};
use btp_policy::scalar::Duration;

use super::change::{Changes, HttpPart, Operation, Path, Target};
use crate::envoy::json::{IntoNode, node, put};

/// Envoy Gateway's, where a request may take longer than Envoy's five
/// minutes of silence.
const LEAST_IDLE: Duration = Duration::from_millis(3_600_000);
/// Envoy Gateway's; Envoy's own is 5s.
const CONNECT: Duration = Duration::from_millis(10_000);
/// How long a stream of the route may take.
const STREAM_DURATION: &str = "route.max_stream_duration";
const ZERO: Duration = Duration::from_millis(0);

pub(super) fn translate(timeout: &Timeout, has_idle_timeout: bool, out: &mut Changes) {
    if let Some(tcp) = &timeout.tcp {
        let operation = match tcp.connect_timeout {
            Some(time) => Operation::Set(time.into_node()),
            None => Operation::Default(CONNECT.into_node()),
        };
        let field = "timeout.tcp.connectTimeout";
        out.add(field, Target::Cluster, "connect_timeout", operation);
    }
    if let Some(http) = &timeout.http {
        translate_http(http, has_idle_timeout, out);
    }
}

fn translate_http(http: &HttpTimeout, has_idle_timeout: bool, out: &mut Changes) {
    let request = "timeout.http.requestTimeout";
    let longest = "timeout.http.maxStreamDuration";
    for (field, time) in [
        (request, http.request_timeout),
        (longest, http.max_stream_duration),
    ] {
        // Envoy heeds no `timeout` of a route that has this object.
        if time.is_some() {
            out.add(field, Target::Route, STREAM_DURATION, Operation::Remove);
        }
    }
    if let Some(time) = http.request_timeout {
        let operation = Operation::Set(time.into_node());
        out.add(request, Target::Route, "route.timeout", operation);
        // By which Envoy ends gRPC requests instead.
        let of_grpc = "route.max_grpc_timeout";
        out.add(request, Target::Route, of_grpc, Operation::Remove);
    }
    let idle = "route.idle_timeout";
    match (http.stream_idle_timeout, http.request_timeout) {
        (Some(time), _) => {
            let operation = Operation::Set(time.into_node());
            out.add(
                "timeout.http.streamIdleTimeout",
                Target::Route,
                idle,
                operation,
            );
        }
        (None, Some(time)) if !has_idle_timeout => {
            let time = if time == ZERO {
                ZERO
            } else {
                time.max(LEAST_IDLE)
            };
            out.add(
                request,
                Target::Route,
                idle,
                Operation::Default(time.into_node()),
            );
        }
        _ => {}
    }
    for (field, time, part) in [
        (longest, http.max_stream_duration, "max_stream_duration"),
        (
            "timeout.http.connectionIdleTimeout",
            http.connection_idle_timeout,
            "idle_timeout",
        ),
        (
            "timeout.http.maxConnectionDuration",
            http.max_connection_duration,
            "max_connection_duration",
        ),
    ] {
        if let Some(time) = time {
            let mut common = node!({});
            put(&mut common, part, Some(time));
            let operation = Operation::HttpOptions(HttpPart::Common(common));
            out.add(field, Target::Cluster, Path::default(), operation);
        }
    }
}
