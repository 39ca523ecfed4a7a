//! `dns`: what may be written.

use super::checks;
use crate::schema::shape::*;

pub(crate) static DNS: Object = object(
    &[
        optional(
            "dnsRefreshRate",
            "How often Envoy resolves the names of upstreams again; more than 1ms. Without dns \
             the cluster's own value applies, or Envoy's 5s.",
            Shape::Positive,
        )
        .or("30s")
        .checked(checks::refresh_rate),
        optional(
            "respectDnsTtl",
            "Resolves a name again when its DNS record expires, instead of at dnsRefreshRate.",
            Shape::Boolean,
        )
        .or("true"),
        optional(
            "lookupFamily",
            "Which addresses of a name are used: only one IP family, preferably one family, or \
             both.",
            Shape::Choice(&[
                "IPv4",
                "IPv6",
                "IPv4Preferred",
                "IPv6Preferred",
                "IPv4AndIPv6",
            ]),
        )
        .or("the cluster's own, else Envoy's: IPv6Preferred"),
    ],
    &[],
);
