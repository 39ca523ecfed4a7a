//! `circuitBreaker`: what may be written.

use crate::schema::shape::*;

const LIMIT: Shape = integer(0, UINT32);

pub(crate) static CIRCUIT_BREAKER: Object = object(
    &[
        optional(
            "maxConnections",
            "Connections that each Envoy opens to the cluster at most; requests beyond wait for \
             one.",
            LIMIT,
        )
        .or("1024"),
        optional(
            "maxPendingRequests",
            "Requests that wait for a connection at most; what comes beyond is answered 503. 0 \
             refuses every request that finds no open connection.",
            LIMIT,
        )
        .or("1024"),
        optional(
            "maxParallelRequests",
            "Requests under way to the cluster at most; what comes beyond is answered 503.",
            LIMIT,
        )
        .or("1024"),
        optional(
            "maxParallelRetries",
            "Retries under way to the cluster at most; beyond it a failed request is not \
             retried.",
            LIMIT,
        )
        .or("1024; beside retryConstraint, which counts for itself, 4294967295"),
        optional(
            "maxRequestsPerConnection",
            "Requests after which a connection to an upstream is closed and opened anew; 0 is \
             any number.",
            LIMIT,
        )
        .or("the cluster's own, else any number"),
        optional(
            "perEndpoint",
            "Limits for each endpoint of the cluster, beside those for all of them together.",
            Shape::Object(&PER_ENDPOINT),
        )
        .or("no such limits"),
        optional(
            "retryBudget",
            "Bounds retries under way by a share of the requests under way, in place of \
             maxParallelRetries.",
            Shape::Object(&RETRY_BUDGET),
        )
        .or("maxParallelRetries holds"),
    ],
    &[],
);

pub(crate) static PER_ENDPOINT: Object = object(
    &[optional(
        "maxConnections",
        "Connections that each Envoy opens to one endpoint at most.",
        LIMIT,
    )
    .or("1024")],
    &[],
);

pub(crate) static RETRY_BUDGET: Object = object(
    &[
        required(
            "percent",
            "The share of active and pending requests that may be retries at the same time.",
            Shape::Object(&FRACTION),
        ),
        optional(
            "minRetryConcurrency",
            "Retries that may always be under way, however few requests there are.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("3"),
    ],
    &[],
);
