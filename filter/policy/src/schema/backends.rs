//! Circuit breakers, retries and timeouts.

use super::shape::{
    ANY_INTEGER, COUNT, FRACTION, Object, PERCENT, STATUS, Shape, TOKEN, UINT32, extension,
    integer, list, many, optional, required,
};
use crate::spec::retry::TRIGGERS;

const LIMIT: Shape = integer(0, UINT32);

pub(super) static CIRCUIT_BREAKER: Object = Object {
    fields: &[
        optional("maxConnections", LIMIT),
        optional("maxPendingRequests", LIMIT),
        optional("maxParallelRequests", LIMIT),
        optional("maxParallelRetries", LIMIT),
        optional("maxRequestsPerConnection", LIMIT),
        optional("perEndpoint", Shape::Object(&PER_ENDPOINT)),
        optional("retryBudget", Shape::Object(&RETRY_BUDGET)),
    ],
    rules: &[],
};

static PER_ENDPOINT: Object = Object {
    fields: &[optional("maxConnections", LIMIT)],
    rules: &[],
};

static RETRY_BUDGET: Object = Object {
    fields: &[
        required("percent", Shape::Object(&FRACTION)),
        optional("minRetryConcurrency", ANY_INTEGER),
    ],
    rules: &[],
};

pub(super) static RETRY: Object = Object {
    fields: &[
        optional("numRetries", COUNT),
        optional("numAttemptsPerPriority", ANY_INTEGER),
        optional("perRetry", Shape::Object(&PER_RETRY)),
        optional("retryOn", Shape::Object(&RETRY_ON)),
        extension("methods", list(1, 16, &TOKEN)),
    ],
    rules: &[],
};

static PER_RETRY: Object = Object {
    fields: &[
        optional("timeout", Shape::Duration),
        optional("backOff", Shape::Object(&BACK_OFF)),
    ],
    rules: &[],
};

static BACK_OFF: Object = Object {
    fields: &[
        optional("baseInterval", Shape::Duration),
        optional("maxInterval", Shape::Duration),
    ],
    rules: &[],
};

static RETRY_ON: Object = Object {
    fields: &[
        optional("triggers", many(&TRIGGER)),
        optional("httpStatusCodes", many(&STATUS)),
    ],
    rules: &[],
};

const TRIGGER: Shape = Shape::Choice(&TRIGGERS);

pub(super) static RETRY_CONSTRAINT: Object = Object {
    fields: &[
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
    rules: &[],
};

static BUDGET: Object = Object {
    fields: &[
        optional("percent", PERCENT),
        optional("interval", Shape::Duration),
    ],
    rules: &[],
};

static MIN_RETRY_RATE: Object = Object {
    fields: &[
        optional("count", integer(1, 1_000_000)),
        optional("interval", Shape::Duration),
    ],
    rules: &[],
};

pub(super) static TIMEOUT: Object = Object {
    fields: &[
        optional("http", Shape::Object(&HTTP)),
        optional("tcp", Shape::Object(&TCP)),
    ],
    rules: &[],
};

static HTTP: Object = Object {
    fields: &[
        optional("connectionIdleTimeout", Shape::Duration),
        optional("maxConnectionDuration", Shape::Duration),
        optional("maxStreamDuration", Shape::Duration),
        optional("requestTimeout", Shape::Duration),
        optional("streamIdleTimeout", Shape::Duration),
    ],
    rules: &[],
};

static TCP: Object = Object {
    fields: &[optional("connectTimeout", Shape::Duration)],
    rules: &[],
};
