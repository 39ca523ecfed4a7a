//! `timeout` as types.

use serde::Deserialize;

use crate::scalar::Duration;
use crate::spec::native_types::api;

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
