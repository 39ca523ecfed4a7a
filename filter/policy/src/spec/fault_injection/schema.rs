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
    &[rule(
        Code::NoneOfFields,
        "must have delay, abort or headerControl",
        |it| count(it, &["delay", "abort", "headerControl"]) > 0,
    )],
);

static DELAY: Object = object(
    &[
        optional("fixedDelay", Shape::Duration),
        extension("distribution", Shape::Object(&DISTRIBUTION)),
        optional("percentage", Shape::Number),
    ],
    &[rule(
        Code::NotExactlyOne,
        "must have a fixedDelay, or else a distribution",
        |it| count(it, &["fixedDelay", "distribution"]) == 1,
    )],
);

static DISTRIBUTION: Object = object(
    &[
        optional("uniform", Shape::Object(&UNIFORM)),
        optional("normal", Shape::Object(&NORMAL)),
        optional("logNormal", Shape::Object(&LOG_NORMAL)),
        optional("exponential", Shape::Object(&EXPONENTIAL)),
        optional("pareto", Shape::Object(&PARETO)),
        optional("empirical", Shape::Object(&EMPIRICAL)),
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

static UNIFORM: Object = object(
    &[
        required("min", Shape::Duration),
        required("max", Shape::Duration),
    ],
    &[],
);

static NORMAL: Object = object(
    &[
        required("mean", Shape::Duration),
        required("stdDev", Shape::Duration),
        optional("max", Shape::Duration),
    ],
    &[],
);

static LOG_NORMAL: Object = object(
    &[
        required("p50", Shape::Duration),
        required("p99", Shape::Duration),
        optional("max", Shape::Duration),
    ],
    &[],
);

static EXPONENTIAL: Object = object(
    &[
        required("mean", Shape::Duration),
        optional("max", Shape::Duration),
    ],
    &[],
);

static PARETO: Object = object(
    &[
        required("scale", Shape::Duration),
        required("shape", Shape::Number),
        optional("max", Shape::Duration),
    ],
    &[],
);

static EMPIRICAL: Object = object(
    &[
        required("points", list(1, 64, &Shape::Object(&POINT))),
        optional("max", Shape::Duration),
    ],
    &[],
);

static POINT: Object = object(
    &[
        required("percentile", Shape::Number),
        required("delay", Shape::Duration),
    ],
    &[],
);

static ABORT: Object = object(
    &[
        optional("httpStatus", integer(200, 600)),
        optional("grpcStatus", integer(0, 16)),
        extension("reset", Shape::Boolean),
        optional("percentage", Shape::Number),
        extension("body", text(0, 65_536)),
        extension("contentType", text(1, 4096)),
        extension("headers", list(1, 16, &Shape::Object(&HEADER))),
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

static SAMPLING: Object = object(
    &[
        required(
            "key",
            Shape::Choice(&["None", "RequestID", "Header", "SourceIP"]),
        ),
        optional("name", TOKEN),
        optional("seed", integer(0, i64::MAX)),
    ],
    &[rule(
        Code::FieldOfType,
        "must have a name for key Header, and only then",
        |it| has(it, "name") == (text_in(it, "key", "") == "Header"),
    )],
);

static HEADER_CONTROL: Object = object(
    &[
        optional("delay", Shape::Object(&DELAY_CONTROL)),
        optional("abort", Shape::Object(&ABORT_CONTROL)),
    ],
    &[rule(
        Code::NoneOfFields,
        "must have delay, abort or both",
        |it| count(it, &["delay", "abort"]) > 0,
    )],
);

static DELAY_CONTROL: Object = object(
    &[
        required("max", Shape::Duration),
        optional("percentage", Shape::Number),
    ],
    &[],
);

static ABORT_CONTROL: Object = object(&[optional("percentage", Shape::Number)], &[]);

static SCHEDULE: Object = object(
    &[
        optional("start", text(20, 64)),
        optional("end", text(20, 64)),
    ],
    &[rule(
        Code::NoneOfFields,
        "must have start, end or both",
        |it| count(it, &["start", "end"]) > 0,
    )],
);
