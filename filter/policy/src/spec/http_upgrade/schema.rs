//! `httpUpgrade`: what may be written.

use super::checks;
use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static HTTP_UPGRADE: Object = object(
    &[
        required(
            "type",
            "Protocol that a request may upgrade to, as in its Upgrade header: websocket, \
             spdy/3.1, or CONNECT.",
            ANY_TEXT,
        )
        .checked(checks::upgrade),
        optional(
            "connect",
            "How to handle CONNECT requests; for type CONNECT only.",
            Shape::Object(&CONNECT),
        )
        .or("they are forwarded unchanged"),
    ],
    &[rule(
        Code::FieldOfType,
        "must be of type CONNECT to have connect",
        |it| !has(it, "connect") || text_in(it, "type", "") == "CONNECT",
    )],
);

pub(crate) static CONNECT: Object = object(
    &[optional(
        "terminate",
        "Terminates CONNECT here and forwards its bytes, as a tunnel to a TCP upstream.",
        Shape::Boolean,
    )
    .or("false")],
    &[],
);
