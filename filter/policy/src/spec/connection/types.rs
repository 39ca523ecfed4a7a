//! `connection` as types.

use serde::Deserialize;

use crate::scalar::Quantity;
use crate::spec::native_types::api;

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
