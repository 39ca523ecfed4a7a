//! `faultInjection`: what may be written.

use crate::code::Code;
use crate::node::Value;
use crate::schema::shape::*;
use crate::spec::canned_reply::schema::HEADER;
use crate::spec::selector::schema::SELECTOR;

/// Conditions of our extensions: alternatives, each like a clientSelector.
const SELECTORS: Shape = Shape::Object(&SELECTOR);

pub(crate) static FAULT_INJECTION: Object = object(
    &[
        extension(
            "position",
            "Where faults are injected: in front of the router, once for each request, or behind \
             it, for each attempt.",
            Shape::Choice(&["Downstream", "Upstream"]),
        )
        .or("Downstream"),
        extension(
            "attempts",
            "Attempts of a request that may get a fault, 1 being the first; with position \
             Upstream only.",
            list(1, 16, &integer(1, 100)),
        )
        .or("every attempt"),
        extension(
            "match",
            "Requests that may get a fault: those that match any of these selectors, which are \
             like clientSelectors without Distinct.",
            list(1, 16, &SELECTORS),
        )
        .or("every request"),
        optional(
            "delay",
            "Delays a share of the requests; at least one of this, abort and headerControl.",
            Shape::Object(&DELAY),
        ),
        optional(
            "abort",
            "Answers a share of the requests with an error instead of forwarding them, \
             independently of the delay and after it; exactly one of httpStatus, grpcStatus and \
             reset: true.",
            Shape::Object(&ABORT),
        ),
        extension(
            "sampling",
            "Gives the same user always the same result, instead of choosing at random for each \
             request.",
            Shape::Object(&SAMPLING),
        )
        .or("each request is chosen at random"),
        extension(
            "headerControl",
            "Lets a request choose its own fault by Envoy's x-envoy-fault-* headers, within \
             bounds: delay, abort or both; with position Downstream only.",
            Shape::Object(&HEADER_CONTROL),
        )
        .or("such headers are ignored"),
        extension(
            "schedule",
            "The period in which faults are injected: start, end or both.",
            Shape::Object(&SCHEDULE),
        )
        .or("always"),
        extension(
            "maxActive",
            "Requests that may be delayed at once, by all workers together; further ones pass \
             without a fault. Needs a delay.",
            integer(1, UINT32),
        )
        .or("any number"),
        extension(
            "exemptHealthChecks",
            "Exempts Envoy's own health checks, so that a fault does not make endpoints unhealthy.",
            Shape::Boolean,
        )
        .or("true"),
    ],
    &[rule(
        Code::NoneOfFields,
        "must have delay, abort or headerControl",
        |it| count(it, &["delay", "abort", "headerControl"]) > 0,
    )],
);

pub(crate) static DELAY: Object = object(
    &[
        optional(
            "fixedDelay",
            "How long a request is delayed; more than zero, and exactly one of this and \
             distribution.",
            Shape::Positive,
        ),
        extension(
            "distribution",
            "Draws the delay of each request from exactly one distribution; 1h is the longest.",
            Shape::Object(&DISTRIBUTION),
        ),
        optional(
            "percentage",
            "Share of requests that are delayed, 0 to 100 in steps of 0.0001.",
            Shape::Percentage,
        )
        .or("100"),
    ],
    &[rule(
        Code::NotExactlyOne,
        "must have a fixedDelay, or else a distribution",
        |it| count(it, &["fixedDelay", "distribution"]) == 1,
    )],
);

pub(crate) static DISTRIBUTION: Object = object(
    &[
        optional(
            "uniform",
            "Delays spread evenly between two durations (uniform).",
            Shape::Object(&UNIFORM),
        ),
        optional(
            "normal",
            "Delays on a bell curve (normal distribution); a negative value is no delay.",
            Shape::Object(&NORMAL),
        ),
        optional(
            "logNormal",
            "Delays like most latencies: many short ones and a long tail (lognormal).",
            Shape::Object(&LOG_NORMAL),
        ),
        optional(
            "exponential",
            "Delays like waits between independent events (exponential).",
            Shape::Object(&EXPONENTIAL),
        ),
        optional(
            "pareto",
            "Delays by a power law (Pareto): a few of them are very long.",
            Shape::Object(&PARETO),
        ),
        optional(
            "empirical",
            "Measured delays, by their percentiles.",
            Shape::Object(&EMPIRICAL),
        ),
    ],
    &[rule(
        Code::NotExactlyOne,
        "must be one distribution",
        |it| match &it.value {
            Value::Map(entries) => entries.len() == 1,
            _ => false,
        },
    )],
);

pub(crate) static UNIFORM: Object = object(
    &[
        required("min", "The shortest delay that is drawn.", Shape::Duration),
        required(
            "max",
            "The longest delay that is drawn; not below min, at most 1h.",
            Shape::Positive,
        ),
    ],
    &[],
);

pub(crate) static NORMAL: Object = object(
    &[
        required("mean", "The mean of the delays.", Shape::Duration),
        required(
            "stdDev",
            "Standard deviation: two thirds of the delays are this close to the mean; more than \
             zero.",
            Shape::Positive,
        ),
        optional(
            "max",
            "The longest delay: longer ones are cut to it; not below mean, at most 1h.",
            Shape::Positive,
        )
        .or("60s"),
    ],
    &[],
);

pub(crate) static LOG_NORMAL: Object = object(
    &[
        required(
            "p50",
            "The median: half of the delays are shorter; more than zero.",
            Shape::Positive,
        ),
        required(
            "p99",
            "99 of 100 delays are shorter than this; not below p50.",
            Shape::Positive,
        ),
        optional(
            "max",
            "The longest delay: longer ones are cut to it; not below p50, at most 1h.",
            Shape::Positive,
        )
        .or("60s"),
    ],
    &[],
);

