//! Advice on bodies.

use super::{BufferMode, RequestBuffer};
use crate::code::Code;
use crate::linter::Linter;
use crate::path::Path;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::regex::Regexes;
use crate::spec::Retry;

/// Envoy's `per_connection_buffer_limit_bytes`.
const USUAL_BUFFER: u64 = 1 << 20;

impl Linter<'_, '_> {
    /// What `btp apply` would see to: a body that passes must be held for a retry.
    pub(in crate::spec) fn on_retried_bodies_by_hand(&mut self) {
        let (Some(node), Some(retry)) = (self.get(&["requestBuffer"]), self.get(&["retry"])) else {
            return;
        };
        let nothing = &mut Problems::default();
        let buffer = RequestBuffer::read(Cursor::root(node), &Regexes::default(), nothing);
        let retry = Retry::read(Cursor::root(retry), nothing);
        let Some(buffer) = buffer.filter(|it| it.mode == BufferMode::Stream) else {
            return;
        };
        let largest = buffer.largest();
        if largest.get() > USUAL_BUFFER && retry.is_some_and(|it| it.num_retries > 0) {
            let message = format!(
                "lets bodies of {largest} pass, but over HTTP/1 Envoy by default retries a \
                 request only if its body has at most 1Mi: set request_body_buffer_limit of the \
                 routes to {}, as btp apply does",
                largest.get()
            );
            self.warn(&["requestBuffer", "limit"], Code::BodyAboveBuffer, message);
        }
    }

    pub(in crate::spec) fn on_buffers(&mut self) {
        let Some(node) = self.get(&["requestBuffer"]) else {
            return;
        };
        let path = Path::Root;
        let buffer = RequestBuffer::read(
            Cursor { node, path },
            &Regexes::default(),
            &mut Problems::default(),
        );
        let Some(buffer) = buffer.filter(|buffer| buffer.mode == BufferMode::Buffer) else {
            return;
        };
        let largest = buffer.largest();
        if largest.get() > USUAL_BUFFER {
            let message = format!(
                "lets bodies of {largest} pass, but over HTTP/1 Envoy by default buffers 1Mi: set \
                 request_body_buffer_limit of the routes, or per_connection_buffer_limit_bytes of \
                 the listener, to at least {}",
                largest.get()
            );
            self.warn(&["requestBuffer", "limit"], Code::BodyAboveBuffer, message);
        }
        let bounds = ["minDataRate", "maxDuration", "maxTotal"];
        let is_there = |name: &&str| self.get(&["requestBuffer", name]).is_some();
        let is_said = is_there(&"gatherGrpc") || buffer.include_streams == Some(false);
        if let (Some(bound), false) = (bounds.into_iter().find(is_there), is_said) {
            self.warn(
                &["requestBuffer", bound],
                Code::GrpcUnbounded,
                "does not apply to gRPC calls, which may be streams, and any HTTP/2 client can \
                 declare its upload a gRPC call: set gatherGrpc to true, or to false if there are \
                 streams",
            );
        }
        if buffer.max_total.is_some()
            && buffer.min_data_rate.is_none()
            && buffer.max_duration.is_none()
        {
            self.warn(
                &["requestBuffer", "maxTotal"],
                Code::TotalUsedUp,
                "can be used up by clients that send nothing: also set minDataRate or maxDuration",
            );
        }
    }
}
