//! `requestBuffer`: what may be written.

use crate::schema::shape::*;
use crate::spec::canned_reply::schema::REJECTION;
use crate::spec::selector::schema::SELECTOR;

/// Conditions of our extensions: alternatives, each like a clientSelector.
const SELECTORS: Shape = Shape::Object(&SELECTOR);

pub(crate) static REQUEST_BUFFER: Object = object(
    &[
        optional(
            "limit",
            "Bytes that a request's body may have; a larger one is answered 413. 1 to 4Gi - 1, \
             without upper bound in mode Stream.",
            Shape::Quantity,
        )
        .or("the policy is refused"),
        extension(
            "mode",
            "Buffer gathers the whole body before the upstream sees anything of the request; \
             Stream counts bytes as they pass.",
            Shape::Choice(&["Buffer", "Stream"]),
        )
        .or("Buffer"),
        extension(
            "includeStreams",
            "Whether the bodies of gRPC calls count, too; false lets them pass \
             uncounted.",
            Shape::Boolean,
        )
        .or("true, unless the policy targets GRPCRoutes only"),
        extension(
            "gatherGrpc",
            "Whether bodies of gRPC calls are gathered like others, for those who have \
             unary calls only; in mode Buffer, not beside includeStreams: false.",
            Shape::Boolean,
        )
        .or("false"),
        extension(
            "rules",
            "Other limits for some requests; the first rule that matches is taken, and \
             limit if none does.",
            list(1, 16, &Shape::Object(&BUFFER_RULE)),
        )
        .or("none"),
        extension(
            "minDataRate",
            "How fast a body must come, against clients that hold a place by sending slowly; in \
             mode Buffer.",
            Shape::Object(&MIN_DATA_RATE),
        )
        .or("as slowly as they like"),
        extension(
            "maxDuration",
            "How long a body may take from its first byte, more than zero; in mode Buffer.",
            Shape::Positive,
        )
        .or("any time"),
        extension(
            "maxTotal",
            "Bytes that all requests of the policy together may have gathered at once \
             in this Envoy, at least the largest limit; in mode Buffer.",
            Shape::Quantity,
        )
        .or("any number"),
        extension(
            "reject",
            "What the client gets whose body is too large; bodies that are too slow get \
             408, those without room 503.",
            Shape::Object(&REJECTION),
        ),
    ],
    &[],
);

pub(crate) static BUFFER_RULE: Object = object(
    &[
        required(
            "match",
            "Requests that this limit is for: those that meet any of these selectors, \
             which are as clientSelectors without Distinct.",
            list(1, 16, &SELECTORS),
        ),
        required(
            "limit",
            "Bytes that the body of such a request may have, in place of the policy's \
             limit and with its bounds.",
            Shape::Quantity,
        ),
    ],
    &[],
);

pub(crate) static MIN_DATA_RATE: Object = object(
    &[
        required(
            "bytesPerSecond",
            "Bytes per second on average since the body began; at least 1.",
            Shape::Quantity,
        ),
        optional(
            "gracePeriod",
            "Time that a client has to spare before it is too slow.",
            Shape::Duration,
        )
        .or("5s"),
    ],
    &[],
);
