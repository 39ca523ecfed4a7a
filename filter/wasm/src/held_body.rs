//! The body of a request whose headers are held.
//!
//! Envoy shows all of the body that has come so far, and the engine counts the new bytes.
//! Envoy shows it only if `allow_on_headers_stop_iteration` is on, which a plugin cannot
//! read. If the setting is off, a request whose body is buffered would wait for ever. So a
//! request that has waited for a long time gets an error, as long as no body of such a
//! request has ever been seen under its configuration.

use std::cell::Cell;
use std::sync::Arc;

use btp_engine::{AwaitedBody, Exchange, Flow, Labels, LogThrottle, Plan, Reply};

/// How much of a body Envoy has shown and holds; `None`: the headers are not held
/// for it.
#[derive(Debug, Default)]
pub(crate) struct HeldBody {
    shown: Option<usize>,
}

/// Whether Envoy shows such bodies, as far as one configuration has seen.
#[derive(Debug, Default)]
pub(crate) struct Visibility {
    proven: Cell<bool>,
    log: LogThrottle,
}

/// A request whose body has sent no data for this long gets an error.
const SILENCE_NS: u64 = 30_000_000_000;
/// gRPC's RESOURCE_EXHAUSTED, as for all that a buffer refuses.
const GRPC_RESOURCE_EXHAUSTED: u8 = 8;

impl HeldBody {
    /// Body or trailers have come, and `size` bytes are at hand; how many of them
    /// are new.
    pub(crate) fn receive(&self, size: usize, visibility: &Visibility) -> u64 {
        if self.shown.is_some() {
            visibility.proven.set(true);
        }
        let new = size.saturating_sub(self.shown.unwrap_or_default());
        u64::try_from(new).unwrap_or(u64::MAX)
    }

    /// This is what becomes of the request after `size` bytes were at hand.
    pub(crate) fn hold(&mut self, flow: Flow, size: usize) {
        let shown = self.shown.unwrap_or_default().max(size);
        self.shown = (flow == Flow::HoldHeaders).then_some(shown);
    }
}

impl Visibility {
    /// When it must be assumed that Envoy does not show this exchange's body.
    pub(crate) fn given_up_at(&self, exchange: &Exchange, plan: &Plan) -> Option<u64> {
        if self.proven.get() {
            return None;
        }
        let AwaitedBody { since, .. } = exchange.awaited_body(plan)?;
        Some(since.saturating_add(SILENCE_NS))
    }

    /// Tells the operator what to do about a request that is answered for want of its
    /// body; the answer.
    pub(crate) fn give_up(&self, policy: &Labels, now: u64) -> Arc<Reply> {
        if let Some(left_out) = self.log.admit(now) {
            let (namespace, name) = (&policy.namespace, &policy.policy);
            log::error!(
                "policy {namespace}/{name}: a held request was answered 500, as no body came \
                 within 30 s and none ever has: set allow_on_headers_stop_iteration to true in \
                 Envoy's configuration of this filter, or use mode Stream{left_out}"
            );
        }
        Arc::new(Reply {
            grpc_status: Some(GRPC_RESOURCE_EXHAUSTED),
            ..Reply::text(500, "Internal Server Error", "btp_body_unseen")
        })
    }
}
