//! `spec.requestBuffer`: how large a body may be, how slowly it may come, and
//! whether all of it must be there before anything goes on.
//!
//! Source: Envoy Gateway's `RequestBuffer` has `limit`; the rest is ours.

#[cfg(feature = "schema")]
mod lints;
pub(super) mod schema;

use crate::code::Code;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::regex::Regexes;
use crate::scalar::{Duration, Quantity};
use crate::spec::canned_reply::CannedReply;
use crate::spec::selector::Selector;

/// `requestBuffer`.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestBuffer {
    /// Whether bodies are buffered. An extension.
    pub mode: BufferMode,
    /// The most bytes of a body; at least one, less than 4 Gi in mode Buffer.
    pub limit: Quantity,
    /// Other limits for some requests; the first that matches is taken. An
    /// extension.
    pub rules: Vec<BufferRule>,
    /// Whether the bodies of gRPC calls count; `None`: unless the policy
    /// targets GRPCRoutes only. An extension.
    pub include_streams: Option<bool>,
    /// Whether the bodies of gRPC calls are buffered like any other, which is
    /// for those who have unary calls only; only in mode Buffer. An extension.
    pub gather_grpc: bool,
    /// How fast a body must come; only in mode Buffer. An extension.
    pub min_data_rate: Option<MinDataRate>,
    /// How long a body may take; only in mode Buffer. An extension.
    pub max_duration: Option<Duration>,
    /// The most bytes that are buffered at once, of all requests together;
    /// at least as many as the largest limit, only in mode Buffer. An
    /// extension.
    pub max_total: Option<Quantity>,
    /// What the client gets whose body is too large. An extension.
    pub reject: CannedReply,
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

/// An item of `rules`.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferRule {
    /// Which requests it is for: any of these.
    pub matches: Vec<Selector>,
    /// The most bytes of their bodies.
    pub limit: Quantity,
}

/// `minDataRate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinDataRate {
    /// On average since the body began; at least one.
    pub bytes_per_second: Quantity,
    /// Time that a client has to spare; 5 s by default.
    pub grace_period: Duration,
}

const DEFAULT_GRACE: Duration = Duration::from_millis(5_000);

impl RequestBuffer {
    /// Reads `requestBuffer`. A limit of zero would let no body pass, and
    /// Envoy buffers no more than 32 bits can count.
    pub fn read(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::REQUEST_BUFFER, problems)?;
        let mode = object.or_default("mode", problems, |at, problems| {
            at.choice(&BufferMode::NAMES, problems)
        });
        let known_mode = mode.unwrap_or_default();
        refuse_outside_buffer(&object, known_mode, problems);
        let limit = object
            .required("limit", problems)
            .and_then(|at| read_limit(at, known_mode, problems));
        let rules = object.or_default("rules", problems, |at, problems| {
            at.list(1..=16, problems, |at, problems| {
                BufferRule::read(at, known_mode, regexes, problems)
            })
        });
        let include_streams = object.optional("includeStreams", problems, Cursor::boolean);
        let gather_grpc = object.or_default("gatherGrpc", problems, Cursor::boolean);
        if let (Some(Some(false)), Some(true), Some(at)) =
            (include_streams, gather_grpc, object.get("gatherGrpc"))
        {
            at.refuse(
                problems,
                Code::ExcludedField,
                "must be left out beside includeStreams: false, which lets calls pass",
            );
        }
        let min_data_rate = object.optional("minDataRate", problems, MinDataRate::read);
        let max_duration = object.optional("maxDuration", problems, Duration::read_positive);
        let max_total = object.optional("maxTotal", problems, Quantity::read);
        let reject = object.or_default("reject", problems, CannedReply::read_reject_of_body);
        let buffer = Self {
            mode: mode?,
            limit: limit?,
            rules: rules?,
            include_streams: include_streams?,
            gather_grpc: gather_grpc?,
            min_data_rate: min_data_rate?,
            max_duration: max_duration?,
            max_total: max_total?,
            reject: reject?,
        };
        buffer.check_total(&object, problems);
        Some(buffer)
    }

    /// The largest body that any request may have.
    #[must_use]
    pub fn largest(&self) -> Quantity {
        let rules = self.rules.iter().map(|rule| rule.limit);
        rules.fold(self.limit, Quantity::max)
    }

    /// A body that the total has no room for could never pass.
    fn check_total(&self, object: &Object<'_>, problems: &mut Problems) {
        let largest = self.largest();
        if let (Some(total), Some(at)) = (self.max_total, object.get("maxTotal"))
            && total < largest
        {
            let reason = format!("must be at least {largest}, the largest body that may pass");
            at.refuse(problems, Code::TotalTooSmall, reason);
        }
    }
}

impl BufferMode {
    const NAMES: [(&'static str, Self); 2] = [("Buffer", Self::Buffer), ("Stream", Self::Stream)];
}

impl BufferRule {
    fn read(
        at: Cursor<'_>,
        mode: BufferMode,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&schema::BUFFER_RULE, problems)?;
        let matches = object
            .required("match", problems)
            .and_then(|at| Selector::read_any(at, regexes, problems));
        let limit = object
            .required("limit", problems)
            .and_then(|at| read_limit(at, mode, problems));
        Some(Self {
            matches: matches?,
            limit: limit?,
        })
    }
}

impl MinDataRate {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::MIN_DATA_RATE, problems)?;
        let bytes_per_second = object.required("bytesPerSecond", problems).and_then(|at| {
            let rate = Quantity::read(at, problems)?;
            if rate.get() == 0 {
                at.refuse(problems, Code::QuantityOutOfBounds, "must be at least 1");
            }
            Some(rate)
        });
        let grace_period = object.or("gracePeriod", DEFAULT_GRACE, problems, Duration::read);
        Some(Self {
            bytes_per_second: bytes_per_second?,
            grace_period: grace_period?,
        })
    }
}

fn read_limit(at: Cursor<'_>, mode: BufferMode, problems: &mut Problems) -> Option<Quantity> {
    let limit = Quantity::read(at, problems)?;
    let reason = match (mode, limit.get()) {
        (_, 0) => "must be at least 1",
        (BufferMode::Buffer, 0x1_0000_0000..) => {
            "must be less than 4Gi, the most that Envoy can buffer; mode Stream has no such limit"
        }
        _ => return Some(limit),
    };
    at.refuse(problems, Code::QuantityOutOfBounds, reason);
    None
}

fn refuse_outside_buffer(object: &Object<'_>, mode: BufferMode, problems: &mut Problems) {
    if mode == BufferMode::Buffer {
        return;
    }
    let slow = "must be left out in mode Stream, which cannot tell a slow client from a slow \
        upstream; mode Buffer can";
    let total = "must be left out in mode Stream, which buffers nothing";
    for (name, reason) in [
        ("minDataRate", slow),
        ("maxDuration", slow),
        ("maxTotal", total),
        ("gatherGrpc", total),
    ] {
        if let Some(at) = object.get(name) {
            at.refuse(problems, Code::ExcludedField, reason);
        }
    }
}
