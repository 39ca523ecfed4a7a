//! Which requests are gRPC.
//!
//! Any client can send any content type. It must not get around the limit of a body or the
//! replacement of a response this way, so method and protocol must also be those of a gRPC
//! call. Only the format of our own replies depends on the content type alone (`form`), as
//! in Envoy.

pub(crate) mod reply_format;

use crate::grpc::reply_format::ReplyFormat;
use crate::host::{Attribute, Host};

/// How a request relates to gRPC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Grpc {
    /// Nothing, but for its content type perhaps.
    #[default]
    None,
    /// A POST over HTTP/1: what filters in front of this one make of gRPC-Web
    /// (`grpc_web`), or what anybody can send. Only its answers have gRPC's format.
    Bridged,
    /// A call: a POST over HTTP/2 or HTTP/3 (as gRPC's protocol asks).
    Call,
}

impl Grpc {
    /// The gRPC call of a request with this format and method, if it is one. Reads the
    /// protocol from the host only if all else fits.
    pub(crate) fn of<H: Host>(
        format: ReplyFormat,
        is_post: impl FnOnce(&H) -> bool,
        host: &H,
    ) -> Self {
        if format != ReplyFormat::Grpc || !is_post(host) {
            return Self::None;
        }
        match host.attribute(Attribute::Protocol).as_deref() {
            Some(b"HTTP/2" | b"HTTP/3") => Self::Call,
            _ => Self::Bridged,
        }
    }

    /// The gRPC call of the current request, which has this format; reads one more header.
    pub(crate) fn of_request<H: Host>(format: ReplyFormat, host: &H) -> Self {
        let is_post = |host: &H| host.request_header(":method").as_deref() == Some(b"POST");
        Self::of(format, is_post, host)
    }

    /// Whether it is a call.
    pub(crate) fn is_call(self) -> bool {
        self == Self::Call
    }
}

/// Whether a content type is gRPC's, and not gRPC-Web's.
#[must_use]
pub fn is_grpc(content_type: &[u8]) -> bool {
    ReplyFormat::of(content_type) == ReplyFormat::Grpc
}

/// The gRPC status that an HTTP status becomes in a reply to a gRPC client,
/// as Envoy maps it.
pub(crate) fn status_of_http(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn only_a_post_over_http2_or_later_is_a_call() {
        let h2 = Some("HTTP/2");
        for (content_type, method, protocol, wanted, lookups) in [
            ("application/grpc", "POST", h2, Grpc::Call, 3),
            (
                "application/grpc+proto",
                "POST",
                Some("HTTP/3"),
                Grpc::Call,
                3,
            ),
            (
                "application/grpc",
                "POST",
                Some("HTTP/1.1"),
                Grpc::Bridged,
                3,
            ),
            ("application/grpc", "POST", None, Grpc::Bridged, 3),
            ("application/grpc", "GET", h2, Grpc::None, 2),
            ("application/grpc", "post", h2, Grpc::None, 2),
            ("application/grpc-web", "POST", h2, Grpc::None, 2),
            ("application/grpc-web-text+proto", "POST", h2, Grpc::None, 2),
            ("text/plain", "POST", h2, Grpc::None, 1),
        ] {
            let mut host = FakeHost::default();
            let header = |(name, value): (&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
            host.request_headers = [("content-type", content_type), (":method", method)]
                .map(header)
                .to_vec();
            host.protocol = protocol;
            let format = ReplyFormat::of_request(&host);
            let grpc = Grpc::of_request(format, &host);
            assert_eq!(grpc, wanted, "{content_type} {method}");
            assert_eq!(host.lookups.get(), lookups, "{content_type} {method}");
        }
    }
}
