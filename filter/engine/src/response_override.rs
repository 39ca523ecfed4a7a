//! Response override: which responses are replaced, and how.
//!
//! `compile` prepares the rules, `matching` finds the one for a response,
//! `request_snapshot` captures the request values that it needs, and `build` makes the new
//! response with `render`.

mod accept;
mod authority;
mod body;
mod build;
mod captured;
mod compile;
mod delivery;
mod matching;
mod memory_quota;
mod operators;
mod preserved_headers;
mod render;
mod request_snapshot;

use btp_policy::scalar::Operator;
use btp_policy::spec::{Instead as Wanted, NewBody, OverrideRule};

use crate::action::{Action, Fields, HeaderEdit, Reply, Response};
use crate::decision::{Decided, Value};
use crate::event::Event;
use crate::grpc::Grpc;
use crate::grpc::reply_format::ReplyFormat;
use crate::host::metrics::CounterId;
use crate::host::{Host, parse};
use crate::request::required::RequiredInputs;

use body::Body;
pub(crate) use body::HeldBody;
use build::{Built, CONTENT_LENGTH, Content, STATUS, build};
pub(crate) use captured::ValueLimits;
use captured::{CapturedValue, Shortage};
use delivery::{Delivery, is_preflight};
pub use memory_quota::MemoryQuota;
use operators::{AUTHORITY, Operators, SCHEME};
use render::RenderContext;
use request_snapshot::PlannedItem;
pub(crate) use request_snapshot::RequestSnapshot;

/// `responseOverride`, compiled. The first rule that matches is taken.
#[derive(Debug)]
pub(crate) struct Overrides {
    rules: Vec<Rule>,
    counter: CounterId,
    /// Counts values that an exchange had no room for, and exchanges that the
    /// worker had no room for.
    too_long: CounterId,
    no_room: CounterId,
    /// Counts bodies that the worker had no room for.
    no_room_for_body: CounterId,
    /// Redirects that were not made for the host that the request names.
    refused_redirects: CounterId,
    /// What must be kept of each request.
    items: Vec<PlannedItem>,
    /// Some rule prints how long a request took.
    prints_duration: bool,
    /// Some rule prints when a request began.
    pub(crate) prints_start_time: bool,
    required: RequiredInputs,
}

#[derive(Debug)]
struct Rule {
    /// As the policy has it.
    rule: OverrideRule,
    /// Stands for its conditions on requests in [`RequestSnapshot`]; 0: it has none.
    condition_bit: u64,
    /// Operators whose values come from the host.
    asks: Vec<Operator>,
    counter: CounterId,
}

/// The client of a response that may be replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient<'a> {
    /// What was kept of its request.
    pub(crate) snapshot: &'a RequestSnapshot,
    /// What its request has to do with gRPC.
    pub(crate) grpc: Grpc,
    /// What it understands, by its content type.
    pub(crate) format: ReplyFormat,
}

/// What the client gets instead of a response.
#[derive(Debug)]
pub(crate) enum Instead {
    /// The same body under headers that are changed so.
    Headers(Vec<HeaderEdit>),
    /// These headers, and this body, written over the original as it passes:
    /// an HTTP/1 connection to the upstream stays usable.
    InPlace(Fields, HeldBody),
    /// A reply of the proxy's own; the original is discarded. Nothing is held
    /// for it.
    Reply(Response),
}

/// `%RESPONSE_CODE_DETAILS%` of a response that was replaced.
const DETAILS: &str = "btp_response_override";

impl Overrides {
    /// What must be known of a request to override its response.
    pub(crate) fn requires(&self) -> RequiredInputs {
        self.required.clone()
    }

