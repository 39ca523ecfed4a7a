//! `timeout`: what may be written.

use crate::schema::shape::*;

pub(crate) static TIMEOUT: Object = object(
    &[
        optional(
            "http",
            "Timeouts of requests and of HTTP connections to the upstreams.",
            Shape::Object(&HTTP),
        ),
        optional(
            "tcp",
            "Timeouts of all connections, whatever their protocol.",
            Shape::Object(&TCP),
        ),
    ],
    &[],
);

pub(crate) static HTTP: Object = object(
    &[
        optional(
            "connectionIdleTimeout",
            "How long an idle connection to an upstream is kept; 0s keeps it for ever.",
            Shape::Duration,
        )
        .or("the cluster's own, else Envoy's: 1h"),
        optional(
            "maxConnectionDuration",
            "How long a connection to an upstream is used, however busy it is; 0s is no limit.",
            Shape::Duration,
        )
        .or("the cluster's own, else for ever"),
        optional(
            "maxStreamDuration",
            "How long one attempt of a request may take from first to last byte, including \
             streams; 0s is no limit.",
            Shape::Duration,
        )
        .or("the cluster's own, else for ever"),
        optional(
            "requestTimeout",
            "How long the upstream may take for its whole response after the request was sent, \
             including retries; then the client gets 504. 0s is no limit.",
            Shape::Duration,
        )
        .or("the route's own, else Envoy's: 15s"),
        optional(
            "streamIdleTimeout",
            "How long a request may be idle in both directions; 0s is no limit.",
            Shape::Duration,
        )
        .or(
            "the listener's, else Envoy's: 5m; beside requestTimeout 1h, or that if it is longer, \
             unless the route or the listener sets one",
        ),
    ],
    &[],
);

pub(crate) static TCP: Object = object(
    &[optional(
        "connectTimeout",
        "How long a connection to an upstream may take to open; more than zero. Without \
         timeout.tcp the cluster's own value applies, or Envoy's 5s.",
        Shape::Positive,
    )
    .or("the cluster's own, else 10s")],
    &[],
);
