//! Faults, buffers, shedding, shaping, compression and upgrades.

use crate::code::Code;
use crate::node::Value;

use super::limits::SELECTOR;
use super::overrides::HEADER;
use super::shape::{
    ANY_TEXT, COUNT, Form, Object, PERCENT, STATUS, Shape, TOKEN, UINT32, count, extension, formed,
    has, integer, list, many, optional, required, rule, text, text_in,
};

/// Conditions of our extensions: alternatives, each like a clientSelector.
const SELECTORS: Shape = Shape::Object(&SELECTOR);

pub(super) static FAULT_INJECTION: Object = Object {
    fields: &[
        extension("position", Shape::Choice(&["Downstream", "Upstream"])),
        extension("attempts", list(1, 16, &integer(1, 100))),
        extension("match", list(1, 16, &SELECTORS)),
        optional("delay", Shape::Object(&DELAY)),
        optional("abort", Shape::Object(&ABORT)),
        extension("sampling", Shape::Object(&SAMPLING)),
        extension("headerControl", Shape::Object(&HEADER_CONTROL)),
        extension("schedule", Shape::Object(&SCHEDULE)),
        extension("maxActive", integer(1, UINT32)),
        extension("exemptHealthChecks", Shape::Boolean),
    ],
    rules: &[rule(
        Code::NoneOfFields,
        "must have delay, abort or headerControl",
        |it| count(it, &["delay", "abort", "headerControl"]) > 0,
    )],
};

static DELAY: Object = Object {
    fields: &[
        optional("fixedDelay", Shape::Duration),
        extension("distribution", Shape::Object(&DISTRIBUTION)),
        optional("percentage", Shape::Number),
    ],
    rules: &[rule(
        Code::NotExactlyOne,
        "must have a fixedDelay, or else a distribution",
        |it| count(it, &["fixedDelay", "distribution"]) == 1,
    )],
};

static DISTRIBUTION: Object = Object {
    fields: &[
        optional("uniform", Shape::Object(&UNIFORM)),
        optional("normal", Shape::Object(&NORMAL)),
        optional("logNormal", Shape::Object(&LOG_NORMAL)),
        optional("exponential", Shape::Object(&EXPONENTIAL)),
        optional("pareto", Shape::Object(&PARETO)),
        optional("empirical", Shape::Object(&EMPIRICAL)),
    ],
    rules: &[rule(
        Code::NotExactlyOne,
        "must be one distribution",
        |it| match &it.value {
            Value::Map(entries) => entries.len() == 1,
            _ => false,
        },
    )],
};

static UNIFORM: Object = Object {
    fields: &[
        required("min", Shape::Duration),
        required("max", Shape::Duration),
    ],
    rules: &[],
};

static NORMAL: Object = Object {
    fields: &[
        required("mean", Shape::Duration),
        required("stdDev", Shape::Duration),
        optional("max", Shape::Duration),
    ],
    rules: &[],
};

static LOG_NORMAL: Object = Object {
    fields: &[
        required("p50", Shape::Duration),
        required("p99", Shape::Duration),
        optional("max", Shape::Duration),
    ],
    rules: &[],
};

static EXPONENTIAL: Object = Object {
    fields: &[
        required("mean", Shape::Duration),
        optional("max", Shape::Duration),
    ],
    rules: &[],
};

static PARETO: Object = Object {
    fields: &[
        required("scale", Shape::Duration),
        required("shape", Shape::Number),
        optional("max", Shape::Duration),
    ],
    rules: &[],
};

static EMPIRICAL: Object = Object {
    fields: &[
        required("points", list(1, 64, &Shape::Object(&POINT))),
        optional("max", Shape::Duration),
    ],
    rules: &[],
};

static POINT: Object = Object {
    fields: &[
        required("percentile", Shape::Number),
        required("delay", Shape::Duration),
    ],
    rules: &[],
};

static ABORT: Object = Object {
    fields: &[
        optional("httpStatus", integer(200, 600)),
        optional("grpcStatus", integer(0, 16)),
        extension("reset", Shape::Boolean),
        optional("percentage", Shape::Number),
        extension("body", text(0, 65_536)),
        extension("contentType", text(1, 4096)),
        extension("headers", list(1, 16, &Shape::Object(&HEADER))),
    ],
    rules: &[rule(
        Code::NotExactlyOne,
        "must have exactly one of httpStatus, grpcStatus and reset: true",
        |it| {
            let reset = it.field("reset").map(|it| &it.value) == Some(&Value::Bool(true));
            count(it, &["httpStatus", "grpcStatus"]) + usize::from(reset) == 1
        },
    )],
};

static SAMPLING: Object = Object {
    fields: &[
        required(
            "key",
            Shape::Choice(&["None", "RequestID", "Header", "SourceIP"]),
        ),
        optional("name", TOKEN),
        optional("seed", integer(0, i64::MAX)),
    ],
    rules: &[rule(
        Code::FieldOfType,
        "must have a name for key Header, and only then",
        |it| has(it, "name") == (text_in(it, "key", "") == "Header"),
    )],
};

static HEADER_CONTROL: Object = Object {
    fields: &[
        optional("delay", Shape::Object(&DELAY_CONTROL)),
        optional("abort", Shape::Object(&ABORT_CONTROL)),
    ],
    rules: &[rule(
        Code::NoneOfFields,
        "must have delay, abort or both",
        |it| count(it, &["delay", "abort"]) > 0,
    )],
};

static DELAY_CONTROL: Object = Object {
    fields: &[
        required("max", Shape::Duration),
        optional("percentage", Shape::Number),
    ],
    rules: &[],
};

