//! `circuitBreaker`: what may be written.

use crate::schema::shape::*;
use crate::spec::numbers::*;

const LIMIT: Shape = integer(0, UINT32);

pub(crate) static CIRCUIT_BREAKER: Object = object(
    &[
        optional("maxConnections", LIMIT),
        optional("maxPendingRequests", LIMIT),
        optional("maxParallelRequests", LIMIT),
        optional("maxParallelRetries", LIMIT),
        optional("maxRequestsPerConnection", LIMIT),
        optional("perEndpoint", Shape::Object(&PER_ENDPOINT)),
        optional("retryBudget", Shape::Object(&RETRY_BUDGET)),
    ],
    &[],
);

static PER_ENDPOINT: Object = object(&[optional("maxConnections", LIMIT)], &[]);

static RETRY_BUDGET: Object = object(
    &[
        required("percent", Shape::Object(&FRACTION)),
        optional("minRetryConcurrency", ANY_INTEGER).checked(UINT32_CHECK),
    ],
    &[],
);
