//! Request buffer: how much of a body is taken in, and what refuses the rest.

use std::sync::Arc;

use btp_policy::policy::{Policy, TargetKind};
use btp_policy::spec::{BufferMode, RequestBuffer};

use crate::action::Reply;
use crate::counters::{CounterId, CounterNames};
use crate::intake::Intake;
use crate::look::BodyLook;

/// `requestBuffer`, compiled.
#[derive(Debug)]
pub(crate) struct Buffering {
    mode: BufferMode,
    limit: u64,
    /// gRPC calls are counted; else they pass unseen.
    counts_streams: bool,
    too_large: Refusal,
    expectation: Refusal,
    overflow: Overflow,
}

/// An answer in place of forwarding, and what counts it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reply: Arc<Reply>,
    pub(crate) counter: CounterId,
    /// What the operator should know.
    pub(crate) log: Option<Arc<str>>,
}

/// Envoy's own buffer was too small.
#[derive(Debug)]
pub(crate) struct Overflow {
    pub(crate) counter: CounterId,
    pub(crate) log: Arc<str>,
}

/// gRPC's RESOURCE_EXHAUSTED, as its libraries say for a message too large.
const GRPC_RESOURCE_EXHAUSTED: u8 = 8;

impl Buffering {
    pub(crate) fn compile(
        policy: &Policy,
        buffer: &RequestBuffer,
        counters: &mut CounterNames,
    ) -> Self {
        let name = &policy.name;
        let limit = buffer.limit.get();
        let mut refusal =
            |status, body: &str, details, counter: &str, log: Option<String>| Refusal {
                reply: Arc::new(reply(status, body, details)),
                counter: counters.define(name, counter),
                log: log.map(Arc::from),
            };
        Self {
            mode: buffer.mode,
            limit,
            counts_streams: buffer
                .include_streams
                .unwrap_or_else(|| !is_for_grpc_alone(policy)),
            too_large: refusal(
                413,
                "Payload Too Large",
                "btp_body_too_large",
                "request_buffer_too_large",
                None,
            ),
            expectation: refusal(
                417,
                "Expectation Failed",
                "btp_expectation_failed",
                "request_buffer_expectations_failed",
                Some(format!(
                    "policy {name}: a client waits for 100 Continue, which proxy_100_continue \
                     leaves to the upstream, but mode Buffer forwards nothing before the body is \
                     there: it was answered 417; set proxy_100_continue to false"
                )),
            ),
            overflow: Overflow {
                counter: counters.define(name, "request_buffer_overflows"),
                log: Arc::from(format!(
                    "policy {name}: Envoy answered 413 because its own buffer is smaller than \
                     requestBuffer.limit ({limit} bytes): set the route's \
                     request_body_buffer_limit or the listener's \
                     per_connection_buffer_limit_bytes to at least {limit}"
                )),
            },
        }
    }

    /// The account of a request's body; `None` if the policy is not for it.
    pub(crate) fn intake(&self, body: BodyLook, grpc: bool) -> Option<Intake> {
        if body.is_endless || (grpc && !self.counts_streams) {
            return None;
        }
        let gathers = self.mode == BufferMode::Buffer && !grpc;
        Some(Intake::new(gathers, self.limit, body.length))
    }

    pub(crate) fn too_large(&self) -> &Refusal {
        &self.too_large
    }

    /// Nobody would tell the client to send its body.
    pub(crate) fn expectation(&self) -> &Refusal {
        &self.expectation
    }

    pub(crate) fn overflow(&self) -> &Overflow {
        &self.overflow
    }
}

/// Whether all it targets are GRPCRoutes.
fn is_for_grpc_alone(policy: &Policy) -> bool {
    let targets = policy.targets.iter().map(|target| target.kind);
    let selectors = policy.selectors.iter().map(|selector| selector.kind);
    let mut kinds = targets.chain(selectors).peekable();
    kinds.peek().is_some() && kinds.all(|kind| kind == TargetKind::GrpcRoute)
}

fn reply(status: u16, body: &str, details: &'static str) -> Reply {
    Reply {
        status,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: body.to_owned(),
        grpc_status: Some(GRPC_RESOURCE_EXHAUSTED),
        details,
    }
}
