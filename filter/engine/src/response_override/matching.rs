//! Which rule applies to a response.

use btp_policy::scalar::HttpStatus;
use btp_policy::spec::{Source, StringMatch};

use super::{Overrides, Recipient, Rule};
use crate::action::Reply;
use crate::grpc::reply_format::ReplyFormat;
use crate::grpc::{is_grpc, status_of_http};
use crate::host::headers::HeaderView;
use crate::host::{Host, is_via_upstream, parse, response_status};
use crate::request::joined;

impl Overrides {
    /// The rule for the current response. Reads only its status as long as no rule can
    /// match, then all that the rules need, once.
    pub(super) fn rule_for_response<H: Host>(
        &self,
        client: Recipient<'_>,
        host: &H,
        end: bool,
    ) -> Option<&Rule> {
        let status = response_status(host)?;
        let possible =
            |rule: &&Rule| rule.takes_status(status) && client.snapshot.meets(rule.condition_bit);
        self.rules.iter().find(possible)?;
        // The status of a streamed gRPC answer comes behind its messages.
        let streams_grpc = client.grpc.is_call()
            && !end
            && host
                .response_header("content-type")
                .is_some_and(|value| is_grpc(&value));
        let possible = |rule: &&Rule| possible(rule) && (!streams_grpc || rule.keeps_body());
        let first = self.rules.iter().find(possible)?;
        if first.is_decided_by_status() {
            return Some(first);
        }
        let asks_source = |rule: &Rule| rule.rule.source != Source::All;
        let asked = self.rules.iter().filter(possible).any(asks_source);
        let is_local = asked && !is_via_upstream(host);
        host.response_headers(|headers| {
            let matches =
                |rule: &&Rule| rule.takes_source(is_local) && rule.takes_headers(headers, None);
            self.rules.iter().filter(possible).find(matches)
        })
    }

    /// The rule for a reply of the engine's own. Envoy would send it with HTTP
    /// status 200 to a client that says gRPC, and so the rules see it. One that says
    /// Envoy treats gRPC-Web like other requests: rules by HTTP status and by gRPC status fit.
    pub(super) fn rule_for_reply(
        &self,
        reply: &Reply,
        headers: &dyn HeaderView,
        format: ReplyFormat,
        client: Recipient<'_>,
    ) -> Option<&Rule> {
        let status = match format {
            ReplyFormat::Grpc => 200,
            _ => reply.status,
        };
        let of_grpc = || {
            reply
                .grpc_status
                .unwrap_or_else(|| status_of_http(reply.status))
        };
        let grpc_status = (format != ReplyFormat::Http).then(of_grpc);
        self.rules.iter().find(|rule| {
            rule.takes_status(status)
                && client.snapshot.meets(rule.condition_bit)
                && rule.takes_source(true)
                && rule.takes_headers(headers, grpc_status)
        })
    }
}

impl Rule {
    /// An upgrade (101) is no response to replace, and what lies beyond 599
    /// nobody could send.
    fn takes_status(&self, status: u16) -> bool {
        let statuses = &self.rule.matching.statuses;
        if statuses.is_empty() {
            return HttpStatus::new(status).is_some();
        }
        statuses.iter().any(|range| range.contains(status))
    }

    fn is_decided_by_status(&self) -> bool {
        let matching = &self.rule.matching;
        self.rule.source == Source::All
            && matching.headers.is_empty()
            && matching.grpc_statuses.is_empty()
    }

    fn takes_source(&self, is_local: bool) -> bool {
        match self.rule.source {
            Source::All => true,
            Source::Local => is_local,
            Source::Backend => !is_local,
        }
    }

    /// `grpc_status` counts before the header of that name.
    fn takes_headers(&self, headers: &dyn HeaderView, grpc_status: Option<u8>) -> bool {
        let wanted = &self.rule.matching.grpc_statuses;
        if !wanted.is_empty() {
            let status = grpc_status.or_else(|| parse(&joined(headers, "grpc-status")?));
            if !status.is_some_and(|status| wanted.contains(&status)) {
                return false;
            }
        }
        self.rule.matching.headers.iter().all(|header| {
            let value = joined(headers, header.name.as_str());
            value.is_some_and(|value| takes_value(&header.value, &value))
        })
    }
}

fn takes_value(wanted: &StringMatch, value: &[u8]) -> bool {
    match wanted {
        StringMatch::Exact(text) => value == text.as_bytes(),
        StringMatch::Prefix(text) => value.starts_with(text.as_bytes()),
        StringMatch::Suffix(text) => value.ends_with(text.as_bytes()),
        StringMatch::Regex(regex) => regex.is_match(value),
    }
}

/// The status of a response with these headers.
pub(super) fn status(headers: &dyn HeaderView) -> Option<u16> {
    parse(headers.value(":status")?)
}
