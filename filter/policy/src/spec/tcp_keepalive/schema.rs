//! `tcpKeepalive`: what may be written.

use super::checks;
use crate::schema::shape::*;

pub(crate) static TCP_KEEPALIVE: Object = object(
    &[
        optional(
            "idleTime",
            "How long a connection is idle before the first probe, in whole seconds.",
            Shape::Duration,
        )
        .or("the operating system's: 7200s on Linux")
        .checked(checks::whole_seconds),
        optional(
            "interval",
            "The time between two probes, in whole seconds.",
            Shape::Duration,
        )
        .or("the operating system's: 75s on Linux")
        .checked(checks::whole_seconds),
        optional(
            "probes",
            "Unanswered probes after which the peer is presumed dead.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("the operating system's: 9 on Linux"),
    ],
    &[],
);