    /// What the client gets instead of the current response, `end` if that
    /// has neither body nor trailers. `None`: nothing else.
    pub(crate) fn instead_of_response<H: Host>(
        &self,
        client: Recipient<'_>,
        limits: ValueLimits<'_>,
        end: bool,
        event: &mut Event<'_, H>,
    ) -> Option<Instead> {
        let rule = self.rule_for_response(client, event.host, end)?;
        if self.stays(rule, client.snapshot, event.out) {
            return None;
        }
        self.replace(rule, client, limits, end, event)
    }

    /// Replaces the current response by that of `rule`.
    #[inline(never)]
    fn replace<H: Host>(
        &self,
        rule: &Rule,
        client: Recipient<'_>,
        limits: ValueLimits<'_>,
        end: bool,
        event: &mut Event<'_, H>,
    ) -> Option<Instead> {
        let asked = rule.ask(event, client.snapshot);
        let (status, built, length, grpc_status) = event.host.response_headers(|headers| {
            let status = matching::status(headers)?;
            let context = RenderContext {
                overrides: self,
                snapshot: client.snapshot,
                status,
                headers,
                asked: &asked,
            };
            let length: Option<u64> = parse(&context.header("content-length").unwrap_or_default());
            let grpc_status: Option<u8> = parse(&context.header("grpc-status").unwrap_or_default());
            let built = build(&rule.rule.instead, &rule.rule.keep, &context);
            Some((status, built, length, grpc_status))
        })?;
        if end && status == 200 && is_preflight(event.host) {
            return None;
        }
        self.count(rule, status, event);
        let (headers, mut body) = match built.content {
            Content::Original(mut edits) => {
                // The HTTP status of an answer to a gRPC client is not what counts.
                if built.status != status && !client.grpc.is_call() {
                    edits.push(HeaderEdit::status(built.status));
                }
                return Some(Instead::Headers(edits));
            }
            Content::New(headers, body) => (headers, body),
        };
        let format = client.replaced_in();
        let mut response = Response {
            status: built.status,
            headers,
            body: Vec::new(),
            grpc_status: rule.grpc_status(grpc_status),
            details: DETAILS,
        };
        if format != ReplyFormat::Http {
            response.body = body.into_bytes();
            response = match end {
                true => format.encode_in_headers(response),
                false => format.encode(response),
            };
            body = Body::Printed(std::mem::take(&mut response.body));
        }
        let delivery = Delivery::of(format, response.status, body.len(), (length, end));
        if delivery != Delivery::Reply {
            let length = body.len().to_string().into_bytes();
            match body.hold(limits) {
                Ok(held) => {
                    let mut headers = with_status(response.status, response.headers);
                    if delivery == Delivery::HeadersAndBody {
                        headers.push((CONTENT_LENGTH.to_vec(), length));
                    }
                    return Some(Instead::InPlace(headers, held));
                }
                Err(printed) => body = printed,
            }
            event.count(self.no_room_for_body);
        }
        response.body = body.into_bytes();
        Some(Instead::Reply(response))
    }

    /// What the client gets instead of a reply of the engine's own. Its
    /// details still tell why there was a reply at all.
    #[inline(never)]
    pub(crate) fn instead_of_reply<H: Host>(
        &self,
        original: &Reply,
        format: ReplyFormat,
        client: Recipient<'_>,
        event: &mut Event<'_, H>,
    ) -> Option<Response> {
        // A view of the kind that hosts have, so that there is code for one kind only.
        let headers: Vec<(&[u8], &[u8])> = original
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let rule = self.rule_for_reply(original, &headers, format, client)?;
        if self.stays(rule, client.snapshot, event.out) {
            return None;
        }
        let mut asked = rule.ask(event, client.snapshot);
        for (operator, value) in &mut asked {
            if **operator == Operator::ResponseCodeDetails {
                *value = Some(original.details.as_bytes().to_vec());
            }
        }
        let context = RenderContext {
            overrides: self,
            snapshot: client.snapshot,
            status: original.status,
            headers: &headers,
            asked: &asked,
        };
        let Built { status, content } = build(&rule.rule.instead, &rule.rule.keep, &context);
        let (headers, body) = match content {
            Content::Original(edits) => {
                let body = original.body.clone().into_bytes();
                (HeaderEdit::apply(edits, &headers), body)
            }
            Content::New(headers, body) => (headers, body.into_bytes()),
        };
        self.count(rule, original.status, event);
        Some(Response {
            status,
            headers,
            body,
            grpc_status: rule.grpc_status(original.grpc_status),
            details: original.details,
        })
    }

