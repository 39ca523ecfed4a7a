//! `retryConstraint`: what may be written.

use crate::schema::shape::*;

pub(crate) static RETRY_CONSTRAINT: Object = object(
    &[
        optional(
            "budget",
            "The share of the requests that may be retries.",
            Shape::Object(&BUDGET),
        )
        .or("20 percent over 10s"),
        optional(
            "minRetryRate",
            "Retries that are always allowed, however few requests there are.",
            Shape::Object(&MIN_RETRY_RATE),
        )
        .or("10 in a second"),
        optional(
            "scope",
            "Who shares one budget: all requests of the policy, those of a route, or those to a \
             cluster.",
            Shape::Choice(&["Policy", "Route", "Cluster"]),
        )
        .or("Policy"),
        optional(
            "onExhausted",
            "What the client gets where a retry was refused: the origin's response, or status \
             503.",
            Shape::Choice(&["OriginResponse", "Status503"]),
        )
        .or("OriginResponse"),
        optional(
            "reportExhausted",
            "With true a response says that a retry was refused, by the header \
             x-btp-retry-budget: exhausted.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "mode",
            "Auto pays for a retry when its cause arrives, if an upstream instance sees it; \
             Reserve pays when the request begins.",
            Shape::Choice(&["Auto", "Reserve"]),
        )
        .or("Auto"),
    ],
    &[],
);

/// That of an `XBackendTrafficPolicy`.
pub(crate) static SERVICE_RETRY_CONSTRAINT: Object = object(
    &[
        optional(
            "budget",
            "The share of the requests to the Service that may be retries.",
            Shape::Object(&BUDGET),
        )
        .or("20 percent over 10s"),
        optional(
            "minRetryRate",
            "Retries that are always allowed, however few requests there are.",
            Shape::Object(&MIN_RETRY_RATE),
        )
        .or("10 in a second"),
    ],
    &[],
);

pub(crate) static BUDGET: Object = object(
    &[
        optional("percent", "Retries per hundred requests.", PERCENT).or("20"),
        optional(
            "interval",
            "The window over which requests and retries are counted; 1s to 1h.",
            Shape::Duration,
        )
        .or("10s"),
    ],
    &[],
);

pub(crate) static MIN_RETRY_RATE: Object = object(
    &[
        optional(
            "count",
            "Retries that each interval always allows.",
            integer(1, 1_000_000),
        )
        .or("10"),
        optional(
            "interval",
            "The time that count is for; 1s to 1h.",
            Shape::Duration,
        )
        .or("1s"),
    ],
    &[],
);
