//! `spec.requestBuffer`: how large a body may be, and whether all of it must
//! be there before anything goes on.
//!
//! Source: Envoy Gateway's `RequestBuffer` has `limit`; the rest is ours.

use crate::problem::Problems;
use crate::read::At;
use crate::scalar::Quantity;

/// `requestBuffer`.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestBuffer {
    /// Whether bodies are gathered. An extension.
    pub mode: BufferMode,
    /// The most bytes of a body; at least one, less than 4 Gi in mode Buffer.
    pub limit: Quantity,
    /// Whether the bodies of gRPC calls count; `None`: unless the policy
    /// targets GRPCRoutes only. An extension.
    pub include_streams: Option<bool>,
}

/// `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BufferMode {
    /// The upstream gets a request when all of its body is there.
    #[default]
    Buffer,
    /// The body is counted as it passes.
    Stream,
}

impl RequestBuffer {
    /// Reads `requestBuffer`. A limit of zero would let no body pass, and
    /// Envoy buffers no more than 32 bits can count.
    pub fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["mode", "limit", "includeStreams"], problems)?;
        let mode = match object.get("mode") {
            Some(at) => at.choice(&BufferMode::NAMES, problems),
            None => Some(BufferMode::Buffer),
        };
        let include_streams = match object.get("includeStreams") {
            Some(at) => Some(at.boolean(problems)?),
            None => None,
        };
        let limit = object.required("limit", problems)?;
        let limit = read_limit(limit, mode.unwrap_or_default(), problems);
        Some(Self {
            mode: mode?,
            limit: limit?,
            include_streams,
        })
    }
}

impl BufferMode {
    const NAMES: [(&'static str, Self); 2] = [("Buffer", Self::Buffer), ("Stream", Self::Stream)];
}

fn read_limit(at: At<'_>, mode: BufferMode, problems: &mut Problems) -> Option<Quantity> {
    let limit = Quantity::read(at, problems)?;
    let reason = match (mode, limit.get()) {
        (_, 0) => "must be at least 1",
        (BufferMode::Buffer, 0x1_0000_0000..) => {
            "must be less than 4Gi, as much as Envoy can buffer: mode Stream has no such bound"
        }
        _ => return Some(limit),
    };
    at.refuse(problems, reason);
    None
}
