//! `timeout`: of the route, the cluster and its connections.

use btp_policy::native::{HttpTimeout, Timeout};
use btp_policy::scalar::Duration;

use super::change::{Changes, How, HttpPart, Path, Place};
use crate::envoy::json::{IntoNode, node, put};

/// Envoy Gateway's, where a request may take longer than Envoy's five
/// minutes of silence.
const LEAST_IDLE: Duration = Duration::from_millis(3_600_000);
/// Envoy Gateway's; Envoy's own is 5s.
const CONNECT: Duration = Duration::from_millis(10_000);
const ZERO: Duration = Duration::from_millis(0);

pub(super) fn translate(timeout: &Timeout, has_idle_timeout: bool, out: &mut Changes) {
    if let Some(tcp) = &timeout.tcp {
        let how = match tcp.connect_timeout {
            Some(time) => How::Set(time.into_node()),
            None => How::Default(CONNECT.into_node()),
        };
        let field = "timeout.tcp.connectTimeout";
        out.add(field, Place::Cluster, "connect_timeout", how);
    }
    if let Some(http) = &timeout.http {
        translate_http(http, has_idle_timeout, out);
    }
}

fn translate_http(http: &HttpTimeout, has_idle_timeout: bool, out: &mut Changes) {
    let request = "timeout.http.requestTimeout";
    if let Some(time) = http.request_timeout {
        let how = How::Set(time.into_node());
        out.add(request, Place::Route, "route.timeout", how);
    }
    let idle = "route.idle_timeout";
    match (http.stream_idle_timeout, http.request_timeout) {
        (Some(time), _) => {
            let how = How::Set(time.into_node());
            out.add("timeout.http.streamIdleTimeout", Place::Route, idle, how);
        }
        (None, Some(time)) if !has_idle_timeout => {
            let time = if time == ZERO {
                ZERO
            } else {
                time.max(LEAST_IDLE)
            };
            out.add(request, Place::Route, idle, How::Default(time.into_node()));
        }
        _ => {}
    }
    if let Some(time) = http.max_stream_duration {
        out.add(
            "timeout.http.maxStreamDuration",
            Place::Route,
            "route.max_stream_duration.max_stream_duration",
            How::Set(time.into_node()),
        );
    }
    for (field, time, part) in [
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
            let how = How::HttpOptions(HttpPart::Common(common));
            out.add(field, Place::Cluster, Path::default(), how);
        }
    }
}
