//! Facts from the beginning of an exchange that later hooks cannot read from Envoy.

use crate::abi::Headers;
use crate::clock::wall_ns;
use crate::filter_config::FilterConfig;

/// How an exchange began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    /// When, if that is printed: nanoseconds since 1970.
    pub(crate) at_ns: Option<u64>,
    /// Whether Envoy writes its replies to this client as gRPC's, as the request's
    /// headers said when they came.
    speaks_grpc: Option<bool>,
}

/// The encodings that Envoy's `grpc_web` filter says a client takes. The libraries of
/// gRPC write such lists with spaces, or shorter ones.
const OF_GRPC_WEB: &[u8] = b"identity,deflate,gzip";

impl Beginning {
    pub(crate) fn now(config: &FilterConfig) -> Self {
        Self {
            at_ns: config.prints_start_time.then(wall_ns),
            speaks_grpc: None,
        }
    }

    /// Notes what the request's headers say, once, as filters behind this one may change
    /// them.
    pub(crate) fn note<'a>(&mut self, headers: impl FnOnce() -> Headers<'a>) {
        self.speaks_grpc
            .get_or_insert_with(|| looks_like_grpc(headers()));
    }

    /// Whether Envoy writes its replies to this client as gRPC's.
    pub(crate) fn speaks_grpc(self) -> bool {
        self.speaks_grpc.unwrap_or(false)
    }
}

/// Envoy uses the content type that came with the request; a `grpc_web` filter in front has
/// changed it to gRPC's by now.
fn looks_like_grpc(headers: Headers<'_>) -> bool {
    let header = |name| headers.values(name).next();
    let says_grpc = header("content-type").is_some_and(btp_engine::is_grpc);
    says_grpc && header("grpc-accept-encoding") != Some(OF_GRPC_WEB)
}
