//! `retryConstraint`: what may be written.

use crate::schema::shape::*;

pub(crate) static RETRY_CONSTRAINT: Object = object(
    &[
        optional("budget", Shape::Object(&BUDGET)),
        optional("minRetryRate", Shape::Object(&MIN_RETRY_RATE)),
        optional("scope", Shape::Choice(&["Policy", "Route", "Cluster"])),
        optional(
            "onExhausted",
            Shape::Choice(&["OriginResponse", "Status503"]),
        ),
        optional("reportExhausted", Shape::Boolean),
        optional("mode", Shape::Choice(&["Auto", "Reserve"])),
    ],
    &[],
);

static BUDGET: Object = object(
    &[
        optional("percent", PERCENT),
        optional("interval", Shape::Duration),
    ],
    &[],
);

static MIN_RETRY_RATE: Object = object(
    &[
        optional("count", integer(1, 1_000_000)),
        optional("interval", Shape::Duration),
    ],
    &[],
);
