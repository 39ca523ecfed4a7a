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
            "Which requests share one budget: all of the policy, those of a route, or those to a \
             cluster.",
            Shape::Choice(&["Policy", "Route", "Cluster"]),
        )
        .or("Policy"),
        optional(
            "onExhausted",
            "What the client gets if a retry is refused: the origin's response, or status 503.",
            Shape::Choice(&["OriginResponse", "Status503"]),
        )
        .or("OriginResponse"),
        optional(
            "reportExhausted",
            "true adds the header x-btp-retry-budget: exhausted to a response if a retry was \
             refused.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "mode",
            "Auto charges the budget when a retry's cause arrives, if an upstream instance sees \
             it; Reserve charges it when the request begins.",
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
            "The time in which count retries are allowed; 1s to 1h.",
            Shape::Duration,
        )
        .or("1s"),
    ],
    &[],
);
