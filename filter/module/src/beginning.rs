//! What hooks that come later cannot ask Envoy.

use crate::abi::{Map, Stream};
use crate::clock::wall_ns;

/// How an exchange began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    /// When: nanoseconds since 1970.
    pub(crate) at_ns: u64,
    /// Whether Envoy writes its replies to this client as gRPC's, as the request's
    /// headers said when they came.
    speaks_grpc: Option<bool>,
}

/// The encodings that Envoy's `grpc_web` filter says a client takes. The libraries of
/// gRPC write such lists with spaces, or shorter ones.
const OF_GRPC_WEB: &[u8] = b"identity,deflate,gzip";

impl Beginning {
    pub(crate) fn now() -> Self {
        Self {
            at_ns: wall_ns(),
            speaks_grpc: None,
        }
    }

    /// Notes what the request's headers say, as filters behind this one may change
    /// them.
    pub(crate) fn note(&mut self, stream: &Stream<'_>) {
        self.speaks_grpc = Some(looks_like_grpc(stream));
    }

    /// Whether Envoy writes its replies to this client as gRPC's.
    pub(crate) fn speaks_grpc(self, stream: &Stream<'_>) -> bool {
        self.speaks_grpc.unwrap_or_else(|| looks_like_grpc(stream))
    }
}

/// Envoy goes by the content type that came with the request; `grpc_web`, where it is in
/// front, has made it gRPC's by now.
fn looks_like_grpc(stream: &Stream<'_>) -> bool {
    let header = |name| stream.header(Map::RequestHeaders, name);
    let says_grpc = header("content-type").is_some_and(btp_engine::is_grpc);
    says_grpc && header("grpc-accept-encoding") != Some(OF_GRPC_WEB)
}
