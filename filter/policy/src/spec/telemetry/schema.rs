//! `telemetry`: what may be written.

use super::checks;
use crate::schema::shape::*;

pub(crate) static TELEMETRY: Object = object(
    &[
        optional(
            "metrics",
            "Metric names of a route's requests.",
            Shape::Object(&METRICS),
        ),
        optional(
            "tracing",
            "Which requests are traced, and the names and tags of their spans.",
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
            "Share of the requests that are traced at random.",
            Shape::Object(&FRACTION),
        )
        .or("all"),
        optional(
            "clientSamplingFraction",
            "Share of the requests with x-client-trace-id that are traced.",
            Shape::Object(&FRACTION),
        )
        .or("none"),
        optional(
            "overallSamplingFraction",
            "The largest share of the requests that are traced, whatever the reason.",
            Shape::Object(&FRACTION),
        )
        .or("all"),
        optional("spanName", "Names of the spans.", Shape::Object(&SPAN_NAME)),
        optional(
            "tags",
            "Tags of each span by their names, with the operators of access logs in their \
             values.",
            Shape::Dictionary(&ANY_TEXT),
        )
        .checked(checks::tags),
        optional(
            "customTags",
            "Tags of each span by their names, each from a literal, the environment, or a \
             request header.",
            Shape::Dictionary(&Shape::Object(&CUSTOM_TAG)),
        )
        .checked(checks::custom_tags),
    ],
    &[],
);

pub(crate) static SPAN_NAME: Object = object(
    &[
        required(
            "client",
            "Name of the span of a request as the client sent it (Envoy's operation), with the \
             operators of access logs.",
            ANY_TEXT,
        )
        .checked(checks::span_name),
        required(
            "server",
            "Name of the span of each attempt (Envoy's upstream_operation), if the listener has \
             spawn_upstream_span.",
            ANY_TEXT,
        )
        .checked(checks::span_name),
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
    &[required("value", "The literal value of the tag.", ANY_TEXT)],
    &[],
);

pub(crate) static NAMED_VALUE: Object = object(
    &[
        required(
            "name",
            "Name of the variable or header that contains the value.",
            ANY_TEXT,
        ),
        optional(
            "defaultValue",
            "Value of the tag if there is no such variable or header.",
            ANY_TEXT,
        )
        .or("no tag"),
    ],
    &[],
);
