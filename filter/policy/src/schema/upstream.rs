//! Connections to the upstreams: sockets, DNS, HTTP/2.

use crate::code::Code;
use crate::scalar::Duration;

use super::shape::{
    ANY_INTEGER, ANY_TEXT, Object, PERCENT, Shape, integer, optional, required, rule, text_in,
};

pub(super) static CONNECTION: Object = Object {
    fields: &[
        optional("bufferLimit", Shape::Quantity),
        optional("socketBufferLimit", Shape::Quantity),
        optional("preconnect", Shape::Object(&PRECONNECT)),
    ],
    rules: &[],
};

static PRECONNECT: Object = Object {
    fields: &[
        optional("perEndpointPercent", integer(100, 300)),
        optional("predictivePercent", integer(100, i64::MAX)),
    ],
    rules: &[],
};

pub(super) static DNS: Object = Object {
    fields: &[
        optional("dnsRefreshRate", Shape::Duration),
        optional("respectDnsTtl", Shape::Boolean),
        optional(
            "lookupFamily",
            Shape::Choice(&[
                "IPv4",
                "IPv6",
                "IPv4Preferred",
                "IPv6Preferred",
                "IPv4AndIPv6",
            ]),
        ),
    ],
    rules: &[],
};

pub(super) static HTTP2: Object = Object {
    fields: &[
        optional("connectionKeepalive", Shape::Object(&KEEPALIVE)),
        optional("initialConnectionWindowSize", Shape::Quantity),
        optional("initialStreamWindowSize", Shape::Quantity),
        optional("maxConcurrentStreams", integer(1, 2_147_483_647)),
        optional("onInvalidMessage", ANY_TEXT),
    ],
    rules: &[],
};

static KEEPALIVE: Object = Object {
    fields: &[
        optional("idleInterval", Shape::Duration),
        optional("interval", Shape::Duration),
        optional("intervalJitter", PERCENT),
        optional("timeout", Shape::Duration),
    ],
    rules: &[rule(
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
};

pub(super) static PROXY_PROTOCOL: Object = Object {
    fields: &[required("version", Shape::Choice(&["V1", "V2"]))],
    rules: &[],
};

pub(super) static TCP_KEEPALIVE: Object = Object {
    fields: &[
        optional("idleTime", Shape::Duration),
        optional("interval", Shape::Duration),
        optional("probes", ANY_INTEGER),
    ],
    rules: &[],
};
