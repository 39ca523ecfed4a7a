//! Request buffer: how large a body may be, and the refusal of larger ones.

pub(crate) mod body_progress;
pub(crate) mod framing;

use std::sync::Arc;

use btp_policy::policy::{Policy, TargetKind};
use btp_policy::scalar::ObjectName;
use btp_policy::spec::{BufferMode, BufferRule, RequestBuffer};

use crate::action::Reply;
use crate::decision::Decided;
use crate::definitions::Definitions;
use crate::event::LogMessage;
use crate::grpc::Grpc;
use crate::host::metrics::{CounterId, Family, GaugeId, Labels, families};
use crate::request::Request;
use crate::request::required::RequiredInputs;
use crate::request::selector::meets_any;
use crate::shared::quota::{Quota, WORKERS};
use body_progress::{BodyMode, BodyProgress, BodyTimeouts};
use framing::BodyFraming;

/// `requestBuffer`, compiled.
#[derive(Debug)]
pub(crate) struct Buffering {
    mode: BufferMode,
    limit: u64,
    rules: Vec<BufferRule>,
    /// How to treat the body of a gRPC call; `None`: it passes unseen.
    calls: Option<BodyMode>,
    pub(crate) timeouts: BodyTimeouts,
    pub(crate) total: Option<Total>,
    pub(crate) too_large: Refusal,
    pub(crate) too_slow: Refusal,
    /// Nobody would tell the client to send its body.
    pub(crate) expectation: Refusal,
    /// Counts requests whose body the host does not show.
    pub(crate) blind: CounterId,
    pub(crate) overflow: Overflow,
}

/// `maxTotal`, compiled.
#[derive(Debug)]
pub(crate) struct Total {
    pub(crate) quota: Quota,
    pub(crate) gauge: GaugeId,
    pub(crate) full: Refusal,
}

/// An answer in place of forwarding, and what counts it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reply: Arc<Reply>,
    pub(crate) counter: CounterId,
    pub(crate) decided: Decided,
    /// What the operator should know.
    pub(crate) log: Option<LogMessage>,
}

/// Envoy's own buffer was too small.
#[derive(Debug)]
pub(crate) struct Overflow {
    pub(crate) counter: CounterId,
    pub(crate) log: LogMessage,
}

/// gRPC's RESOURCE_EXHAUSTED, as its libraries say for a message too large.
const GRPC_RESOURCE_EXHAUSTED: u8 = 8;

impl Buffering {
    pub(crate) fn compile(
        policy: &Policy,
        buffer: &RequestBuffer,
        counters: &mut Definitions,
    ) -> Self {
        let name = &policy.name;
        let largest = buffer.largest().get();
        let total = buffer.max_total.map(|total| Total {
            quota: Quota {
                id: counters.quota(name, "request_buffer"),
                max: total.get(),
                slots: WORKERS,
                owner: None,
                share: None,
            },
            gauge: counters.gauge(families::REQUEST_BUFFER_BYTES, Labels::of_policy(name)),
            full: Refusal::new(
                name,
                (families::REQUEST_BUFFER_FULL, Decided::BufferFull),
                buffer_full(),
                counters,
            ),
        });
        Self {
            mode: buffer.mode,
            limit: buffer.limit.get(),
            rules: buffer.rules.clone(),
            calls: mode_of_calls(policy, buffer),
            timeouts: BodyTimeouts {
                min_rate: buffer.min_data_rate.map(|rate| {
                    let bytes = rate.bytes_per_second.get();
                    (bytes, rate.grace_period.as_nanos())
                }),
                max_duration: buffer.max_duration.map(|longest| longest.as_nanos()),
            },
            total,
            too_large: Refusal::new(
                name,
                (families::REQUEST_BUFFER_TOO_LARGE, Decided::TooLarge),
                reply(413, "Payload Too Large", "btp_body_too_large").customized(&buffer.reject),
                counters,
            ),
            too_slow: Refusal::new(
                name,
                (families::REQUEST_BUFFER_TIMEOUTS, Decided::Timeout),
                reply(408, "Request Timeout", "btp_body_timeout"),
                counters,
            ),
            expectation: Refusal::new(
                name,
                (
                    families::REQUEST_BUFFER_EXPECTATIONS_FAILED,
                    Decided::ExpectationFailed,
                ),
                reply(417, "Expectation Failed", "btp_expectation_failed"),
                counters,
            )
            .logged(format!(
                "policy {name}: a client that waits for 100 Continue was answered 417: \
                 proxy_100_continue leaves it to the upstream, but mode Buffer forwards nothing \
                 until the body is complete; set proxy_100_continue to false"
            )),
            blind: counters.counter(families::REQUEST_BUFFER_BLIND, Labels::of_policy(name)),
            overflow: Overflow {
                counter: counters
                    .counter(families::REQUEST_BUFFER_OVERFLOWS, Labels::of_policy(name)),
                log: LogMessage::new(format!(
                    "policy {name}: Envoy answered 413 because its own buffer is smaller than \
                     requestBuffer.limit ({largest} bytes): set the route's \
                     request_body_buffer_limit or the listener's \
                     per_connection_buffer_limit_bytes to at least {largest}"
                )),
            },
        }
    }

