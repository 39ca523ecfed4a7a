//! `responseOverride`: what may be written.

use crate::code::Code;
use crate::node::Value;
use crate::schema::shape::*;
use crate::spec::canned_reply::schema::HEADER;
use crate::spec::selector::schema::SELECTOR;

pub(crate) static RESPONSE_OVERRIDE: Object = object(
    &[
        required("match", Shape::Object(&MATCH)),
        optional("source", Shape::Choice(&["All", "Local", "Backend"])),
        optional("response", Shape::Object(&RESPONSE)),
        optional("redirect", Shape::Object(&REDIRECT)),
        extension("keepHeaders", Shape::Either(&KEEP_HEADERS)),
    ],
    &[rule(
        Code::NotExactlyOne,
        "must have exactly one of response and redirect",
        |it| count(it, &["response", "redirect"]) == 1,
    )],
);

static KEEP_HEADERS: [Shape; 2] = [Shape::Choice(&["None", "All"]), list(1, 64, &TOKEN)];

static MATCH: Object = object(
    &[
        optional("statusCodes", list(1, 50, &Shape::Object(&STATUS_CODE))),
        optional(
            "responseHeaders",
            list(1, 16, &Shape::Object(&HEADER_MATCH)),
        ),
        extension("grpcStatus", list(1, 17, &GRPC_STATUS)),
        extension("requests", list(1, 16, &Shape::Object(&SELECTOR))),
    ],
    &[rule(
        Code::NoneOfFields,
        "must have statusCodes, responseHeaders, grpcStatus or requests",
        |it| {
            let conditions = ["statusCodes", "responseHeaders", "grpcStatus", "requests"];
            count(it, &conditions) > 0
        },
    )],
);

const GRPC_STATUS: Shape = integer(0, 16);

static STATUS_CODE: Object = object(
    &[
        optional("type", Shape::Choice(&["Value", "Range"])),
        optional("value", ANY_INTEGER),
        optional("range", Shape::Object(&RANGE)),
    ],
    &[
        rule(
            Code::FieldOfType,
            "must have a value, and no range, for type Value",
            |it| text_in(it, "type", "Value") != "Value" || has(it, "value"),
        ),
        rule(
            Code::FieldOfType,
            "must have a range, and no value, for type Range",
            |it| text_in(it, "type", "Value") != "Range" || has(it, "range"),
        ),
    ],
);

static RANGE: Object = object(
    &[required("start", ANY_INTEGER), required("end", ANY_INTEGER)],
    &[rule(
        Code::WrongOrder,
        "must end after it starts",
        |it| match (
            it.field("start").map(|it| &it.value),
            it.field("end").map(|it| &it.value),
        ) {
            (Some(Value::Int(start)), Some(Value::Int(end))) => start < end,
            _ => true,
        },
    )],
);

static HEADER_MATCH: Object = object(
    &[
        required("name", TOKEN),
        required("value", Shape::Object(&STRING_MATCH)),
    ],
    &[],
);

static STRING_MATCH: Object = object(
    &[
        optional(
            "type",
            Shape::Choice(&["Exact", "Prefix", "Suffix", "RegularExpression"]),
        ),
        required("value", text(1, 1024)),
    ],
    &[],
);

static RESPONSE: Object = object(
    &[
        optional("statusCode", ANY_INTEGER),
        optional("contentType", ANY_TEXT),
        optional("body", Shape::Object(&BODY)),
        optional("header", Shape::Object(&HEADER_CHANGES)),
        extension("grpcStatus", GRPC_STATUS),
        extension("keepBody", Shape::Boolean),
        extension("variants", list(1, 16, &Shape::Object(&VARIANT))),
    ],
    &[rule(
        Code::ExcludedField,
        "must not have both body and variants",
        |it| count(it, &["body", "variants"]) < 2,
    )],
);

static VARIANT: Object = object(
    &[
        required("contentType", text(3, 4096)),
        required("body", Shape::Object(&BODY)),
    ],
    &[],
);

static BODY: Object = object(
    &[
        optional("type", Shape::Choice(&["Inline", "ValueRef"])),
        optional("inline", ANY_TEXT),
        optional("valueRef", Shape::Object(&VALUE_REF)),
        extension(
            "format",
            Shape::Choice(&["Template", "Literal", "RawTemplate"]),
        ),
    ],
    &[
        rule(
            Code::FieldOfType,
            "must have inline for type Inline",
            |it| text_in(it, "type", "Inline") != "Inline" || has(it, "inline"),
        ),
        rule(
            Code::FieldOfType,
            "must have valueRef for type ValueRef",
            |it| text_in(it, "type", "Inline") != "ValueRef" || has(it, "valueRef"),
        ),
        rule(Code::WrongConstant, "must refer to a ConfigMap", |it| {
            it.field("valueRef")
                .is_none_or(|it| text_in(it, "kind", "ConfigMap") == "ConfigMap")
        }),
    ],
);

static VALUE_REF: Object = object(
    &[
        required("group", formed(0, 253, Form::Group)),
        required("kind", formed(1, 63, Form::Kind)),
        required("name", text(1, 253)),
    ],
    &[],
);

static HEADER_CHANGES: Object = object(
    &[
        optional("set", unique("name", 0, 16, &Shape::Object(&HEADER))),
        optional("add", unique("name", 0, 16, &Shape::Object(&HEADER))),
        optional("remove", unique("", 0, 16, &ANY_TEXT)),
    ],
    &[],
);

static REDIRECT: Object = object(
    &[
        optional("scheme", Shape::Choice(&["http", "https"])),
        optional("hostname", HOSTNAME),
        optional("path", Shape::Object(&PATH)),
        optional("port", ANY_INTEGER),
        optional(
            "statusCode",
            Shape::Wider {
                crd: &integer(301, 302),
                ours: &integer(301, 308),
            },
        ),
        extension("mode", Shape::Choice(&["Client"])),
        extension("hosts", list(1, 64, &text(1, 259))),
    ],
    &[],
);

static PATH: Object = object(
    &[
        required(
            "type",
            Shape::Choice(&["ReplaceFullPath", "ReplacePrefixMatch"]),
        ),
        optional("replaceFullPath", text(0, 1024)),
        optional("replacePrefixMatch", text(0, 1024)),
    ],
    &[rule(
        Code::FieldOfType,
        "must be of type ReplaceFullPath, with replaceFullPath",
        |it| {
            text_in(it, "type", "") == "ReplaceFullPath"
                && has(it, "replaceFullPath")
                && !has(it, "replacePrefixMatch")
        },
    )],
);
