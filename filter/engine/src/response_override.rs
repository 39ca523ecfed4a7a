//! Response override: which responses are replaced, and how that is done.

use std::sync::Arc;

use btp_policy::scalar::{HttpStatus, ObjectName, StatusRange};
use btp_policy::spec::{OverrideResponse, OverrideRule};

use crate::action::Reply;
use crate::counters::{CounterId, CounterNames};
use crate::host::Host;

/// `responseOverride`, compiled. The first rule that matches is taken.
#[derive(Debug)]
pub(crate) struct Overrides {
    rules: Vec<Rule>,
    counter: CounterId,
}

#[derive(Debug)]
struct Rule {
    statuses: Vec<StatusRange>,
    replacement: Replacement,
}

#[derive(Debug)]
enum Replacement {
    /// The same reply whatever came: it has a status of its own.
    Fixed(Arc<Reply>),
    /// The original status stays.
    WithStatus(OverrideResponse),
}

/// How a response is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// Header by header and byte by byte as it passes: an HTTP/1 connection
    /// to the upstream stays usable.
    InPlace,
    /// By a reply of the proxy's own; the original is discarded.
    LocalReply,
}

/// `%RESPONSE_CODE_DETAILS%` of a response that was replaced.
const DETAILS: &str = "btp_response_override";

/// The longest body that is replaced in place. The client has its answer at
/// once, but the exchange ends only when the upstream's body has passed.
const LONGEST_IN_PLACE: u64 = 64 * 1024;

impl Overrides {
    /// `None` if there are no rules.
    pub(crate) fn compile(
        policy: &ObjectName,
        rules: &[OverrideRule],
        counters: &mut CounterNames,
    ) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        let rules = rules.iter().map(|rule| Rule {
            statuses: rule.statuses.clone(),
            replacement: match rule.response.status {
                Some(status) => {
                    Replacement::Fixed(Arc::new(reply(&rule.response, status.get(), DETAILS)))
                }
                None => Replacement::WithStatus(rule.response.clone()),
            },
        });
        Some(Self {
            rules: rules.collect(),
            counter: counters.define(policy, "responses_overridden"),
        })
    }

    /// What stands in for a response with this status.
    pub(crate) fn replacement(&self, status: u16) -> Option<Arc<Reply>> {
        let rule = self.rule(status)?;
        Some(match &rule.replacement {
            Replacement::Fixed(reply) => Arc::clone(reply),
            Replacement::WithStatus(response) => Arc::new(reply(response, status, DETAILS)),
        })
    }

    /// What stands in for a reply of the engine's own; the details still
    /// tell why there was a reply at all.
    pub(crate) fn replacement_for(&self, original: &Reply, status: u16) -> Option<Arc<Reply>> {
        let rule = self.rule(status)?;
        let response = match &rule.replacement {
            Replacement::Fixed(fixed) => Reply {
                details: original.details,
                ..fixed.as_ref().clone()
            },
            Replacement::WithStatus(response) => reply(response, status, original.details),
        };
        Some(Arc::new(response))
    }

    pub(crate) fn counter(&self) -> CounterId {
        self.counter
    }

    fn rule(&self, status: u16) -> Option<&Rule> {
        let matches = |rule: &&Rule| rule.statuses.iter().any(|range| range.contains(status));
        self.rules.iter().find(matches)
    }
}

/// How the response at hand can be replaced. In place needs a body to write
/// over, and its length: without one there may be no body at all (HTTP/2
/// headers and trailers). A gRPC client needs the local reply, which the
/// host turns into a gRPC one.
pub(crate) fn means<H: Host>(host: &mut H, reply: &Reply, end: bool, grpc: bool) -> Means {
    if end || grpc || forbids_body(reply.status) {
        return Means::LocalReply;
    }
    let length = host.response_header("content-length", |value| {
        std::str::from_utf8(value?).ok()?.parse::<u64>().ok()
    });
    match length {
        Some(1..=LONGEST_IN_PLACE) => Means::InPlace,
        _ => Means::LocalReply,
    }
}

/// The status of the response at hand.
pub(crate) fn response_status<H: Host>(host: &mut H) -> Option<u16> {
    host.response_header(":status", |value| {
        std::str::from_utf8(value?).ok()?.parse().ok()
    })
}

fn forbids_body(status: u16) -> bool {
    HttpStatus::new(status).is_none_or(HttpStatus::forbids_body)
}

/// A body that the status forbids is left out, its content type with it.
fn reply(response: &OverrideResponse, status: u16, details: &'static str) -> Reply {
    let no_body = forbids_body(status);
    let headers = response
        .headers
        .iter()
        .filter(|header| !(no_body && header.name.as_str() == "content-type"))
        .map(|header| {
            (
                header.name.as_str().to_owned(),
                header.value.as_text().unwrap_or_default().to_owned(),
            )
        });
    Reply {
        status,
        headers: headers.collect(),
        body: if no_body {
            String::new()
        } else {
            response.body.as_text().unwrap_or_default().to_owned()
        },
        grpc_status: None,
        details,
    }
}
