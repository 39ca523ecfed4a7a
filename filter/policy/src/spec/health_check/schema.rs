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
            "Ejects endpoints whose responses to real requests are errors (outlier detection).",
            Shape::Object(&PASSIVE),
        ),
        optional(
            "panicThreshold",
            "Percent of healthy endpoints below which Envoy ignores health and uses all \
             endpoints; 0 never does.",
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
            "How long Envoy waits for the answer to a probe; more than zero.",
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
            "The longest random wait before the first probe of an endpoint, so that probes do not \
             all start at once.",
            Shape::Duration,
        )
        .or("no wait"),
        optional(
            "healthyThreshold",
            "Probes in a row that must succeed before an unhealthy endpoint gets requests again.",
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
            "Another destination of probes than the endpoint's own port.",
            Shape::Object(&OVERRIDES),
        ),
        optional(
            "http",
            "The HTTP request, and which responses are healthy; required for type HTTP, and only \
             for it.",
            Shape::Object(&HTTP),
        ),
        optional(
            "tcp",
            "Bytes to send over the connection, and the expected answer; required for type TCP, \
             and only for it. An empty object only connects.",
            Shape::Object(&TCP),
        ),
        optional(
            "grpc",
            "The gRPC service to check; for type GRPC only.",
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
    &[optional("port", "Port that probes go to.", PORT).or("the endpoint's own")],
    &[],
);

pub(crate) static HTTP: Object = object(
    &[
        required(
            "path",
            "Path of the probes; it begins with / and has printable ASCII characters without \
             spaces.",
            text(1, 1024),
        )
        .checked(checks::path),
        optional(
            "method",
            "Method of the probes, in any case; CONNECT is not allowed.",
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
            "Healthy statuses; if the list is given, 200 is healthy only if it is listed.",
            many(&STATUS),
        )
        .or("200"),
        optional(
            "retriableStatuses",
            "Statuses that count towards unhealthyThreshold, instead of making the endpoint \
             unhealthy at once.",
            many(&STATUS),
        )
        .or("none"),
        optional(
            "expectedResponse",
            "What the body of a healthy response must contain.",
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
            "Bytes to send when the connection is open.",
            Shape::Object(&PAYLOAD),
        )
        .or("nothing"),
        optional(
            "receive",
            "Bytes that the endpoint must answer.",
            Shape::Object(&PAYLOAD),
        )
        .or("connecting is enough"),
    ],
    &[],
);

pub(crate) static GRPC: Object = object(
    &[optional(
        "service",
        "Name of the service to check by gRPC's health service.",
        ANY_TEXT,
    )
    .or("the server as a whole")],
    &[],
);

pub(crate) static PAYLOAD: Object = object(
    &[
        required(
            "type",
            "Whether the bytes are given as text or as base64.",
            Shape::Choice(&["Text", "Binary"]),
        ),
        optional(
            "text",
            "The bytes as text, not empty; required for type Text, and only for it.",
            ANY_TEXT,
        )
        .checked(checks::payload),
        optional(
            "binary",
            "The bytes in base64; required for type Binary, and only for it.",
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
            "Which results are written; set failures and successes together, or neither.",
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
            "Kind of the sink; only files are supported.",
            Shape::Choice(&["File"]),
        ),
        optional(
            "file",
            "The file that results are appended to; required for type File.",
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
            "Allows one endpoint to be ejected even if maxEjectionPercent would not.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "baseEjectionTime",
            "How long an endpoint stays ejected, multiplied by the number of its ejections, up to \
             300s or this if it is longer; more than zero.",
            Shape::Positive,
        )
        .or("30s"),
        optional(
            "consecutive5XxErrors",
            "Consecutive responses of 500 and above that eject an endpoint; a failed connection \
             counts as one, unless splitExternalLocalOriginErrors is true.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("5"),
        optional(
            "consecutiveGatewayErrors",
            "Consecutive responses of 502, 503 and 504 that eject an endpoint; a failed \
             connection counts as one, unless splitExternalLocalOriginErrors is true.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("not looked at"),
        optional(
            "consecutiveLocalOriginFailures",
            "Consecutive connections that fail or time out before an endpoint is ejected; only \
             with splitExternalLocalOriginErrors.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("5"),
        optional(
            "failurePercentageThreshold",
            "Percent of failed requests in one interval that eject an endpoint; checked only if \
             five endpoints have fifty requests each.",
            PERCENT,
        )
        .or("not looked at"),
        optional(
            "interval",
            "How often endpoints are checked, ejected and readmitted; more than zero.",
            Shape::Positive,
        )
        .or("3s"),
        optional(
            "maxEjectionPercent",
            "Percent of a cluster's endpoints that may be ejected at the same time; with 10 and \
             fewer than ten endpoints none is ejected.",
            PERCENT,
        )
        .or("10"),
        optional(
            "splitExternalLocalOriginErrors",
            "Counts failed connections separately from error responses.",
            Shape::Boolean,
        )
        .or("false"),
    ],
    &[],
);
