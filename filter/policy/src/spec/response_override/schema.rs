//! `responseOverride`: what may be written.

use crate::code::Code;
use crate::node::Value;
use crate::schema::shape::*;
use crate::spec::canned_reply::schema::HEADER;
use crate::spec::selector::schema::SELECTOR;

pub(crate) static RESPONSE_OVERRIDE: Object = object(
    &[
        extension(
            "name",
            "Names the rule in metrics and logs; a DNS label, unique in the policy.",
            formed(1, 63, Form::DnsLabel),
        )
        .or("its conditions name it in metrics"),
        required(
            "match",
            "Conditions on the response and its request; all of them must match.",
            Shape::Object(&MATCH),
        ),
        optional(
            "source",
            "Which responses match: any, those that Envoy itself generates, or those of upstreams.",
            Shape::Choice(&["All", "Local", "Backend"]),
        )
        .or("All"),
        optional(
            "response",
            "The new response; exactly one of this and redirect.",
            Shape::Object(&RESPONSE),
        ),
        optional(
            "redirect",
            "The address of another response; exactly one of this and response.",
            Shape::Object(&REDIRECT),
        ),
        extension(
            "keepHeaders",
            "Headers of the original response to keep: none, all, or a list.",
            Shape::Either(&KEEP_HEADERS),
        )
        .or("None"),
    ],
    &[rule(
        Code::NotExactlyOne,
        "must have exactly one of response and redirect",
        |it| count(it, &["response", "redirect"]) == 1,
    )],
);

static KEEP_HEADERS: [Shape; 2] = [Shape::Choice(&["None", "All"]), list(1, 64, &TOKEN)];

