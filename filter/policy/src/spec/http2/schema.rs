//! `http2`: what may be written.

use super::checks;
use crate::code::Code;
use crate::scalar::Duration;
use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static HTTP2: Object = object(
    &[
        optional(
            "connectionKeepalive",
            "Detects dead upstreams by PING frames.",
            Shape::Object(&KEEPALIVE),
        )
        .or("the cluster's own, else no pings")
        .checked(checks::keepalive),
        optional(
            "initialConnectionWindowSize",
            "Initial flow-control window of a connection to an upstream, in bytes; 65535 to \
             2147483647.",
            Shape::Quantity,
        )
        .or("1048576")
        .checked(WINDOW),
        optional(
            "initialStreamWindowSize",
            "Initial flow-control window of a stream to an upstream, in bytes; 65535 to \
             2147483647.",
            Shape::Quantity,
        )
        .or("65536")
        .checked(WINDOW),
        optional(
            "maxConcurrentStreams",
            "Concurrent requests on one connection to an upstream.",
            integer(1, 2_147_483_647),
        )
        .or("the cluster's own, else Envoy's: 1024 since Envoy 1.36"),
        optional(
            "onInvalidMessage",
            "Whether a malformed response ends the connection with all its streams, or only its \
             own stream.",
            ours(
                &ANY_TEXT,
                &Shape::Choice(&["TerminateConnection", "TerminateStream"]),
            ),
        )
        .or("TerminateConnection"),
    ],
    &[],
);

pub(crate) static KEEPALIVE: Object = object(
    &[
        optional(
            "idleInterval",
            "Sends a ping before a new request on a connection that has been idle for this long; \
             more than zero, and required without interval.",
            Shape::Positive,
        )
        .or("no such pings"),
        optional(
            "interval",
            "Sends a ping this often; more than zero, and required without idleInterval.",
            Shape::Positive,
        )
        .or("no such pings"),
        optional(
            "intervalJitter",
            "The largest random delay of each ping, in percent of interval.",
            PERCENT,
        )
        .or("Envoy's: 15"),
        optional(
            "timeout",
            "How long Envoy waits for the answer to a ping before it closes the connection; \
             shorter than interval.",
            Shape::Positive,
        )
        .or("the policy is refused"),
    ],
    &[rule(
        Code::WrongOrder,
        "must have a timeout shorter than its interval",
        |it| {
            let duration = |name| Duration::parse(text_in(it, name, ""));
            match (duration("timeout"), duration("interval")) {
                (Some(timeout), Some(interval)) => timeout < interval,
                _ => true,
            }
        },
    )],
);
