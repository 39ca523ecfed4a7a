//! `rateLimit`: what may be written.

use crate::code::Code;
use crate::schema::shape::*;
use crate::spec::canned_reply::schema::REJECT;
use crate::spec::selector::schema::SELECTOR;

pub(crate) static RATE_LIMIT: Object = object(
    &[
        optional("type", Shape::Choice(&["Global", "Local"])),
        optional("local", Shape::Object(&LOCAL)),
        optional("global", Shape::Object(&GLOBAL)),
    ],
    &[],
);

static LOCAL: Object = object(
    &[
        optional("rules", list(0, 16, &Shape::Object(&LOCAL_RULE))),
        extension("exempt", list(1, 16, &Shape::Object(&SELECTOR))),
        extension("mode", Shape::Choice(&["AllMatching", "FirstMatch"])),
        extension("reject", Shape::Object(&REJECT)),
        extension("retryAfter", Shape::Boolean),
        extension("disabled", Shape::Boolean),
    ],
    &[],
);

static CONCURRENCY: Object = object(&[required("max", integer(1, UINT32))], &[]);

static QUEUE: Object = object(
    &[
        required("maxDelay", Shape::Duration),
        extension("maxQueued", integer(1, UINT32)),
    ],
    &[],
);

pub(crate) static GLOBAL: Object = object(
    &[required("rules", list(0, 256, &Shape::Object(&RULE)))],
    &[],
);

/// A local rule has the fields of a global one, but two of them are refused,
/// and some of ours.
static LOCAL_RULE: Object = object(
    &[
        extension("name", formed(1, 63, Form::DnsSubdomain)),
        optional("clientSelectors", list(0, 8, &Shape::Object(&SELECTOR))),
        optional("limit", Shape::Object(&LOCAL_LIMIT)),
        extension("concurrency", Shape::Object(&CONCURRENCY)),
        optional("cost", Shape::Object(&COST)),
        optional("shared", Shape::Boolean),
        optional("shadowMode", Shape::Boolean),
        optional(
            "xRateLimitHeaders",
            Shape::Wider {
                crd: &X_RATE_LIMIT_HEADERS,
                ours: &Shape::Choice(&["Off", "DraftVersion03", "DraftVersion10"]),
            },
        ),
        extension("reject", Shape::Object(&REJECT)),
        extension("queue", Shape::Object(&QUEUE)),
    ],
    &[
        rule(Code::NoneOfFields, "must have limit or concurrency", |it| {
            count(it, &["limit", "concurrency"]) > 0
        }),
        rule(
            Code::ExcludedField,
            "must have limit beside cost or queue",
            |it| has(it, "limit") || count(it, &["cost", "queue"]) == 0,
        ),
        rule(
            Code::GlobalOnly,
            "must not have cost.response: it is global limits' only",
            |it| !it.field("cost").is_some_and(|it| has(it, "response")),
        ),
        rule(
            Code::GlobalOnly,
            "must not have limit.fromMetadata: it is global limits' only",
            |it| !it.field("limit").is_some_and(|it| has(it, "fromMetadata")),
        ),
    ],
);

const X_RATE_LIMIT_HEADERS: Shape = Shape::Choice(&["Off", "DraftVersion03"]);

static RULE: Object = object(
    &[
        optional("clientSelectors", list(0, 8, &Shape::Object(&SELECTOR))),
        required("limit", Shape::Object(&LIMIT)),
        optional("cost", Shape::Object(&COST)),
        optional("shared", Shape::Boolean),
        optional("shadowMode", Shape::Boolean),
        optional("xRateLimitHeaders", X_RATE_LIMIT_HEADERS),
    ],
    &[],
);

const UNIT: Shape = Shape::Choice(&["Second", "Minute", "Hour", "Day", "Week", "Month", "Year"]);

static LOCAL_LIMIT: Object = object(
    &[
        required("requests", integer(0, UINT32)),
        required("unit", UNIT),
        extension("burst", integer(1, UINT32)),
        optional("fromMetadata", Shape::Object(&LIMIT_METADATA)),
    ],
    &[],
);

static LIMIT: Object = object(
    &[
        required("requests", integer(0, UINT32)),
        required("unit", UNIT),
        optional("fromMetadata", Shape::Object(&LIMIT_METADATA)),
    ],
    &[],
);

static LIMIT_METADATA: Object = object(
    &[
        required("namespace", text(1, usize::MAX)),
        required("key", text(1, usize::MAX)),
    ],
    &[],
);

static COST: Object = object(
    &[
        optional("request", Shape::Object(&AMOUNT)),
        optional("response", Shape::Object(&AMOUNT)),
    ],
    &[],
);

static AMOUNT: Object = object(
    &[
        required("from", Shape::Choice(&["Number", "Metadata"])),
        optional("number", ANY_INTEGER),
        optional("metadata", Shape::Object(&AMOUNT_METADATA)),
    ],
    &[rule(
        Code::ExcludedField,
        "must not have both number and metadata",
        |it| count(it, &["number", "metadata"]) < 2,
    )],
);

static AMOUNT_METADATA: Object = object(
    &[required("namespace", ANY_TEXT), required("key", ANY_TEXT)],
    &[],
);
