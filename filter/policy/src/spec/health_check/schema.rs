//! `healthCheck`: what may be written.

use super::checks;
use crate::code::Code;
use crate::node::Node;
use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static HEALTH_CHECK: Object = object(
    &[
        optional("active", Shape::Object(&ACTIVE)),
        optional("passive", Shape::Object(&PASSIVE)),
        optional("panicThreshold", PERCENT),
    ],
    &[],
);

const THRESHOLD: Shape = integer(1, i64::MAX);

static ACTIVE: Object = object(
    &[
        required("type", Shape::Choice(&["HTTP", "TCP", "GRPC"])),
        optional("timeout", Shape::Duration).checked(POSITIVE),
        optional("interval", Shape::Duration).checked(POSITIVE),
        optional("initialJitter", Shape::Duration),
        optional("healthyThreshold", THRESHOLD).checked(UINT32_CHECK),
        optional("unhealthyThreshold", THRESHOLD).checked(UINT32_CHECK),
        optional("overrides", Shape::Object(&OVERRIDES)),
        optional("http", Shape::Object(&HTTP)),
        optional("tcp", Shape::Object(&TCP)),
        optional("grpc", Shape::Object(&GRPC)),
        optional("healthCheckLog", Shape::Object(&LOG)),
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

static OVERRIDES: Object = object(&[optional("port", PORT)], &[]);

static HTTP: Object = object(
    &[
        required("path", text(1, 1024)).checked(checks::path),
        optional("method", text(0, 16)).checked(checks::method),
        optional("hostname", HOSTNAME),
        optional("expectedStatuses", many(&STATUS)),
        optional("retriableStatuses", many(&STATUS)),
        optional("expectedResponse", Shape::Object(&PAYLOAD)),
        optional("requestBody", Shape::Object(&PAYLOAD)),
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

static TCP: Object = object(
    &[
        optional("send", Shape::Object(&PAYLOAD)),
        optional("receive", Shape::Object(&PAYLOAD)),
    ],
    &[],
);

static GRPC: Object = object(&[optional("service", ANY_TEXT)], &[]);

static PAYLOAD: Object = object(
    &[
        required("type", Shape::Choice(&["Text", "Binary"])),
        optional("text", ANY_TEXT).checked(checks::payload),
        optional("binary", formed(0, usize::MAX, Form::Base64)),
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

static LOG: Object = object(
    &[
        optional("matches", unique("", 0, 4, &LOG_MATCH)),
        optional("sinks", list(0, 1, &Shape::Object(&SINK))),
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

static SINK: Object = object(
    &[
        required("type", Shape::Choice(&["File"])),
        optional("file", Shape::Object(&FILE)),
    ],
    &[rule(
        Code::FieldOfType,
        "must have file exactly if its type is File",
        |it| (text_in(it, "type", "") == "File") == has(it, "file"),
    )],
);

static FILE: Object = object(&[required("path", text(1, usize::MAX))], &[]);

static PASSIVE: Object = object(
    &[
        optional("alwaysEjectOneEndpoint", Shape::Boolean),
        optional("baseEjectionTime", Shape::Duration).checked(POSITIVE),
        optional("consecutive5XxErrors", ANY_INTEGER).checked(UINT32_CHECK),
        optional("consecutiveGatewayErrors", ANY_INTEGER).checked(UINT32_CHECK),
        optional("consecutiveLocalOriginFailures", ANY_INTEGER).checked(UINT32_CHECK),
        optional("failurePercentageThreshold", PERCENT),
        optional("interval", Shape::Duration).checked(POSITIVE),
        optional("maxEjectionPercent", PERCENT),
        optional("splitExternalLocalOriginErrors", Shape::Boolean),
    ],
    &[],
);
