//! `proxyProtocol`: what may be written.

use crate::schema::shape::*;

pub(crate) static PROXY_PROTOCOL: Object = object(
    &[required(
        "version",
        "Which form of the PROXY protocol's header begins each connection: V1 is text, V2 \
             is binary.",
        Shape::Choice(&["V1", "V2"]),
    )],
    &[],
);
