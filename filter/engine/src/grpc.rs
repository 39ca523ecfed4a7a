//! Who speaks gRPC.
//!
//! A content type is a label that anybody can write. What limits a body or
//! replaces a response must not be put off by it, so a call is told by what
//! carries it, too. Envoy's local replies, ours among them, go by the label
//! alone, which no filter can change.

use crate::host::{Attribute, Host};

/// What a request has to do with gRPC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Grpc {
    /// Nothing.
    #[default]
    None,
    /// Only its content type says so: Envoy puts its own replies to it into
    /// the form of gRPC, and nothing else about it is special.
    Label,
    /// It is a call: a POST over HTTP/2 or HTTP/3 (as gRPC's protocol asks).
    Call,
}

impl Grpc {
    /// Of a request with this content type and method. The host is asked for
    /// the protocol only if all else fits.
    pub(crate) fn of<H: Host>(
        content_type: bool,
        is_post: impl FnOnce(&mut H) -> bool,
        host: &mut H,
    ) -> Self {
        if !content_type {
            return Self::None;
        }
        if !is_post(host) {
            return Self::Label;
        }
        match host.attribute(Attribute::Protocol).as_deref() {
            Some(b"HTTP/2" | b"HTTP/3") => Self::Call,
            _ => Self::Label,
        }
    }

    /// Of the request at hand, by two of its headers.
    pub(crate) fn of_request<H: Host>(host: &mut H) -> Self {
        let content_type = host.request_header("content-type", |value| value.is_some_and(is_grpc));
        let is_post =
            |host: &mut H| host.request_header(":method", |value| value == Some(&b"POST"[..]));
        Self::of(content_type, is_post, host)
    }

    /// Whether it is a call.
    pub(crate) fn is_call(self) -> bool {
        self == Self::Call
    }

    /// Whether Envoy puts its own replies into the form of gRPC: HTTP status
    /// 200, and a gRPC status.
    pub(crate) fn is_told_in_grpc(self) -> bool {
        self != Self::None
    }
}

/// Whether a content type is gRPC's, by Envoy's rule: `application/grpc`,
/// alone or followed by `+` and a message format. gRPC-Web is not.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// The gRPC status that an HTTP status becomes in a reply to a gRPC client,
/// as Envoy maps it.
pub(crate) fn status_of_http(status: u16) -> u8 {
    match status {
        200 => 0,
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
    use super::{Grpc, is_grpc};
    use crate::testing::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn grpc_is_told_from_its_relatives() {
        assert!(is_grpc(b"application/grpc"));
        assert!(is_grpc(b"application/grpc+proto"));
        assert!(!is_grpc(b"application/grpc-web"));
        assert!(!is_grpc(b"application/json"));
        assert!(!is_grpc(b"\xff"));
    }

    #[test]
    fn only_a_post_over_http2_or_later_is_a_call() {
        for (content_type, method, protocol, wanted, lookups) in [
            ("application/grpc", "POST", Some("HTTP/2"), Grpc::Call, 3),
            (
                "application/grpc+proto",
                "POST",
                Some("HTTP/3"),
                Grpc::Call,
                3,
            ),
            ("application/grpc", "POST", Some("HTTP/1.1"), Grpc::Label, 3),
            ("application/grpc", "POST", None, Grpc::Label, 3),
            ("application/grpc", "GET", Some("HTTP/2"), Grpc::Label, 2),
            ("application/grpc", "post", Some("HTTP/2"), Grpc::Label, 2),
            (
                "application/grpc-web",
                "POST",
                Some("HTTP/2"),
                Grpc::None,
                1,
            ),
            ("text/plain", "POST", Some("HTTP/2"), Grpc::None, 1),
        ] {
            let mut host = FakeHost::default();
            let header = |(name, value): (&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
            host.request_headers = [("content-type", content_type), (":method", method)]
                .map(header)
                .to_vec();
            if let Some(protocol) = protocol {
                host.attributes
                    .insert("Protocol".to_owned(), protocol.as_bytes().to_vec());
            }
            assert_eq!(
                Grpc::of_request(&mut host),
                wanted,
                "{content_type} {method}"
            );
            assert_eq!(host.lookups, lookups, "{content_type} {method}");
        }
    }
}
