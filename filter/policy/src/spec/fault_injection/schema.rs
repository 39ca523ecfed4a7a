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
            "Whether the instance in front of the router injects, once for each request, or the \
             one behind it, for each attempt.",
            Shape::Choice(&["Downstream", "Upstream"]),
        )
        .or("Downstream"),
        extension(
            "attempts",
            "Which attempts of a request are meant, 1 being the first; with position Upstream \
             only.",
            list(1, 16, &integer(1, 100)),
        )
        .or("every attempt"),
        extension(
            "match",
            "Requests that may be hit: those that meet any of these selectors, which \
             are as clientSelectors without Distinct.",
            list(1, 16, &SELECTORS),
        )
        .or("every request"),
        optional(
            "delay",
            "Holds a share of the requests before they go on; at least one of this, \
             abort and headerControl.",
            Shape::Object(&DELAY),
        ),
        optional(
            "abort",
            "Answers a share of the requests with an error instead of forwarding them, \
             drawn apart from the delay, and after it; exactly one of httpStatus, \
             grpcStatus and reset: true.",
            Shape::Object(&ABORT),
        ),
        extension(
            "sampling",
            "Has the same user always fare the same, instead of a draw for each request.",
            Shape::Object(&SAMPLING),
        )
        .or("each request is a draw of its own"),
        extension(
            "headerControl",
            "Lets a request ask for its own fault by Envoy's x-envoy-fault-* headers, \
             within bounds: delay, abort or both; with position Downstream only.",
            Shape::Object(&HEADER_CONTROL),
        )
        .or("such headers are ignored"),
        extension(
            "schedule",
            "A span of wall-clock time outside of which no fault is injected: start, \
             end or both.",
            Shape::Object(&SCHEDULE),
        )
        .or("always"),
        extension(
            "maxActive",
            "Requests that may be held at once, by all workers together; further ones \
             pass untouched. Needs a delay.",
            integer(1, UINT32),
        )
        .or("any number"),
        extension(
            "exemptHealthChecks",
            "Leaves Envoy's own health checks alone, so that a fault does not take endpoints \
             out.",
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
            "How long each request is held that is hit; more than zero, and exactly one \
             of this and distribution.",
            Shape::Positive,
        ),
        extension(
            "distribution",
            "Draws the delay anew for each request that is hit, from exactly one distribution; \
             1h is the longest.",
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
            "Delays spread evenly between two durations.",
            Shape::Object(&UNIFORM),
        ),
        optional(
            "normal",
            "Delays along a bell curve; what would be negative is no delay.",
            Shape::Object(&NORMAL),
        ),
        optional(
            "logNormal",
            "Delays as latencies mostly are: many short ones and a long tail.",
            Shape::Object(&LOG_NORMAL),
        ),
        optional(
            "exponential",
            "Delays as waits between independent events are.",
            Shape::Object(&EXPONENTIAL),
        ),
        optional(
            "pareto",
            "Delays by a power law: few of them, and these very long.",
            Shape::Object(&PARETO),
        ),
        optional(
            "empirical",
            "Delays as they were measured, by their percentiles.",
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
        required("mean", "The middle of the bell curve.", Shape::Duration),
        required(
            "stdDev",
            "How wide the bell curve is: two thirds of the delays lie this close to the mean; \
             more than zero.",
            Shape::Positive,
        ),
        optional(
            "max",
            "What would be longer than this is cut to it; not below mean, at most 1h.",
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
            "What would be longer than this is cut to it; not below p50, at most 1h.",
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
            "Longer delays end here, so that none holds a request for ever; not below the mean, \
             at most 1h.",
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
            "How light the tail is: the smaller, the more very long delays; more than 0, at \
             most 1000.",
            Shape::Number,
        ),
        optional(
            "max",
            "What would be longer than this is cut to it; not below scale, at most 1h.",
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
            "Percentiles, rising, and the delays measured there, which do not fall; what lies \
             between two is interpolated.",
            list(1, 64, &Shape::Object(&POINT)),
        ),
        optional(
            "max",
            "What would be longer than this is cut to it; not below the first delay, at most \
             1h.",
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
            "Which share of the delays is at most as long, in percent, such as 99.9; above that \
             of the point before.",
            Shape::Percentage,
        ),
        required(
            "delay",
            "How long the delay is at this percentile; not below that of the point before, at \
             most 1h.",
            Shape::Duration,
        ),
    ],
    &[],
);

pub(crate) static ABORT: Object = object(
    &[
        optional(
            "httpStatus",
            "HTTP status of the answer; 200 to 599, as Envoy refuses the 600 that the API \
             allows.",
            ours(&integer(200, 600), &integer(200, 599)),
        ),
        optional(
            "grpcStatus",
            "Status of the answer to a gRPC client, by its number; other clients get \
             status 200 with the body.",
            integer(0, 16),
        ),
        extension(
            "reset",
            "With true there is no answer: the connection or stream breaks.",
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
            "The answer's body as it stands, a percent sign included; up to 64 KiB.",
            text(0, 65_536),
        )
        .or("fault filter abort"),
        extension(
            "contentType",
            "Content type of the answer to an aborted request.",
            text(1, 4096),
        )
        .or("text/plain"),
        extension(
            "headers",
            "Further headers of the answer to an aborted request; content-type is not one of \
             them.",
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
            "What tells users apart: the x-request-id, a header, or the client's address; None \
             draws for each request.",
            Shape::Choice(&["None", "RequestID", "Header", "SourceIP"]),
        ),
        optional(
            "name",
            "The header whose value tells users apart; for key Header, and only then.",
            TOKEN,
        ),
        optional(
            "seed",
            "Another number picks other users for the same share; not for key None.",
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
            "The longest delay that a request may ask for; longer ones are cut to it.",
            Shape::Positive,
        ),
        optional(
            "percentage",
            "The largest share that a request may ask its delay for, 0 to 100 in steps of \
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
        "The largest share that a request may ask its abort for, 0 to 100 in steps of \
             0.0001.",
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
            "When faults are over, as RFC 3339; later than start, and itself not included.",
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
