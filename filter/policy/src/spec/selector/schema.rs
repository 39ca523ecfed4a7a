//! Conditions on requests: what may be written.

use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static SELECTOR: Object = object(
    &[
        optional(
            "headers",
            "Conditions on request headers, all of which must hold.",
            list(0, 128, &Shape::Object(&VALUE_MATCH)),
        ),
        optional(
            "methods",
            "Methods, any of which is enough; inverted ones must all hold.",
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
            "Conditions on parameters of the query, all of which must hold; names and values \
             are percent-decoded.",
            list(0, 16, &Shape::Object(&VALUE_MATCH)),
        ),
        extension(
            "metadata",
            "Conditions on Envoy's dynamic metadata, as filters before this one have \
             written it; all must hold. Not in rateLimit.global.",
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
            "Exact compares with value; Distinct counts each value apart, in rate limits only.",
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
            "The text, number or boolean that the metadata must be, of the same kind; for type \
             Exact.",
            Shape::Either(&[text(0, 1024), Shape::Number, Shape::Boolean]),
        ),
        extension(
            "invert",
            "With true the condition holds where the metadata is something else, or not there.",
            Shape::Boolean,
        )
        .or("false"),
        on_missing(
            "Requests without the metadata, for type Distinct: with Exempt the rule does not \
             count them, with Limit all of them share one bucket, with Refuse they are answered \
             400.",
        ),
    ],
    &[],
);

pub(crate) static VALUE_MATCH: Object = object(
    &[
        optional(
            "type",
            "Exact and RegularExpression compare all of the value; Distinct counts each value \
             apart, in rate limits only.",
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
            "Text or pattern that is compared with; needed, and not empty, for Exact \
             and RegularExpression, and left out for Distinct.",
            text(0, 1024),
        ),
        optional(
            "invert",
            "With true the condition holds where the value is another, or not there; not with \
             Distinct.",
            Shape::Boolean,
        )
        .or("false"),
        on_missing(
            "Requests without the value, for type Distinct: with Exempt the rule does not count \
             them, with Limit all of them share one bucket, with Refuse they are answered 400. \
             Not in rateLimit.global.",
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
            "With true every other method meets the condition.",
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
            "Exact and RegularExpression compare all of the path; PathPrefix compares whole \
             segments, so that /api is no prefix of /apis.",
            Shape::Choice(&["Exact", "PathPrefix", "RegularExpression"]),
        )
        .or("PathPrefix"),
        optional(
            "value",
            "Path or pattern that is compared with; a path begins with /.",
            text(0, 1024),
        )
        .or("/"),
        optional(
            "invert",
            "With true the condition holds for every other path.",
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
             apart, or each network of prefixLength, in rate limits only.",
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
            "With true the condition holds for addresses outside of the range.",
            Shape::Boolean,
        )
        .or("false"),
        extension(
            "prefixLength",
            "Bits of an address that tell one client from another, such as 64 of IPv6; for type \
             Distinct without invert, from those of value to 32 (IPv4) or 128 (IPv6). Not in \
             rateLimit.global.",
            integer(0, 128),
        )
        .or("whole addresses"),
    ],
    &[],
);
