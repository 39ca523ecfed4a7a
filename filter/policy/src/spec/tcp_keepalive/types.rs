//! `tcpKeepalive` as types.

use serde::Deserialize;

use crate::scalar::Duration;
use crate::spec::native_types::api;

api! {
    /// `tcpKeepalive`.
    TcpKeepalive {
        idle_time: Option<Duration>,
        interval: Option<Duration>,
        probes: Option<u32>,
    }
}