pub(crate) static MATCH: Object = object(
    &[
        optional(
            "statusCodes",
            "Statuses of the response; any of them matches.",
            list(1, 50, &Shape::Object(&STATUS_CODE)),
        )
        .or("any"),
        optional(
            "responseHeaders",
            "Conditions on headers of the response; all of them must match. A missing header \
             matches none.",
            list(1, 16, &Shape::Object(&HEADER_MATCH)),
        ),
        extension(
            "grpcStatus",
            "Statuses of gRPC responses by their number; any of them matches. A plain HTTP \
             response matches none.",
            list(1, 17, &GRPC_STATUS),
        ),
        extension(
            "requests",
            "Conditions on the request, without Distinct; any of them matches. In at most 64 \
             rules of a policy.",
            list(1, 16, &Shape::Object(&SELECTOR)),
        )
        .or("every request"),
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

pub(crate) static STATUS_CODE: Object = object(
    &[
        optional(
            "type",
            "Value for one status, Range for several.",
            Shape::Choice(&["Value", "Range"]),
        )
        .or("Value"),
        optional(
            "value",
            "The status, for type Value.",
            ours(&ANY_INTEGER, &integer(200, 599)),
        ),
        optional(
            "range",
            "The range of statuses, for type Range.",
            Shape::Object(&RANGE),
        ),
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

pub(crate) static RANGE: Object = object(
    &[
        required(
            "start",
            "The first status of the range.",
            ours(&ANY_INTEGER, &integer(200, 599)),
        ),
        required(
            "end",
            "The last status of the range, inclusive; not below start, and for Envoy Gateway \
             above it.",
            ours(&ANY_INTEGER, &integer(200, 599)),
        ),
    ],
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

pub(crate) static HEADER_MATCH: Object = object(
    &[
        required("name", "Name of the response header, in any case.", TOKEN),
        required(
            "value",
            "The value that the response header must have.",
            Shape::Object(&STRING_MATCH),
        ),
    ],
    &[],
);

pub(crate) static STRING_MATCH: Object = object(
    &[
        optional(
            "type",
            "Whether value is compared with the whole text, its beginning or its end, or is a \
             regular expression for the whole text.",
            Shape::Choice(&["Exact", "Prefix", "Suffix", "RegularExpression"]),
        )
        .or("Exact"),
        required(
            "value",
            "The text or pattern, case-sensitive.",
            text(1, 1024),
        ),
    ],
    &[],
);

pub(crate) static RESPONSE: Object = object(
    &[
        optional(
            "statusCode",
            "HTTP status of the new response, 200 to 599.",
            ours(&ANY_INTEGER, &integer(200, 599)),
        )
        .or("the original one"),
        optional(
            "contentType",
            "Content type of the new response; operators such as %RESPONSE_CODE% are \
             filled in. Not beside variants.",
            ANY_TEXT,
        )
        .or("text/plain for a body, the original one with keepBody"),
        optional("body", "Body of the new response.", Shape::Object(&BODY)).or("empty"),
        optional(
            "header",
            "Headers that are set, added or removed on the new response.",
            Shape::Object(&HEADER_CHANGES),
        ),
        extension(
            "grpcStatus",
            "Status of the new response for a gRPC client, by its number.",
            GRPC_STATUS,
        )
        .or("the gRPC status for statusCode, else the original one"),
        extension(
            "keepBody",
            "true keeps the original body and headers, and changes only the status and the named \
             headers.",
            Shape::Boolean,
        )
        .or("false"),
        extension(
            "variants",
            "Bodies in several media types; the request's Accept header selects one. Instead of \
             body and contentType.",
            list(1, 16, &Shape::Object(&VARIANT)),
        ),
    ],
    &[rule(
        Code::ExcludedField,
        "must not have both body and variants",
        |it| count(it, &["body", "variants"]) < 2,
    )],
);

pub(crate) static VARIANT: Object = object(
    &[
        required(
            "contentType",
            "Media type of this body, such as application/json.",
            text(3, 4096),
        ),
        required(
            "body",
            "The body for clients that prefer this media type.",
            Shape::Object(&BODY),
        ),
    ],
    &[],
);

pub(crate) static BODY: Object = object(
    &[
        optional(
            "type",
            "Whether the text is inline or in a ConfigMap.",
            Shape::Choice(&["Inline", "ValueRef"]),
        )
        .or("Inline"),
        optional(
            "inline",
            "The text; operators such as %REQ(:path)% are filled in, unless format says \
             otherwise.",
            ANY_TEXT,
        ),
        optional(
            "valueRef",
            "The ConfigMap that contains the text, under the key response.body or its only key; \
             for type ValueRef.",
            Shape::Object(&VALUE_REF),
        ),
        extension(
            "format",
            "Whether operators are filled in with values escaped for the media type, filled in \
             unescaped (RawTemplate), or left unchanged (Literal).",
            Shape::Choice(&["Template", "Literal", "RawTemplate"]),
        )
        .or("Template"),
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

pub(crate) static VALUE_REF: Object = object(
    &[
        required(
            "group",
            "API group of the object: empty, as ConfigMaps are in the core group.",
            ours(&formed(0, 253, Form::Group), &Shape::Choice(&[""])),
        ),
        required(
            "kind",
            "Kind of the object; ConfigMap is the only one.",
            ours(&formed(1, 63, Form::Kind), &Shape::Choice(&["ConfigMap"])),
        ),
        required(
            "name",
            "Name of the ConfigMap, in the policy's namespace.",
            text(1, 253),
        ),
    ],
    &[],
);

pub(crate) static HEADER_CHANGES: Object = object(
    &[
        optional(
            "set",
            "Headers to set: they replace headers of the same name.",
            unique("name", 0, 16, &Shape::Object(&HEADER)),
        ),
        optional(
            "add",
            "Headers to add beside others of the same name.",
            unique("name", 0, 16, &Shape::Object(&HEADER)),
        ),
        optional(
            "remove",
            "Names of headers to remove; only beside keepHeaders or keepBody, as an override \
             drops the original headers anyway.",
            unique("", 0, 16, &ANY_TEXT),
        ),
    ],
    &[],
);

/// 304 is no redirect, 305 is deprecated, and 306 is unused.
static REDIRECT_STATUSES: [Shape; 2] = [integer(301, 303), integer(307, 308)];

pub(crate) static REDIRECT: Object = object(
    &[
        optional(
            "scheme",
            "Scheme of the redirect's address.",
            Shape::Choice(&["http", "https"]),
        )
        .or("the request's"),
        optional("hostname", "Host of the redirect's address.", HOSTNAME).or("the request's"),
        optional(
            "path",
            "Path of the redirect's address.",
            Shape::Object(&PATH),
        )
        .or("the request's"),
        optional(
            "port",
            "Port of the redirect's address, 1 to 65535.",
            ours(&ANY_INTEGER, &PORT),
        )
        .or("the request's if scheme and host are unchanged, else the scheme's default port"),
        optional(
            "statusCode",
            "Status that the client gets: 301 or 302; with mode Client 303, 307 and 308, too.",
            Shape::Ours {
                crd: &integer(301, 302),
                ours: &Shape::Either(&REDIRECT_STATUSES),
            },
        )
        .or("302"),
        extension(
            "keepStatus",
            "true sends the new page with the original status; not with mode Client or \
             statusCode, and only if the rule lists statusCodes.",
            Shape::Boolean,
        )
        .or("false"),
        extension(
            "mode",
            "Client redirects the client to the address; without it Envoy itself runs the request \
             again there, which btp apply configures.",
            Shape::Choice(&["Client"]),
        )
        .or("Envoy runs the request again"),
        extension(
            "hosts",
            "Hosts to which a request for them may be redirected, against forged Host headers; \
             with mode Client and scheme or port, without hostname.",
            list(1, 64, &text(1, 259)),
        )
        .or("any"),
    ],
    &[],
);

pub(crate) static PATH: Object = object(
    &[
        required(
            "type",
            "Which part of the path is replaced; only ReplaceFullPath is accepted.",
            ours(
                &Shape::Choice(&["ReplaceFullPath", "ReplacePrefixMatch"]),
                &Shape::Choice(&["ReplaceFullPath"]),
            ),
        ),
        optional(
            "replaceFullPath",
            "The new path, with its query; operators are filled in with mode Client.",
            text(0, 1024),
        ),
        optional(
            "replacePrefixMatch",
            "Refused, as by the API: an override has no matched prefix.",
            ours(&text(0, 1024), &Shape::Never),
        ),
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
