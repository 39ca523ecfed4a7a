//! `http2`: what may be written.

use super::checks;
use crate::code::Code;
use crate::scalar::Duration;
use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static HTTP2: Object = object(
    &[
        optional("connectionKeepalive", Shape::Object(&KEEPALIVE)).checked(checks::keepalive),
        optional("initialConnectionWindowSize", Shape::Quantity).checked(WINDOW),
        optional("initialStreamWindowSize", Shape::Quantity).checked(WINDOW),
        optional("maxConcurrentStreams", integer(1, 2_147_483_647)),
        optional("onInvalidMessage", ANY_TEXT).checked(checks::on_invalid_message),
    ],
    &[],
);

static KEEPALIVE: Object = object(
    &[
        optional("idleInterval", Shape::Duration),
        optional("interval", Shape::Duration),
        optional("intervalJitter", PERCENT),
        optional("timeout", Shape::Duration),
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
