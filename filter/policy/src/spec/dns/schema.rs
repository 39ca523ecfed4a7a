//! `dns`: what may be written.

use super::checks;
use crate::schema::shape::*;

pub(crate) static DNS: Object = object(
    &[
        optional("dnsRefreshRate", Shape::Duration).checked(checks::refresh_rate),
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
    &[],
);
