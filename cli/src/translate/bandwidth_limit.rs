//! `bandwidthLimit`: Envoy's `bandwidth_limit` filter, one for each direction, off until a
//! route switches it on.
//!
//! A route has a bucket of its own, as in Envoy Gateway: what passes on two routes of a
//! policy is twice its limit.

use btp_policy::native::{Bandwidth, BandwidthLimit, BandwidthUnit, ResponseTrailers};
use btp_policy::node::Node;
use btp_policy::scalar::ObjectName;

use super::change::{Changes, FilterPlace};
use crate::envoy::json::{node, put};

const TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit";
/// What Envoy counts in: KiB per second.
const UNIT: u64 = 1024;

pub(super) fn translate(limit: &BandwidthLimit, policy: Option<&ObjectName>, out: &mut Changes) {
    // Its statistics are called PREFIX.http_bandwidth_limit.….
    let prefix = match policy {
        Some(policy) => format!("btp.{}.{}", policy.namespace, policy.name),
        None => "btp".to_owned(),
    };
    for (name, mode, direction) in [
        ("request", "REQUEST", &limit.request),
        ("response", "RESPONSE", &limit.response),
    ] {
        let Some(direction) = direction else { continue };
        let Some(bandwidth) = &direction.limit else {
            continue;
        };
        let mut on = node!({
            "@type": TYPE,
            "stat_prefix": (prefix.as_str()),
            "enable_mode": mode,
            "limit_kbps": (kib_per_second(bandwidth)),
        });
        if let Some(trailers) = &direction.response_trailers {
            tell_in_trailers(trailers, &mut on);
        }
        let field = format!("bandwidthLimit.{name}");
        let filter = format!("btp.bandwidth_limit.{name}");
        out.add_filter(
            &field,
            &filter,
            (off(&filter), FilterPlace::BehindLimits),
            on,
        );
    }
}

/// The filter for routes that do not switch it on.
fn off(name: &str) -> Node {
    node!({
        "name": name,
        "disabled": true,
        "typed_config": { "@type": TYPE, "stat_prefix": "btp", "enable_mode": "DISABLED" },
    })
}

/// Rounded down, and 1 at least: less has been refused.
fn kib_per_second(bandwidth: &Bandwidth) -> i64 {
    let seconds = match bandwidth.unit {
        BandwidthUnit::Second => 1,
        BandwidthUnit::Minute => 60,
        BandwidthUnit::Hour => 3600,
    };
    let whole = bandwidth.value.get() / (seconds * UNIT);
    i64::try_from(whole).unwrap_or(i64::MAX)
}

fn tell_in_trailers(trailers: &ResponseTrailers, on: &mut Node) {
    put(on, "enable_response_trailers", Some(true));
    put(on, "response_trailer_prefix", trailers.prefix.as_deref());
}
