//! Who speaks gRPC.

use crate::host::Host;

/// Whether a content type is gRPC's, by Envoy's rule: `application/grpc`,
/// alone or followed by `+` and a message format. gRPC-Web is not.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// Whether the request at hand is a gRPC call.
pub(crate) fn is_grpc_request<H: Host>(host: &mut H) -> bool {
    host.request_header("content-type", |value| value.is_some_and(is_grpc))
}

#[cfg(test)]
mod tests {
    use super::is_grpc;

    #[test]
    fn grpc_is_told_from_its_relatives() {
        assert!(is_grpc(b"application/grpc"));
        assert!(is_grpc(b"application/grpc+proto"));
        assert!(!is_grpc(b"application/grpc-web"));
        assert!(!is_grpc(b"application/json"));
        assert!(!is_grpc(b"\xff"));
    }
}
