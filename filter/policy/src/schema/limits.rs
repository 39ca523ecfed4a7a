//! `rateLimit`.

use crate::code::Code;

use super::shape::{
    ANY_INTEGER, ANY_TEXT, Form, Object, Shape, TOKEN, UINT32, count, extension, formed, has,
    integer, list, many, optional, required, rule, text,
};

pub(super) static RATE_LIMIT: Object = Object {
    fields: &[
        optional("type", Shape::Choice(&["Global", "Local"])),
        optional("local", Shape::Object(&LOCAL)),
        optional("global", Shape::Object(&GLOBAL)),
    ],
    rules: &[],
};

static LOCAL: Object = Object {
    fields: &[
        optional("rules", list(0, 16, &Shape::Object(&LOCAL_RULE))),
        extension("exempt", list(1, 16, &Shape::Object(&SELECTOR))),
        extension("mode", Shape::Choice(&["AllMatching", "FirstMatch"])),
        extension("reject", Shape::Object(&REJECT)),
        extension("retryAfter", Shape::Boolean),
        extension("disabled", Shape::Boolean),
    ],
    rules: &[],
};

static CONCURRENCY: Object = Object {
    fields: &[required("max", integer(1, UINT32))],
    rules: &[],
};

static QUEUE: Object = Object {
    fields: &[
        required("maxDelay", Shape::Duration),
        extension("maxQueued", integer(1, UINT32)),
    ],
    rules: &[],
};

static REJECT: Object = Object {
    fields: &[
        extension("statusCode", integer(400, 599)),
        extension("contentType", text(1, 4096)),
        extension("body", text(0, 65_536)),
        extension("headers", list(0, 16, &Shape::Object(&REJECT_HEADER))),
        extension("grpcStatus", integer(1, 16)),
    ],
    rules: &[],
};

static REJECT_HEADER: Object = Object {
    fields: &[required("name", TOKEN), required("value", text(1, 4096))],
    rules: &[],
};

pub(super) static GLOBAL: Object = Object {
    fields: &[required("rules", list(0, 256, &Shape::Object(&RULE)))],
    rules: &[],
};

/// A local rule has the fields of a global one, but two of them are refused,
/// and some of ours.
static LOCAL_RULE: Object = Object {
    fields: &[
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
    rules: &[
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
};

const X_RATE_LIMIT_HEADERS: Shape = Shape::Choice(&["Off", "DraftVersion03"]);

static RULE: Object = Object {
    fields: &[
        optional("clientSelectors", list(0, 8, &Shape::Object(&SELECTOR))),
        required("limit", Shape::Object(&LIMIT)),
        optional("cost", Shape::Object(&COST)),
        optional("shared", Shape::Boolean),
        optional("shadowMode", Shape::Boolean),
        optional("xRateLimitHeaders", X_RATE_LIMIT_HEADERS),
    ],
    rules: &[],
};

pub(super) static SELECTOR: Object = Object {
    fields: &[
        optional("headers", list(0, 128, &Shape::Object(&VALUE_MATCH))),
        optional("methods", many(&Shape::Object(&METHOD))),
        optional("path", Shape::Object(&PATH)),
        optional("sourceCIDR", Shape::Object(&SOURCE)),
        optional("queryParams", list(0, 16, &Shape::Object(&VALUE_MATCH))),
        extension("metadata", list(1, 16, &Shape::Object(&METADATA))),
    ],
    rules: &[rule(
        Code::NoneOfFields,
        "must have one of headers, methods, path, sourceCIDR, queryParams and metadata",
        |it| {
            let fields = [
                "headers",
                "methods",
                "path",
                "sourceCIDR",
                "queryParams",
                "metadata",
            ];
            count(it, &fields) > 0
        },
    )],
};

static METADATA: Object = Object {
    fields: &[
        extension("type", Shape::Choice(&["Exact", "Distinct"])),
        required("namespace", text(1, 256)),
        required("path", list(1, 16, &text(1, 256))),
        extension(
            "value",
            Shape::Either(&[text(0, 1024), Shape::Number, Shape::Boolean]),
        ),
        extension("invert", Shape::Boolean),
    ],
    rules: &[],
};

static VALUE_MATCH: Object = Object {
    fields: &[
        optional(
            "type",
            Shape::Choice(&["Exact", "RegularExpression", "Distinct"]),
        ),
        required("name", text(1, 256)),
        optional("value", text(0, 1024)),
        optional("invert", Shape::Boolean),
    ],
    rules: &[],
};

static METHOD: Object = Object {
    fields: &[
        required(
            "value",
            Shape::Choice(&[
                "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
            ]),
        ),
        optional("invert", Shape::Boolean),
    ],
    rules: &[],
};

static PATH: Object = Object {
    fields: &[
        optional(
            "type",
            Shape::Choice(&["Exact", "PathPrefix", "RegularExpression"]),
        ),
        optional("value", text(0, 1024)),
        optional("invert", Shape::Boolean),
    ],
    rules: &[],
};

static SOURCE: Object = Object {
    fields: &[
        optional("type", Shape::Choice(&["Exact", "Distinct"])),
        required("value", text(1, 256)),
        optional("invert", Shape::Boolean),
    ],
    rules: &[],
};

const UNIT: Shape = Shape::Choice(&["Second", "Minute", "Hour", "Day", "Week", "Month", "Year"]);

static LOCAL_LIMIT: Object = Object {
    fields: &[
        required("requests", integer(0, UINT32)),
        required("unit", UNIT),
        extension("burst", integer(1, UINT32)),
        optional("fromMetadata", Shape::Object(&LIMIT_METADATA)),
    ],
    rules: &[],
};

static LIMIT: Object = Object {
    fields: &[
        required("requests", integer(0, UINT32)),
        required("unit", UNIT),
        optional("fromMetadata", Shape::Object(&LIMIT_METADATA)),
    ],
    rules: &[],
};

static LIMIT_METADATA: Object = Object {
    fields: &[
        required("namespace", text(1, usize::MAX)),
        required("key", text(1, usize::MAX)),
    ],
    rules: &[],
};

static COST: Object = Object {
    fields: &[
        optional("request", Shape::Object(&AMOUNT)),
        optional("response", Shape::Object(&AMOUNT)),
    ],
    rules: &[],
};

static AMOUNT: Object = Object {
    fields: &[
        required("from", Shape::Choice(&["Number", "Metadata"])),
        optional("number", ANY_INTEGER),
        optional("metadata", Shape::Object(&AMOUNT_METADATA)),
    ],
    rules: &[rule(
        Code::ExcludedField,
        "must not have both number and metadata",
        |it| count(it, &["number", "metadata"]) < 2,
    )],
};

static AMOUNT_METADATA: Object = Object {
    fields: &[required("namespace", ANY_TEXT), required("key", ANY_TEXT)],
    rules: &[],
};
