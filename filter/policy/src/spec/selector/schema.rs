//! Conditions on requests: what may be written.

use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static SELECTOR: Object = object(
    &[
        optional("headers", list(0, 128, &Shape::Object(&VALUE_MATCH))),
        optional("methods", many(&Shape::Object(&METHOD))),
        optional("path", Shape::Object(&PATH)),
        optional("sourceCIDR", Shape::Object(&SOURCE)),
        optional("queryParams", list(0, 16, &Shape::Object(&VALUE_MATCH))),
        extension("metadata", list(1, 16, &Shape::Object(&METADATA))),
    ],
    &[rule(
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
);

static METADATA: Object = object(
    &[
        extension("type", Shape::Choice(&["Exact", "Distinct"])),
        required("namespace", text(1, 256)),
        required("path", list(1, 16, &text(1, 256))),
        extension(
            "value",
            Shape::Either(&[text(0, 1024), Shape::Number, Shape::Boolean]),
        ),
        extension("invert", Shape::Boolean),
    ],
    &[],
);

static VALUE_MATCH: Object = object(
    &[
        optional(
            "type",
            Shape::Choice(&["Exact", "RegularExpression", "Distinct"]),
        ),
        required("name", text(1, 256)),
        optional("value", text(0, 1024)),
        optional("invert", Shape::Boolean),
    ],
    &[],
);

static METHOD: Object = object(
    &[
        required(
            "value",
            Shape::Choice(&[
                "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
            ]),
        ),
        optional("invert", Shape::Boolean),
    ],
    &[],
);

static PATH: Object = object(
    &[
        optional(
            "type",
            Shape::Choice(&["Exact", "PathPrefix", "RegularExpression"]),
        ),
        optional("value", text(0, 1024)),
        optional("invert", Shape::Boolean),
    ],
    &[],
);

static SOURCE: Object = object(
    &[
        optional("type", Shape::Choice(&["Exact", "Distinct"])),
        required("value", text(1, 256)),
        optional("invert", Shape::Boolean),
    ],
    &[],
);
