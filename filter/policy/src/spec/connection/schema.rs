//! `connection`: what may be written.

use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static CONNECTION: Object = object(
    &[
        optional(
            "bufferLimit",
            "Bytes that Envoy buffers for a connection to an upstream before it stops reading \
             from the other side.",
            Shape::Quantity,
        )
        .or("the cluster's own, else 32768")
        .checked(BYTES),
        optional(
            "socketBufferLimit",
            "Bytes that the operating system buffers for each direction of a connection to an \
             upstream (SO_SNDBUF, SO_RCVBUF).",
            Shape::Quantity,
        )
        .or("the operating system's, which grow as needed")
        .checked(SOCKET_BUFFER),
        optional(
            "preconnect",
            "Opens connections to upstreams before a request needs them.",
            Shape::Object(&PRECONNECT),
        ),
    ],
    &[],
);

pub(crate) static PRECONNECT: Object = object(
    &[
        optional(
            "perEndpointPercent",
            "Connections for each endpoint, in percent of those that its requests need: 150 keeps \
             one spare for two in use.",
            integer(100, 300),
        )
        .or("100: none ahead"),
        optional(
            "predictivePercent",
            "Connections opened for the endpoints that will be chosen next, in percent of the \
             requests expected; 100 to 300, with loadBalancer.type Random or RoundRobin only.",
            ours(&integer(100, i64::MAX), &integer(100, 300)),
        )
        .or("none ahead"),
    ],
    &[],
);
