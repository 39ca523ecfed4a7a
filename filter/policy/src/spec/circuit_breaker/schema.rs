//! `circuitBreaker`: what may be written.

use crate::schema::shape::*;

const LIMIT: Shape = integer(0, UINT32);

pub(crate) static CIRCUIT_BREAKER: Object = object(
    &[
        optional(
            "maxConnections",
            "The most connections that each Envoy opens to the cluster; further requests wait for \
             one.",
            LIMIT,
        )
        .or("1024"),
        optional(
            "maxPendingRequests",
            "The most requests that wait for a connection; further ones are answered 503. 0 \
             refuses every request that finds no open connection.",
            LIMIT,
        )
        .or("1024"),
        optional(
            "maxParallelRequests",
            "The most requests in flight to the cluster; further ones are answered 503.",
            LIMIT,
        )
        .or("1024"),
        optional(
            "maxParallelRetries",
            "The most retries in flight to the cluster; beyond that a failed request is not \
             retried.",
            LIMIT,
        )
        .or("1024; 4294967295 beside retryConstraint, which counts for itself"),
        optional(
            "maxRequestsPerConnection",
            "Requests after which a connection to an upstream is closed; 0 is no limit.",
            LIMIT,
        )
        .or("the cluster's own, else no limit"),
        optional(
            "perEndpoint",
            "Limits for each endpoint of the cluster, in addition to those for the whole cluster.",
            Shape::Object(&PER_ENDPOINT),
        )
        .or("no such limits"),
        optional(
            "retryBudget",
            "Limits retries in flight to a share of the requests in flight, instead of \
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
        "The most connections that each Envoy opens to one endpoint.",
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
            "Retries that may always be in flight, however few requests there are.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("3"),
    ],
    &[],
);
