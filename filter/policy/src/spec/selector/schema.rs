//! Conditions on requests: what may be written.

use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static SELECTOR: Object = object(
    &[
        optional(
            "headers",
            "Conditions on request headers; all of them must match.",
            list(0, 128, &Shape::Object(&VALUE_MATCH)),
        ),
        optional(
            "methods",
            "Methods; any of them matches. Inverted ones must all match.",
            many(&Shape::Object(&METHOD)),
        ),
        optional(
            "path",
            "Condition on the path, without the query.",
            Shape::Object(&PATH),
        ),
        optional(
            "sourceCIDR",
            "Condition on the client's address.",
            Shape::Object(&SOURCE),
        ),
        optional(
            "queryParams",
            "Conditions on query parameters; all of them must match. Names and values are \
             percent-decoded.",
            list(0, 16, &Shape::Object(&VALUE_MATCH)),
        ),
        extension(
            "metadata",
            "Conditions on dynamic metadata that filters before this one have written; all of \
             them must match. Not in rateLimit.global.",
            list(1, 16, &Shape::Object(&METADATA)),
        ),
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

/// A field `onMissing`, so described.
const fn on_missing(description: &'static str) -> Field {
    let choices = Shape::Choice(&["Exempt", "Limit", "Refuse"]);
    extension("onMissing", description, choices).or("Exempt")
}

pub(crate) static METADATA: Object = object(
    &[
        extension(
            "type",
            "Exact compares with value; Distinct counts each value separately, in rate limits \
             only.",
            Shape::Choice(&["Exact", "Distinct"]),
        )
        .or("Exact"),
        required(
            "namespace",
            "Namespace of the metadata, mostly the name of the filter that wrote it.",
            text(1, 256),
        ),
        required(
            "path",
            "Keys that lead to the value, one for each level, such as [claims, sub].",
            list(1, 16, &text(1, 256)),
        ),
        extension(
            "value",
            "The string, number or boolean that the metadata must be, of the same type; for type \
             Exact.",
            Shape::Either(&[text(0, 1024), Shape::Number, Shape::Boolean]),
        ),
        extension(
            "invert",
            "true inverts the condition: it matches other or missing metadata.",
            Shape::Boolean,
        )
        .or("false"),
        on_missing(
            "How to treat requests without the metadata, for type Distinct: Exempt does not count \
             them, Limit counts all of them in one bucket, Refuse answers them 400.",
        ),
    ],
    &[],
);

pub(crate) static VALUE_MATCH: Object = object(
    &[
        optional(
            "type",
            "Exact and RegularExpression compare the whole value; Distinct counts each value \
             separately, in rate limits only.",
            Shape::Choice(&["Exact", "RegularExpression", "Distinct"]),
        )
        .or("Exact"),
        required(
            "name",
            "Name of the header or parameter; that of a header in any case.",
            text(1, 256),
        ),
        optional(
            "value",
            "The text or pattern; required, and not empty, for Exact and RegularExpression, and \
             left out for Distinct.",
            text(0, 1024),
        ),
        optional(
            "invert",
            "true inverts the condition: it matches other or missing values; not with Distinct.",
            Shape::Boolean,
        )
        .or("false"),
        on_missing(
            "How to treat requests without the value, for type Distinct: Exempt does not count \
             them, Limit counts all of them in one bucket, Refuse answers them 400. Not in \
             rateLimit.global.",
        ),
    ],
    &[],
);

pub(crate) static METHOD: Object = object(
    &[
        required(
            "value",
            "The method, in capitals.",
            Shape::Choice(&[
                "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
            ]),
        ),
        optional(
            "invert",
            "true inverts the condition: it matches every other method.",
            Shape::Boolean,
        )
        .or("false"),
    ],
    &[],
);

pub(crate) static PATH: Object = object(
    &[
        optional(
            "type",
            "Exact and RegularExpression compare the whole path; PathPrefix compares whole \
             segments, so that /api is not a prefix of /apis.",
            Shape::Choice(&["Exact", "PathPrefix", "RegularExpression"]),
        )
        .or("PathPrefix"),
        optional(
            "value",
            "The path or pattern; a path begins with /.",
            text(0, 1024),
        )
        .or("/"),
        optional(
            "invert",
            "true inverts the condition: it matches every other path.",
            Shape::Boolean,
        )
        .or("false"),
    ],
    &[],
);

pub(crate) static SOURCE: Object = object(
    &[
        optional(
            "type",
            "Exact has one counter for the whole range; Distinct counts each address in it \
             separately, or each network of prefixLength, in rate limits only.",
            Shape::Choice(&["Exact", "Distinct"]),
        )
        .or("Exact"),
        required(
            "value",
            "Range of IPv4 or IPv6 addresses, such as 10.0.0.0/8 or 2001:db8::/32; a single one \
             is a range, too: 10.0.0.1/32.",
            text(1, 256),
        ),
        optional(
            "invert",
            "true inverts the condition: it matches addresses outside the range.",
            Shape::Boolean,
        )
        .or("false"),
        extension(
            "prefixLength",
            "Bits of an address that identify a client, such as 64 for IPv6; for type Distinct \
             without invert, from those of value to 32 (IPv4) or 128 (IPv6). Not in \
             rateLimit.global.",
            integer(0, 128),
        )
        .or("whole addresses"),
    ],
    &[],
);
