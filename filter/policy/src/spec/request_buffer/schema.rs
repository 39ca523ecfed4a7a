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
            "Largest request body; a larger one is answered 413. 1 to 4Gi - 1, without upper \
             bound in mode Stream.",
            Shape::Quantity,
        )
        .or("the policy is refused"),
        extension(
            "mode",
            "Buffer buffers the whole body before it forwards the request; Stream counts bytes as \
             they pass.",
            Shape::Choice(&["Buffer", "Stream"]),
        )
        .or("Buffer"),
        extension(
            "includeStreams",
            "Whether the limit applies to gRPC calls; false lets them pass uncounted.",
            Shape::Boolean,
        )
        .or("true, unless the policy targets GRPCRoutes only"),
        extension(
            "gatherGrpc",
            "Whether bodies of gRPC calls are buffered like others, if all calls are unary; in \
             mode Buffer, not beside includeStreams: false.",
            Shape::Boolean,
        )
        .or("false"),
        extension(
            "rules",
            "Other limits for some requests; the first rule that matches applies, or else limit.",
            list(1, 16, &Shape::Object(&BUFFER_RULE)),
        )
        .or("none"),
        extension(
            "minDataRate",
            "Minimum rate of a body, against clients that hold resources by sending slowly; in \
             mode Buffer.",
            Shape::Object(&MIN_DATA_RATE),
        )
        .or("no minimum"),
        extension(
            "maxDuration",
            "How long a body may take from its first byte, more than zero; in mode Buffer.",
            Shape::Positive,
        )
        .or("any time"),
        extension(
            "maxTotal",
            "Bytes that all requests of the policy together may have buffered in this Envoy, at \
             least the largest limit; in mode Buffer.",
            Shape::Quantity,
        )
        .or("any number"),
        extension(
            "reject",
            "Reply to a client whose body is too large; bodies that are too slow get 408, those \
             that exceed maxTotal 503.",
            Shape::Object(&REJECTION),
        ),
    ],
    &[],
);

pub(crate) static BUFFER_RULE: Object = object(
    &[
        required(
            "match",
            "Requests with this limit: those that match any of these selectors, which are like \
             clientSelectors without Distinct.",
            list(1, 16, &SELECTORS),
        ),
        required(
            "limit",
            "Largest body of such a request, instead of the policy's limit and with the same \
             bounds.",
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
            "Time that a body may take in addition to the time at this rate.",
            Shape::Duration,
        )
        .or("5s"),
    ],
    &[],
);