pub(crate) static EXPONENTIAL: Object = object(
    &[
        required(
            "mean",
            "The average delay; more than zero.",
            Shape::Positive,
        ),
        optional(
            "max",
            "The longest delay: longer ones are cut to it; not below the mean, at most 1h.",
            Shape::Positive,
        )
        .or("60s"),
    ],
    &[],
);

pub(crate) static PARETO: Object = object(
    &[
        required(
            "scale",
            "The shortest delay; more than zero.",
            Shape::Positive,
        ),
        required(
            "shape",
            "Shape of the tail: a smaller value gives more very long delays; more than 0, at most \
             1000.",
            Shape::Number,
        ),
        optional(
            "max",
            "The longest delay: longer ones are cut to it; not below scale, at most 1h.",
            Shape::Positive,
        )
        .or("60s"),
    ],
    &[],
);

pub(crate) static EMPIRICAL: Object = object(
    &[
        required(
            "points",
            "Rising percentiles and their measured delays, which must not fall; values in between \
             are interpolated.",
            list(1, 64, &Shape::Object(&POINT)),
        ),
        optional(
            "max",
            "The longest delay: longer ones are cut to it; not below the first delay, at most 1h.",
            Shape::Positive,
        )
        .or("the last point's delay"),
    ],
    &[],
);

pub(crate) static POINT: Object = object(
    &[
        required(
            "percentile",
            "The percentile, such as 99.9; above that of the point before.",
            Shape::Percentage,
        ),
        required(
            "delay",
            "The delay at this percentile; not below that of the point before, at most 1h.",
            Shape::Duration,
        ),
    ],
    &[],
);

pub(crate) static ABORT: Object = object(
    &[
        optional(
            "httpStatus",
            "HTTP status of the reply; 200 to 599, as Envoy refuses the 600 that the API allows.",
            ours(&integer(200, 600), &integer(200, 599)),
        ),
        optional(
            "grpcStatus",
            "gRPC status of the reply, by its number; other clients get status 200 with the body.",
            integer(0, 16),
        ),
        extension(
            "reset",
            "true sends no reply: the connection or stream is reset.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "percentage",
            "Share of requests that are aborted, 0 to 100 in steps of 0.0001.",
            Shape::Percentage,
        )
        .or("100"),
        extension(
            "body",
            "Body of the reply, taken literally, percent signs included; up to 64 KiB.",
            text(0, 65_536),
        )
        .or("fault filter abort"),
        extension(
            "contentType",
            "Content type of the reply to an aborted request.",
            text(1, 4096),
        )
        .or("text/plain"),
        extension(
            "headers",
            "Further headers of the reply to an aborted request; content-type is not one of them.",
            list(1, 16, &Shape::Object(&HEADER)),
        ),
    ],
    &[rule(
        Code::NotExactlyOne,
        "must have exactly one of httpStatus, grpcStatus and reset: true",
        |it| {
            let reset = it.field("reset").map(|it| &it.value) == Some(&Value::Bool(true));
            count(it, &["httpStatus", "grpcStatus"]) + usize::from(reset) == 1
        },
    )],
);

pub(crate) static SAMPLING: Object = object(
    &[
        required(
            "key",
            "What identifies a user: the x-request-id, a header, or the client's address; None \
             chooses at random for each request.",
            Shape::Choice(&["None", "RequestID", "Header", "SourceIP"]),
        ),
        optional(
            "name",
            "The header whose value identifies a user; required for key Header, and only for it.",
            TOKEN,
        ),
        optional(
            "seed",
            "A different number selects different users for the same share; not for key None.",
            integer(0, i64::MAX),
        )
        .or("0"),
    ],
    &[rule(
        Code::FieldOfType,
        "must have a name for key Header, and only then",
        |it| has(it, "name") == (text_in(it, "key", "") == "Header"),
    )],
);

pub(crate) static HEADER_CONTROL: Object = object(
    &[
        optional(
            "delay",
            "Allows x-envoy-fault-delay-request, whose value is milliseconds.",
            Shape::Object(&DELAY_CONTROL),
        )
        .or("not allowed"),
        optional(
            "abort",
            "Allows x-envoy-fault-abort-request and x-envoy-fault-abort-grpc-request, whose \
             values are statuses.",
            Shape::Object(&ABORT_CONTROL),
        )
        .or("not allowed"),
    ],
    &[rule(
        Code::NoneOfFields,
        "must have delay, abort or both",
        |it| count(it, &["delay", "abort"]) > 0,
    )],
);

pub(crate) static DELAY_CONTROL: Object = object(
    &[
        required(
            "max",
            "The longest delay that a request may set; longer ones are cut to it.",
            Shape::Positive,
        ),
        optional(
            "percentage",
            "The largest percentage that a request may set for its delay, 0 to 100 in steps of \
             0.0001.",
            Shape::Percentage,
        )
        .or("100"),
    ],
    &[],
);

pub(crate) static ABORT_CONTROL: Object = object(
    &[optional(
        "percentage",
        "The largest percentage that a request may set for its abort, 0 to 100 in steps of 0.0001.",
        Shape::Percentage,
    )
    .or("100")],
    &[],
);

pub(crate) static SCHEDULE: Object = object(
    &[
        optional(
            "start",
            "When faults begin, by the host's wall clock, as RFC 3339 such as \
             2026-03-01T08:00:00Z; years 1970 to 9999.",
            text(20, 64),
        )
        .or("from the beginning"),
        optional(
            "end",
            "When faults end, as RFC 3339; later than start, and not itself included.",
            text(20, 64),
        )
        .or("never"),
    ],
    &[rule(
        Code::NoneOfFields,
        "must have start, end or both",
        |it| count(it, &["start", "end"]) > 0,
    )],
);
