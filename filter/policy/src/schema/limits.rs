//! `rateLimit`.

use super::shape::{
    ANY_INTEGER, ANY_TEXT, Object, Shape, UINT32, count, has, integer, list, many, optional,
    required, rule, text,
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
    fields: &[optional("rules", list(0, 16, &Shape::Object(&LOCAL_RULE)))],
    rules: &[],
};

pub(super) static GLOBAL: Object = Object {
    fields: &[required("rules", list(0, 256, &Shape::Object(&RULE)))],
    rules: &[],
};

/// A local rule has the fields of a global one, but two of them are refused.
static LOCAL_RULE: Object = Object {
    fields: RULE.fields,
    rules: &[
        rule(
            "must not have cost.response: it is global limits' only",
            |it| !it.field("cost").is_some_and(|it| has(it, "response")),
        ),
        rule(
            "must not have limit.fromMetadata: it is global limits' only",
            |it| !it.field("limit").is_some_and(|it| has(it, "fromMetadata")),
        ),
    ],
};

static RULE: Object = Object {
    fields: &[
        optional("clientSelectors", list(0, 8, &Shape::Object(&SELECTOR))),
        required("limit", Shape::Object(&LIMIT)),
        optional("cost", Shape::Object(&COST)),
        optional("shared", Shape::Boolean),
        optional("shadowMode", Shape::Boolean),
        optional(
            "xRateLimitHeaders",
            Shape::Choice(&["Off", "DraftVersion03"]),
        ),
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
    ],
    rules: &[rule(
        "must have one of headers, methods, path, sourceCIDR and queryParams",
        |it| {
            count(
                it,
                &["headers", "methods", "path", "sourceCIDR", "queryParams"],
            ) > 0
        },
    )],
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

static LIMIT: Object = Object {
    fields: &[
        required("requests", integer(0, UINT32)),
        required(
            "unit",
            Shape::Choice(&["Second", "Minute", "Hour", "Day", "Week", "Month", "Year"]),
        ),
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
    rules: &[rule("must not have both number and metadata", |it| {
        count(it, &["number", "metadata"]) < 2
    })],
};

static AMOUNT_METADATA: Object = Object {
    fields: &[required("namespace", ANY_TEXT), required("key", ANY_TEXT)],
    rules: &[],
};
