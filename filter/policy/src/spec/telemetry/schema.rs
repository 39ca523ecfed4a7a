//! `telemetry`: what may be written.

use super::checks;
use crate::schema::shape::*;

pub(crate) static TELEMETRY: Object = object(
    &[
        optional(
            "metrics",
            "Names under which a route's requests are counted.",
            Shape::Object(&METRICS),
        ),
        optional(
            "tracing",
            "Which requests are traced, and what their spans say.",
            Shape::Object(&TRACING),
        ),
    ],
    &[],
);

pub(crate) static METRICS: Object = object(
    &[optional(
        "routeStatName",
        "Prefix of a route's metrics; %ROUTE_NAME%, %ROUTE_NAMESPACE%, %ROUTE_KIND% and \
             %ROUTE_RULE_NAME% are filled in.",
        ANY_TEXT,
    )
    .checked(checks::stat_name)],
    &[],
);

pub(crate) static TRACING: Object = object(
    &[
        optional(
            "samplingFraction",
            "Share of the requests that are traced by chance.",
            Shape::Object(&FRACTION),
        ),
        optional(
            "clientSamplingFraction",
            "Share of the requests that are traced because their client asks for it by \
             x-client-trace-id.",
            Shape::Object(&FRACTION),
        )
        .or("none"),
        optional(
            "overallSamplingFraction",
            "Share of the requests that are traced at most, whatever the reason.",
            Shape::Object(&FRACTION),
        ),
        optional(
            "spanName",
            "Names of the spans that are written.",
            Shape::Object(&SPAN_NAME),
        ),
        optional(
            "tags",
            "Tags of each span by their names, with the operators of access logs in their \
             values.",
            Shape::Dictionary(&ANY_TEXT),
        ),
        optional(
            "customTags",
            "Tags of each span by their names, each from a literal, the environment, or a \
             request header.",
            Shape::Dictionary(&Shape::Object(&CUSTOM_TAG)),
        ),
    ],
    &[],
);

pub(crate) static SPAN_NAME: Object = object(
    &[
        required(
            "client",
            "Name of the span that stands for the request to the upstream.",
            ANY_TEXT,
        ),
        required(
            "server",
            "Name of the span that stands for the request from the client.",
            ANY_TEXT,
        ),
    ],
    &[],
);

pub(crate) static CUSTOM_TAG: Object = object(
    &[
        required(
            "type",
            "Where the tag's value comes from.",
            Shape::Choice(&["Literal", "Environment", "RequestHeader"]),
        ),
        optional(
            "literal",
            "The value itself, for type Literal.",
            Shape::Object(&LITERAL),
        ),
        optional(
            "environment",
            "The variable of Envoy's environment that holds the value, for type Environment.",
            Shape::Object(&NAMED_VALUE),
        ),
        optional(
            "requestHeader",
            "The request header that holds the value, for type RequestHeader.",
            Shape::Object(&NAMED_VALUE),
        ),
    ],
    &[],
);

pub(crate) static LITERAL: Object = object(
    &[required(
        "value",
        "The tag's value, as it is written.",
        ANY_TEXT,
    )],
    &[],
);

pub(crate) static NAMED_VALUE: Object = object(
    &[
        required(
            "name",
            "Name of the variable or header that the tag is taken from.",
            ANY_TEXT,
        ),
        optional(
            "defaultValue",
            "What the tag says where there is no such variable or header.",
            ANY_TEXT,
        )
        .or("no tag"),
    ],
    &[],
);
