//! `circuitBreaker` as types.

use serde::Deserialize;

use crate::spec::native_types::{Fraction, api};

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