static ABORT_CONTROL: Object = Object {
    fields: &[optional("percentage", Shape::Number)],
    rules: &[],
};

static SCHEDULE: Object = Object {
    fields: &[
        optional("start", text(20, 64)),
        optional("end", text(20, 64)),
    ],
    rules: &[rule(
        Code::NoneOfFields,
        "must have start, end or both",
        |it| count(it, &["start", "end"]) > 0,
    )],
};

pub(super) static REQUEST_BUFFER: Object = Object {
    fields: &[
        optional("limit", Shape::Quantity),
        extension("mode", Shape::Choice(&["Buffer", "Stream"])),
        extension("includeStreams", Shape::Boolean),
        extension("gatherGrpc", Shape::Boolean),
        extension("rules", list(1, 16, &Shape::Object(&BUFFER_RULE))),
        extension("minDataRate", Shape::Object(&MIN_DATA_RATE)),
        extension("maxDuration", Shape::Duration),
        extension("maxTotal", Shape::Quantity),
        extension("reject", Shape::Object(&REJECTION)),
    ],
    rules: &[],
};

static BUFFER_RULE: Object = Object {
    fields: &[
        required("match", list(1, 16, &SELECTORS)),
        required("limit", Shape::Quantity),
    ],
    rules: &[],
};

static MIN_DATA_RATE: Object = Object {
    fields: &[
        required("bytesPerSecond", Shape::Quantity),
        optional("gracePeriod", Shape::Duration),
    ],
    rules: &[],
};

static REJECTION: Object = Object {
    fields: &[
        optional("statusCode", integer(400, 599)),
        optional("contentType", text(1, 4096)),
        optional("body", text(0, 65_536)),
        optional("headers", list(0, 16, &Shape::Object(&REJECTION_HEADER))),
    ],
    rules: &[],
};

static REJECTION_HEADER: Object = Object {
    fields: &[required("name", TOKEN), required("value", text(1, 4096))],
    rules: &[],
};

pub(super) static ADMISSION_CONTROL: Object = Object {
    fields: &[
        optional("maxRejectionPercent", PERCENT),
        optional("minRequestRate", COUNT),
        optional("minSuccessRate", integer(1, 100)),
        optional("rejectionAggression", integer(1, i64::MAX)),
        optional("samplingWindow", Shape::Duration),
        optional("successCriteria", Shape::Object(&SUCCESS_CRITERIA)),
    ],
    rules: &[rule(
        Code::DurationOutOfBounds,
        "must have a samplingWindow of at least 1s",
        |it| {
            let window = text_in(it, "samplingWindow", "1s");
            crate::scalar::Duration::parse(window)
                .is_none_or(|window| window.as_nanos() >= 1_000_000_000)
        },
    )],
};

static SUCCESS_CRITERIA: Object = Object {
    fields: &[
        optional("http", Shape::Object(&HTTP_CRITERIA)),
        optional("grpc", Shape::Object(&GRPC_CRITERIA)),
    ],
    rules: &[],
};

static HTTP_CRITERIA: Object = Object {
    fields: &[optional("statusCodes", many(&STATUS))],
    rules: &[],
};

static GRPC_CRITERIA: Object = Object {
    fields: &[optional("statusCodes", many(&GRPC_STATUS))],
    rules: &[],
};

const GRPC_STATUS: Shape = Shape::Choice(&[
    "Ok",
    "Cancelled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
]);

pub(super) static BANDWIDTH_LIMIT: Object = Object {
    fields: &[
        optional("request", Shape::Object(&REQUEST_BANDWIDTH)),
        optional("response", Shape::Object(&RESPONSE_BANDWIDTH)),
    ],
    rules: &[rule(
        Code::NoneOfFields,
        "must have request, response or both",
        |it| count(it, &["request", "response"]) > 0,
    )],
};

static REQUEST_BANDWIDTH: Object = Object {
    fields: &[required("limit", Shape::Object(&BANDWIDTH))],
    rules: &[],
};

static RESPONSE_BANDWIDTH: Object = Object {
    fields: &[
        required("limit", Shape::Object(&BANDWIDTH)),
        optional("responseTrailers", Shape::Object(&RESPONSE_TRAILERS)),
    ],
    rules: &[],
};

static BANDWIDTH: Object = Object {
    fields: &[
        required("value", Shape::Quantity),
        required("unit", Shape::Choice(&["Second", "Minute", "Hour"])),
    ],
    rules: &[],
};

static RESPONSE_TRAILERS: Object = Object {
    fields: &[optional("prefix", formed(0, usize::MAX, Form::OneLine))],
    rules: &[],
};

pub(super) static COMPRESSION: Object = Object {
    fields: &[
        required("type", Shape::Choice(&["Gzip", "Brotli", "Zstd"])),
        optional("gzip", Shape::Object(&NOTHING)),
        optional("brotli", Shape::Object(&NOTHING)),
        optional("zstd", Shape::Object(&NOTHING)),
        optional("minContentLength", Shape::Quantity),
    ],
    rules: &[],
};

static NOTHING: Object = Object {
    fields: &[],
    rules: &[],
};

pub(super) static HTTP_UPGRADE: Object = Object {
    fields: &[
        required("type", ANY_TEXT),
        optional("connect", Shape::Object(&CONNECT)),
    ],
    rules: &[rule(
        Code::FieldOfType,
        "must be of type CONNECT to have connect",
        |it| !has(it, "connect") || text_in(it, "type", "") == "CONNECT",
    )],
};

static CONNECT: Object = Object {
    fields: &[optional("terminate", Shape::Boolean)],
    rules: &[],
};
