//! `healthCheck`: what may be written.

use super::checks;
use crate::code::Code;
use crate::node::Node;
use crate::schema::shape::*;

pub(crate) static HEALTH_CHECK: Object = object(
    &[
        optional(
            "active",
            "Probes that Envoy sends to each endpoint.",
            Shape::Object(&ACTIVE),
        ),
        optional(
            "passive",
            "Takes endpoints out whose answers to real requests are errors (outlier detection).",
            Shape::Object(&PASSIVE),
        ),
        optional(
            "panicThreshold",
            "Percent of healthy endpoints below which Envoy takes no heed of health and uses \
             all; 0 never does.",
            PERCENT,
        )
        .or("the cluster's own, else Envoy's: 50"),
    ],
    &[],
);

const THRESHOLD: Shape = integer(1, i64::MAX);

pub(crate) static ACTIVE: Object = object(
    &[
        required(
            "type",
            "How an endpoint is probed: by an HTTP request, a TCP connection, or gRPC's health \
             service.",
            Shape::Choice(&["HTTP", "TCP", "GRPC"]),
        ),
        optional(
            "timeout",
            "How long Envoy waits for an answer before a probe has failed; more than zero.",
            Shape::Positive,
        )
        .or("1s"),
        optional(
            "interval",
            "The time between two probes of an endpoint; more than zero.",
            Shape::Positive,
        )
        .or("3s"),
        optional(
            "initialJitter",
            "The first probe of each endpoint waits a random time up to this, so that not all \
             come at once.",
            Shape::Duration,
        )
        .or("no wait"),
        optional(
            "healthyThreshold",
            "Probes in a row that must succeed before an endpoint that was out gets requests \
             again.",
            ours(&THRESHOLD, &integer(1, UINT32)),
        )
        .or("1"),
        optional(
            "unhealthyThreshold",
            "Probes in a row that must fail before an endpoint gets no more requests; an HTTP \
             status that is not expected counts at once unless it is among retriableStatuses.",
            ours(&THRESHOLD, &integer(1, UINT32)),
        )
        .or("3"),
        optional(
            "overrides",
            "Where probes go, if not to the endpoint's own port.",
            Shape::Object(&OVERRIDES),
        ),
        optional(
            "http",
            "What is asked by HTTP, and which answers are healthy; exactly for type HTTP.",
            Shape::Object(&HTTP),
        ),
        optional(
            "tcp",
            "What is sent over the connection and expected back; exactly for type TCP, and an \
             empty object if connecting is enough.",
            Shape::Object(&TCP),
        ),
        optional(
            "grpc",
            "Which gRPC service is asked about; for type GRPC only.",
            Shape::Object(&GRPC),
        ),
        optional(
            "healthCheckLog",
            "Writes the results of probes to a file.",
            Shape::Object(&LOG),
        )
        .or("not logged"),
    ],
    &[
        rule(
            Code::FieldOfType,
            "must have http exactly if its type is HTTP",
            |it| (text_in(it, "type", "") == "HTTP") == has(it, "http"),
        ),
        rule(
            Code::FieldOfType,
            "must have tcp exactly if its type is TCP",
            |it| (text_in(it, "type", "") == "TCP") == has(it, "tcp"),
        ),
        rule(
            Code::FieldOfType,
            "must have grpc only if its type is GRPC",
            |it| text_in(it, "type", "") == "GRPC" || !has(it, "grpc"),
        ),
    ],
);

pub(crate) static OVERRIDES: Object = object(
    &[optional("port", "Port of the endpoint that probes go to.", PORT).or("the endpoint's own")],
    &[],
);

pub(crate) static HTTP: Object = object(
    &[
        required(
            "path",
            "Path that probes ask for; it begins with / and has printable ASCII characters \
             without spaces.",
            text(1, 1024),
        )
        .checked(checks::path),
        optional(
            "method",
            "Method of the probes, in any case; CONNECT is not one.",
            text(0, 16),
        )
        .or("GET")
        .checked(checks::method),
        optional("hostname", "Host header of the probes.", HOSTNAME).or(
            "the endpoint's hostname, else the first domain of the route, else the cluster's \
             name",
        ),
        optional(
            "expectedStatuses",
            "Statuses that are healthy; if given, 200 is healthy only if it is listed.",
            many(&STATUS),
        )
        .or("200"),
        optional(
            "retriableStatuses",
            "Statuses that count towards unhealthyThreshold, instead of taking the endpoint out \
             at once.",
            many(&STATUS),
        )
        .or("none"),
        optional(
            "expectedResponse",
            "What the answer's body must contain to be healthy.",
            Shape::Object(&PAYLOAD),
        ),
        optional(
            "requestBody",
            "Body of the probes, with the methods POST and PUT only.",
            Shape::Object(&PAYLOAD),
        ),
    ],
    &[rule(
        Code::MalformedMethod,
        "must have the method POST or PUT for a requestBody",
        |it| {
            let method = text_in(it, "method", "").to_ascii_uppercase();
            !has(it, "requestBody") || matches!(method.as_str(), "POST" | "PUT")
        },
    )],
);

