//! `http2` as types.

use serde::Deserialize;

use crate::scalar::{Duration, Quantity};
use crate::spec::native_types::api;

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
