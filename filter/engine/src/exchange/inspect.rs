//! Collects the inputs that a policy requires of a request, all at once.
//!
//! A hostcall that returns bytes costs the same for all headers as for one. So either all
//! headers are read, once, or at most one is.

use super::Context;
use crate::fault::{Fault, FaultInputs};
use crate::grpc::Grpc;
use crate::grpc::reply_format::ReplyFormat;
use crate::host::headers::NO_HEADERS;
use crate::host::metadata::MetadataValue;
use crate::host::{Host, client_ip};
use crate::plan::PolicyPlan;
use crate::rate_limit::MatchedRule;
use crate::request::Request;
use crate::request::required::MetadataPath;
use crate::request_buffer::framing::BodyFraming;
use crate::response_override::{Recipient, RequestSnapshot};
use crate::retry::{Retries, RuleId};

/// What an exchange remembers of its request.
#[derive(Debug, Default)]
pub(crate) struct RequestFacts {
    /// What its client understands; only known if its content type was at hand.
    pub(super) format: Option<ReplyFormat>,
    /// What it has to do with gRPC; only known if the policy requires it.
    pub(super) grpc: Grpc,
    /// Its faults were sampled, and no response has come since.
    pub(super) is_sampled: bool,
    /// The rate limits that count it; none once it has a response.
    pub(super) limits: Vec<MatchedRule>,
    /// What overrides will want to know of it.
    pub(super) snapshot: RequestSnapshot,
    /// Its body; only known if the policy requires it and there is one.
    pub(super) body: BodyFraming,
    /// What holds for its retries; `None`: it may not be retried.
    pub(super) retry: Option<RuleId>,
}

impl RequestFacts {
    /// The client, as responses are replaced for it.
    pub(super) fn recipient(&self) -> Recipient<'_> {
        Recipient {
            snapshot: &self.snapshot,
            grpc: self.grpc,
            format: self.format.unwrap_or_default(),
        }
    }

    /// Looks at the current request, once for all capabilities; `end` if its
    /// headers are all of it. `route` is a hash of its route's name. What only
    /// fault injection asks is not kept.
    pub(super) fn collect<H: Host>(
        policy: &PolicyPlan,
        cx: &mut Context<'_, H>,
        route: u64,
        end: bool,
    ) -> (Self, FaultInputs) {
        let required = &policy.required;
        let overrides = policy.overrides.as_ref();
        let started_ns = overrides.and_then(|it| it.started_ns(&mut cx.event));
        let requires_body = required.body && !end;
        let fault = policy.fault.as_ref();
        let limits = policy.limits.as_ref();
        let seed = match limits {
            Some(_) => cx.worker.seed(cx.event.host),
            None => [0; 2],
        };
        let mut matched = std::mem::take(&mut cx.worker.matched);
        let mut matched = |request: &Request<'_>| {
            if let Some(limits) = limits {
                limits.match_rules(request, seed, route, &mut matched);
            }
            std::mem::take(&mut matched)
        };
        let host = &*cx.event.host;
        let source = required.source.then(|| client_ip(host)).flatten();
        let paths = required.metadata.iter();
        let metadata: Vec<(&MetadataPath, MetadataValue<'_>)> = paths
            .filter_map(|path| Some((path, host.metadata(path)?)))
            .collect();
        let retries = policy.retries.as_ref();
        if !required.headers && !requires_body {
            // No condition is about headers, so that a request without any
            // stands for the one at hand.
            let format = required.grpc.then(|| ReplyFormat::of_request(host));
            let facts = Self {
                format,
                grpc: format.map_or(Grpc::None, |format| Grpc::of_request(format, host)),
                limits: matched(&Request::new(&NO_HEADERS, source).with_metadata(&metadata)),
                is_sampled: false,
                snapshot: RequestSnapshot::of_time(started_ns),
                body: BodyFraming::default(),
                retry: retries.and_then(Retries::rule_for_all),
            };
            return (facts, fault.map(Fault::uninspected).unwrap_or_default());
        }
        let value_limits = cx.worker.value_limits();
        let (mut facts, inputs, shortage, is_post) = host.request_headers(|headers| {
            let request = Request::new(headers, source)
                .with_metadata(&metadata)
                .with_params(&required.params);
            let (snapshot, shortage) = overrides
                .map(|it| it.capture(&request, started_ns, value_limits))
                .unwrap_or_default();
            let content_type = request.header("content-type").unwrap_or_default();
            let format = ReplyFormat::of(&content_type);
            // It matters to a client of gRPC only.
            let is_post = format != ReplyFormat::Http && request.method() == b"POST";
            let facts = Self {
                format: Some(format.for_method(is_post)),
                grpc: Grpc::None,
                is_sampled: false,
                limits: matched(&request),
                snapshot,
                body: match &policy.buffering {
                    Some(buffering) if requires_body => {
                        BodyFraming::of(&request, buffering.limit_of(&request))
                    }
                    _ => BodyFraming::default(),
                },
                retry: retries.and_then(|retries| retries.rule_for(&request)),
            };
            let inputs = fault.map(|fault| fault.inspect(&request));
            (facts, inputs.unwrap_or_default(), shortage, is_post)
        });
        // The protocol is asked for last: only a POST that says gRPC needs it.
        if required.grpc || requires_body {
            facts.grpc = Grpc::of(facts.format.unwrap_or_default(), |_| is_post, host);
        }
        if let Some(overrides) = overrides {
            overrides.report_shortage(shortage, host);
        }
        (facts, inputs)
    }
}
