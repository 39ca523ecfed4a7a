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
    use super::is_grpc;
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
}