    /// Tells of what was not kept of a request.
    pub(crate) fn report_shortage<H: Host>(&self, shortage: Shortage, host: &H) {
        if shortage.too_long > 0 {
            host.add(self.too_long, shortage.too_long);
        }
        if shortage.no_room {
            host.add(self.no_room, 1);
        }
    }

    /// Whether a response stays as it is although the rule matches.
    fn stays(&self, rule: &Rule, snapshot: &RequestSnapshot, out: &mut Vec<Action>) -> bool {
        rule.changes_nothing()
            || self.lacks_values(rule, snapshot)
            || self.refuses_redirect(rule, snapshot, out)
    }

    /// Whether there was no room for what a redirect is made from: it would
    /// lead elsewhere.
    fn lacks_values(&self, rule: &Rule, snapshot: &RequestSnapshot) -> bool {
        let Wanted::Redirect(redirect) = &rule.rule.instead else {
            return false;
        };
        let dropped = |it| self.captured_value(&it, None, snapshot) == CapturedValue::Dropped;
        Operators::that_stay(redirect).into_iter().any(dropped)
    }

    /// Counts a response of this status that is replaced.
    fn count<H: Host>(&self, rule: &Rule, status: u16, event: &mut Event<'_, H>) {
        event.count(self.counter);
        let decided = match &rule.rule.instead {
            Wanted::Response(_) => Decided::Overridden,
            Wanted::Redirect(_) => Decided::Redirected,
        };
        event.decided(rule.counter, decided, Value::Status(status));
    }
}

impl Recipient<'_> {
    /// In which format the client gets what replaces a response. One that only
    /// says gRPC, and not even in a POST, gets what anybody else gets.
    fn replaced_in(self) -> ReplyFormat {
        match self.format {
            ReplyFormat::Grpc if self.grpc == Grpc::None => ReplyFormat::Http,
            format => format,
        }
    }
}

impl Rule {
    /// It says that a response stays as it is.
    fn changes_nothing(&self) -> bool {
        match &self.rule.instead {
            Wanted::Response(response) => {
                self.keeps_body()
                    && response.status.is_none()
                    && response.content_type.is_none()
                    && response.headers == Default::default()
            }
            Wanted::Redirect(_) => false,
        }
    }

    fn keeps_body(&self) -> bool {
        match &self.rule.instead {
            Wanted::Response(response) => response.body == NewBody::Original,
            Wanted::Redirect(_) => false,
        }
    }

    /// What a gRPC client is told; `None`: what the HTTP status maps to.
    fn grpc_status(&self, original: Option<u8>) -> Option<u8> {
        match &self.rule.instead {
            Wanted::Response(response) => match (response.grpc_status, response.status) {
                (Some(status), _) => Some(status),
                (None, Some(_)) => None,
                (None, None) => original,
            },
            Wanted::Redirect(_) => None,
        }
    }

    fn ask<H: Host>(
        &self,
        event: &mut Event<'_, H>,
        snapshot: &RequestSnapshot,
    ) -> Vec<(&Operator, Option<Vec<u8>>)> {
        let mut ask = |operator| (operator, Operators::ask(operator, event, snapshot));
        self.asks.iter().map(&mut ask).collect()
    }
}

fn with_status(status: u16, headers: Fields) -> Fields {
    let status = (STATUS.to_vec(), status.to_string().into_bytes());
    std::iter::once(status).chain(headers).collect()
}

#[cfg(test)]
mod tests;
