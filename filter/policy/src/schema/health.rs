//! `healthCheck`.

use crate::code::Code;
use crate::node::Node;

use super::shape::{
    ANY_INTEGER, ANY_TEXT, Form, HOSTNAME, Object, PERCENT, PORT, STATUS, Shape, formed, has,
    integer, items, list, many, optional, required, rule, text, text_in, unique,
};

pub(super) static HEALTH_CHECK: Object = Object {
    fields: &[
        optional("active", Shape::Object(&ACTIVE)),
        optional("passive", Shape::Object(&PASSIVE)),
        optional("panicThreshold", PERCENT),
    ],
    rules: &[],
};

const THRESHOLD: Shape = integer(1, i64::MAX);

static ACTIVE: Object = Object {
    fields: &[
        required("type", Shape::Choice(&["HTTP", "TCP", "GRPC"])),
        optional("timeout", Shape::Duration),
        optional("interval", Shape::Duration),
        optional("initialJitter", Shape::Duration),
        optional("healthyThreshold", THRESHOLD),
        optional("unhealthyThreshold", THRESHOLD),
        optional("overrides", Shape::Object(&OVERRIDES)),
        optional("http", Shape::Object(&HTTP)),
        optional("tcp", Shape::Object(&TCP)),
        optional("grpc", Shape::Object(&GRPC)),
        optional("healthCheckLog", Shape::Object(&LOG)),
    ],
    rules: &[
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
};

static OVERRIDES: Object = Object {
    fields: &[optional("port", PORT)],
    rules: &[],
};

static HTTP: Object = Object {
    fields: &[
        required("path", text(1, 1024)),
        optional("method", text(0, 16)),
        optional("hostname", HOSTNAME),
        optional("expectedStatuses", many(&STATUS)),
        optional("retriableStatuses", many(&STATUS)),
        optional("expectedResponse", Shape::Object(&PAYLOAD)),
        optional("requestBody", Shape::Object(&PAYLOAD)),
    ],
    rules: &[rule(
        Code::MalformedMethod,
        "must have the method POST or PUT for a requestBody",
        |it| {
            let method = text_in(it, "method", "").to_ascii_uppercase();
            !has(it, "requestBody") || matches!(method.as_str(), "POST" | "PUT")
        },
    )],
};

static TCP: Object = Object {
    fields: &[
        optional("send", Shape::Object(&PAYLOAD)),
        optional("receive", Shape::Object(&PAYLOAD)),
    ],
    rules: &[],
};

static GRPC: Object = Object {
    fields: &[optional("service", ANY_TEXT)],
    rules: &[],
};

static PAYLOAD: Object = Object {
    fields: &[
        required("type", Shape::Choice(&["Text", "Binary"])),
        optional("text", ANY_TEXT),
        optional("binary", formed(0, usize::MAX, Form::Base64)),
    ],
    rules: &[
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
};

static LOG: Object = Object {
    fields: &[
        optional("matches", unique("", 0, 4, &LOG_MATCH)),
        optional("sinks", list(0, 1, &Shape::Object(&SINK))),
    ],
    rules: &[rule(
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
};

const LOG_MATCH: Shape = Shape::Choice(&[
    "Failure",
    "FailureSeriesStart",
    "Success",
    "HealthyTransition",
]);

static SINK: Object = Object {
    fields: &[
        required("type", Shape::Choice(&["File"])),
        optional("file", Shape::Object(&FILE)),
    ],
    rules: &[rule(
        Code::FieldOfType,
        "must have file exactly if its type is File",
        |it| (text_in(it, "type", "") == "File") == has(it, "file"),
    )],
};

static FILE: Object = Object {
    fields: &[required("path", text(1, usize::MAX))],
    rules: &[],
};

static PASSIVE: Object = Object {
    fields: &[
        optional("alwaysEjectOneEndpoint", Shape::Boolean),
        optional("baseEjectionTime", Shape::Duration),
        optional("consecutive5XxErrors", ANY_INTEGER),
        optional("consecutiveGatewayErrors", ANY_INTEGER),
        optional("consecutiveLocalOriginFailures", ANY_INTEGER),
        optional("failurePercentageThreshold", PERCENT),
        optional("interval", Shape::Duration),
        optional("maxEjectionPercent", PERCENT),
        optional("splitExternalLocalOriginErrors", Shape::Boolean),
    ],
    rules: &[],
};