pub(crate) static TCP: Object = object(
    &[
        optional(
            "send",
            "Bytes that are sent when the connection is open.",
            Shape::Object(&PAYLOAD),
        )
        .or("nothing"),
        optional(
            "receive",
            "Bytes that the endpoint must answer with.",
            Shape::Object(&PAYLOAD),
        )
        .or("connecting is enough"),
    ],
    &[],
);

pub(crate) static GRPC: Object = object(
    &[optional(
        "service",
        "Name of the service that gRPC's health service is asked about.",
        ANY_TEXT,
    )
    .or("the server as a whole")],
    &[],
);

pub(crate) static PAYLOAD: Object = object(
    &[
        required(
            "type",
            "Whether the bytes are given as text or in base64.",
            Shape::Choice(&["Text", "Binary"]),
        ),
        optional(
            "text",
            "The bytes as text, not empty; exactly for type Text.",
            ANY_TEXT,
        )
        .checked(checks::payload),
        optional(
            "binary",
            "The bytes in base64; exactly for type Binary.",
            formed(0, usize::MAX, Form::Base64),
        ),
    ],
    &[
        rule(
            Code::FieldOfType,
            "must have text exactly if its type is Text",
            |it| (text_in(it, "type", "") == "Text") == has(it, "text"),
        ),
        rule(
            Code::FieldOfType,
            "must have binary exactly if its type is Binary",
            |it| (text_in(it, "type", "") == "Binary") == has(it, "binary"),
        ),
    ],
);

pub(crate) static LOG: Object = object(
    &[
        optional(
            "matches",
            "Which results are written; failures and successes are asked for together, or \
             neither.",
            unique("", 0, 4, &LOG_MATCH),
        )
        .or("Envoy's: changes of an endpoint's health"),
        optional(
            "sinks",
            "Where results are written: exactly one file, as btp apply refuses a log \
             without one.",
            list(0, 1, &Shape::Object(&SINK)),
        ),
    ],
    &[rule(
        Code::FieldOfType,
        "must match failures and successes together, or neither",
        |it| {
            let kinds: Vec<&str> = items(it, "matches")
                .iter()
                .filter_map(Node::as_str)
                .collect();
            let failure = kinds.iter().any(|kind| kind.starts_with("Failure"));
            let success = kinds.iter().any(|kind| !kind.starts_with("Failure"));
            failure == success
        },
    )],
);

const LOG_MATCH: Shape = Shape::Choice(&[
    "Failure",
    "FailureSeriesStart",
    "Success",
    "HealthyTransition",
]);

pub(crate) static SINK: Object = object(
    &[
        required(
            "type",
            "Kind of the sink; files are the only one.",
            Shape::Choice(&["File"]),
        ),
        optional(
            "file",
            "The file that results are appended to; exactly for type File.",
            Shape::Object(&FILE),
        ),
    ],
    &[rule(
        Code::FieldOfType,
        "must have file exactly if its type is File",
        |it| (text_in(it, "type", "") == "File") == has(it, "file"),
    )],
);

pub(crate) static FILE: Object = object(
    &[required(
        "path",
        "Name of the file, on the host or in the container that Envoy runs in.",
        text(1, usize::MAX),
    )],
    &[],
);

pub(crate) static PASSIVE: Object = object(
    &[
        optional(
            "alwaysEjectOneEndpoint",
            "Lets one endpoint be ejected even where maxEjectionPercent would keep it in.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "baseEjectionTime",
            "How long an endpoint stays out, times how often it has been ejected, up to \
             300s or this if it is longer; more than zero.",
            Shape::Positive,
        )
        .or("30s"),
        optional(
            "consecutive5XxErrors",
            "Answers of 500 and above in a row that get an endpoint ejected; a failed \
             connection counts as one, unless splitExternalLocalOriginErrors.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("5"),
        optional(
            "consecutiveGatewayErrors",
            "Answers of 502, 503 and 504 in a row that get an endpoint ejected; a \
             failed connection counts as one, unless it is counted apart.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("not looked at"),
        optional(
            "consecutiveLocalOriginFailures",
            "Connections in a row that fail or time out before an endpoint is ejected; only \
             with splitExternalLocalOriginErrors.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("5"),
        optional(
            "failurePercentageThreshold",
            "Percent of failed requests in one interval for which an endpoint is \
             ejected; looked at where five endpoints have fifty requests each.",
            PERCENT,
        )
        .or("not looked at"),
        optional(
            "interval",
            "How often endpoints are looked at, ejected and let back in; more than zero.",
            Shape::Positive,
        )
        .or("3s"),
        optional(
            "maxEjectionPercent",
            "Percent of a cluster's endpoints that may be out at the same time; with 10 \
             and fewer than ten endpoints nobody is ejected.",
            PERCENT,
        )
        .or("10"),
        optional(
            "splitExternalLocalOriginErrors",
            "Counts connections that fail apart from answers that are errors.",
            Shape::Boolean,
        )
        .or("false"),
    ],
    &[],
);