    /// What must be known of a request.
    pub(crate) fn requires(&self) -> RequiredInputs {
        let of_rules = self
            .rules
            .iter()
            .map(|rule| RequiredInputs::of(&rule.matches));
        RequiredInputs {
            body: true,
            headers: false,
            ..of_rules.fold(RequiredInputs::default(), RequiredInputs::and)
        }
    }

    /// The most bytes of this request's body.
    #[inline(never)]
    pub(crate) fn limit_of(&self, request: &Request<'_>) -> u64 {
        let meets = |rule: &&BufferRule| meets_any(request, &rule.matches);
        let rule = self.rules.iter().find(meets);
        rule.map_or(self.limit, |rule| rule.limit.get())
    }

    /// The account of a request's body; `None` if the policy is not for it.
    pub(crate) fn progress(&self, body: BodyFraming, grpc: Grpc) -> Option<BodyProgress> {
        let mode = if body.tunnel.is_some() {
            BodyMode::AwaitingTunnel
        } else if grpc.is_call() {
            // What has a length is no stream.
            match self.calls? {
                BodyMode::Streamed if body.length.is_some() => self.mode(),
                mode => mode,
            }
        } else {
            self.mode()
        };
        Some(BodyProgress::new(mode, body.limit, body.length))
    }

    /// How to treat an ordinary body.
    fn mode(&self) -> BodyMode {
        match self.mode {
            BufferMode::Buffer => BodyMode::Buffered,
            BufferMode::Stream => BodyMode::Streamed,
        }
    }
}

impl Refusal {
    #[inline(never)]
    fn new(
        policy: &ObjectName,
        (counter, decided): (Family, Decided),
        reply: Reply,
        counters: &mut Definitions,
    ) -> Self {
        Self {
            reply: Arc::new(reply),
            counter: counters.counter(counter, Labels::of_policy(policy)),
            decided,
            log: None,
        }
    }

    fn logged(self, log: String) -> Self {
        Self {
            log: Some(LogMessage::new(log)),
            ..self
        }
    }
}

/// A call may be a stream that ends only when its answer has come, so it is
/// buffered only if the policy says that there are none.
fn mode_of_calls(policy: &Policy, buffer: &RequestBuffer) -> Option<BodyMode> {
    if buffer.gather_grpc {
        return Some(BodyMode::Buffered);
    }
    let counts = buffer
        .include_streams
        .unwrap_or_else(|| !is_for_grpc_alone(policy));
    counts.then_some(BodyMode::Streamed)
}

/// Whether all it targets are GRPCRoutes.
fn is_for_grpc_alone(policy: &Policy) -> bool {
    let targets = policy.targets.iter().map(|target| target.kind);
    let selectors = policy.selectors.iter().map(|selector| selector.kind);
    let mut kinds = targets.chain(selectors).peekable();
    kinds.peek().is_some() && kinds.all(|kind| kind == TargetKind::GrpcRoute)
}

fn buffer_full() -> Reply {
    let mut reply = reply(503, "Service Unavailable", "btp_buffer_full");
    let soon = ("retry-after".to_owned(), "1".to_owned());
    reply.headers.push(soon);
    reply
}

fn reply(status: u16, body: &str, details: &'static str) -> Reply {
    Reply {
        grpc_status: Some(GRPC_RESOURCE_EXHAUSTED),
        ..Reply::text(status, body, details)
    }
}
