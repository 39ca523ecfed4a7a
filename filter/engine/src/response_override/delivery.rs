//! How a new response replaces the current one, whose body may still be on its way, and
//! which filters in front may not have seen yet.

use super::build::forbids_body;
use crate::grpc::reply_format::ReplyFormat;
use crate::host::{Attribute, Host};

/// How a response takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// As a reply of the proxy's own, which passes no other filter.
    Reply,
    /// As it passes: other headers, and no body in either.
    HeadersOnly,
    /// As it passes: other headers, and another body.
    HeadersAndBody,
}

/// The longest body that is replaced in place. The client has its answer at
/// once, but the exchange ends only when the upstream's body has passed.
const LONGEST_IN_PLACE: u64 = 64 * 1024;

impl Delivery {
    /// How a response of this format, status and length takes the place of the original,
    /// `end` if that has neither body nor trailers. What passes is seen by the filters
    /// in front of this one: `cors` and `grpc_web` write their part.
    pub(super) fn of(
        format: ReplyFormat,
        status: u16,
        new_length: usize,
        (length, end): (Option<u64>, bool),
    ) -> Self {
        if end {
            // A body cannot be added.
            return match new_length {
                0 => Self::HeadersOnly,
                _ => Self::Reply,
            };
        }
        // `grpc_web` holds a body without a message for ever.
        if format == ReplyFormat::Grpc || forbids_body(status) {
            return Self::Reply;
        }
        match length {
            Some(1..=LONGEST_IN_PLACE) => Self::HeadersAndBody,
            _ => Self::Reply,
        }
    }
}

/// Whether the current response is what Envoy's `cors` filter answers a preflight:
/// it says nothing of the resource, and a browser takes no other.
pub(super) fn is_preflight<H: Host>(host: &H) -> bool {
    let details = host.attribute(Attribute::ResponseCodeDetails);
    details.as_deref() == Some(b"cors_response")
}
