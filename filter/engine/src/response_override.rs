//! Response override: which responses are replaced, and how that is done.
//!
//! `matching` finds the rule, `recall` keeps what it will want to know of the
//! request, `build` makes the new response from what `render` prints.

mod accept;
mod authority;
mod build;
mod matching;
mod recall;
mod render;

use btp_policy::scalar::{HeaderChoice, ObjectName, Operator, Part, Template};
use btp_policy::spec::{Instead as Wanted, NewBody, OverrideRule};

use crate::action::{Action, Fields, Reply, Response};
use crate::counters::{CounterId, CounterNames};
use crate::host::{Attribute, Host};
use crate::look::{Look, Needs};

use build::{Built, CONTENT_LENGTH, STATUS, build, forbids_body};
pub(crate) use matching::response_status;
pub(crate) use recall::Recall;
use render::Facts;

/// `responseOverride`, compiled. The first rule that matches is taken.
#[derive(Debug)]
pub(crate) struct Overrides {
    rules: Vec<Rule>,
    counter: CounterId,
    /// Redirects that were not made for the host that the request names.
    refused_redirects: CounterId,
    /// What must be kept of each request.
    kept: Vec<Operator>,
    /// Some rule prints how long a request took.
    times: bool,
    needs: Needs,
}

#[derive(Debug)]
struct Rule {
    /// As the policy has it.
    said: OverrideRule,
    /// Stands for its conditions on requests in [`Recall`]; 0: it has none.
    bit: u64,
    /// Operators whose values the host is asked for.
    asks: Vec<Operator>,
    counter: CounterId,
}

/// What the client gets instead of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    /// The same body under these headers, `:status` among them.
    Headers(Fields),
    /// These headers, and this body, written over the original as it passes:
    /// an HTTP/1 connection to the upstream stays usable.
    InPlace(Fields, Vec<u8>),
    /// A reply of the proxy's own; the original is discarded.
    Reply(Response),
}

/// Operators of all rules, sorted by who knows their values.
struct Operators;

/// `%RESPONSE_CODE_DETAILS%` of a response that was replaced.
const DETAILS: &str = "btp_response_override";

/// The longest body that is replaced in place. The client has its answer at
/// once, but the exchange ends only when the upstream's body has passed.
const LONGEST_IN_PLACE: u64 = 64 * 1024;

const SCHEME: &str = ":scheme";
const AUTHORITY: &str = ":authority";

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
        let mut overrides = Self {
            rules: Vec::new(),
            counter: counters.define(policy, "responses_overridden"),
            refused_redirects: counters.define(policy, "redirects_refused"),
            kept: Vec::new(),
            times: false,
            needs: Needs {
                grpc: true,
                ..Needs::default()
            },
        };
        let mut next_bit = 1;
        for (index, rule) in rules.iter().enumerate() {
            let mut bit = 0;
            if !rule.matching.requests.is_empty() {
                bit = next_bit;
                next_bit <<= 1;
            }
            let requests = Needs::of(&rule.matching.requests);
            overrides.needs = std::mem::take(&mut overrides.needs).and(requests);
            let counter = format!("response_override.{index}.responses_overridden");
            let mut asks = Vec::new();
            for operator in Operators::of(&rule.instead) {
                overrides.times |= operator == Operator::Duration;
                let list = if operator.is_of_request() {
                    &mut overrides.kept
                } else if Operators::are_asked_of_the_host(&operator) {
                    &mut asks
                } else {
                    continue;
                };
                if !list.contains(&operator) {
                    list.push(operator);
                }
            }
            overrides.rules.push(Rule {
                said: rule.clone(),
                bit,
                asks,
                counter: counters.define(policy, &counter),
            });
        }
        overrides.needs.headers |= !overrides.kept.is_empty();
        Some(overrides)
    }

    /// What must be known of a request to override its response.
    pub(crate) fn needs(&self) -> Needs {
        self.needs.clone()
    }

    /// What the client gets instead of the response at hand, `end` if that
    /// has neither body nor trailers. `None`: nothing else.
    pub(crate) fn instead_of_response<H: Host>(
        &self,
        look: &Look,
        host: &mut H,
        end: bool,
        out: &mut Vec<Action>,
    ) -> Option<Instead> {
        let rule = self.rule_for_response(look, host, end)?;
        if rule.changes_nothing() || self.refuses_redirect(rule, look, out) {
            return None;
        }
        self.replace(rule, look, host, end, out)
    }

    /// Replaces the response at hand as `rule` says.
    #[inline(never)]
    fn replace<H: Host>(
        &self,
        rule: &Rule,
        look: &Look,
        host: &mut H,
        end: bool,
        out: &mut Vec<Action>,
    ) -> Option<Instead> {
        let asked = rule.ask(host, &look.recall);
        let (status, built, length, grpc_status) = host.response_headers(|headers| {
            let status = matching::status(headers)?;
            let facts = Facts {
                overrides: self,
                recall: &look.recall,
                status,
                headers,
                asked: &asked,
            };
            let number = |name| std::str::from_utf8(&facts.header(name)?).ok()?.parse().ok();
            let length: Option<u64> = number("content-length");
            let grpc_status = number("grpc-status").and_then(|code| u8::try_from(code).ok());
            let built = build(&rule.said.instead, &rule.said.keep, &facts);
            Some((status, built, length, grpc_status))
        })?;
        self.count(rule, out);
        let Some(body) = built.body else {
            // The HTTP status of an answer to a gRPC client is not what counts.
            let status = if look.grpc { status } else { built.status };
            return Some(Instead::Headers(with_status(status, built.headers)));
        };
        let by_reply = end || look.grpc || forbids_body(built.status);
        if !by_reply && matches!(length, Some(1..=LONGEST_IN_PLACE)) {
            let mut headers = with_status(built.status, built.headers);
            let length = body.len().to_string().into_bytes();
            headers.push((CONTENT_LENGTH.to_vec(), length));
            return Some(Instead::InPlace(headers, body));
        }
        Some(Instead::Reply(Response {
            status: built.status,
            headers: built.headers,
            body,
            grpc_status: rule.grpc_status(grpc_status),
            details: DETAILS,
        }))
    }

    /// What the client gets instead of a reply of the engine's own. Its
    /// details still tell why there was a reply at all.
    #[inline(never)]
    pub(crate) fn instead_of_reply<H: Host>(
        &self,
        original: &Reply,
        look: &Look,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Option<Response> {
        let headers: Vec<(&[u8], &[u8])> = original
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let rule = self.rule_for_reply(original, &headers, look)?;
        if rule.changes_nothing() || self.refuses_redirect(rule, look, out) {
            return None;
        }
        let mut asked = rule.ask(host, &look.recall);
        for (operator, value) in &mut asked {
            if **operator == Operator::ResponseCodeDetails {
                *value = Some(original.details.as_bytes().to_vec());
            }
        }
        let facts = Facts {
            overrides: self,
            recall: &look.recall,
            status: original.status,
            headers: &headers,
            asked: &asked,
        };
        let Built {
            status,
            headers,
            body,
        } = build(&rule.said.instead, &rule.said.keep, &facts);
        self.count(rule, out);
        Some(Response {
            status,
            headers,
            body: body.unwrap_or_else(|| original.body.clone().into_bytes()),
            grpc_status: rule.grpc_status(original.grpc_status),
            details: original.details,
        })
    }

    fn count(&self, rule: &Rule, out: &mut Vec<Action>) {
        out.push(Action::Count(self.counter));
        out.push(Action::Count(rule.counter));
    }
}

impl Rule {
    /// It says that a response stays as it is.
    fn changes_nothing(&self) -> bool {
        match &self.said.instead {
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
        match &self.said.instead {
            Wanted::Response(response) => response.body == NewBody::Original,
            Wanted::Redirect(_) => false,
        }
    }

    /// What a gRPC client is told; `None`: what the HTTP status maps to.
    fn grpc_status(&self, original: Option<u8>) -> Option<u8> {
        match &self.said.instead {
            Wanted::Response(response) => match (response.grpc_status, response.status) {
                (Some(status), _) => Some(status),
                (None, Some(_)) => None,
                (None, None) => original,
            },
            Wanted::Redirect(_) => None,
        }
    }

    fn ask<H: Host>(&self, host: &mut H, recall: &Recall) -> Vec<(&Operator, Option<Vec<u8>>)> {
        let mut ask = |operator| (operator, Operators::ask(operator, host, recall));
        self.asks.iter().map(&mut ask).collect()
    }
}

impl Operators {
    fn header(name: &str) -> Operator {
        Operator::Request(HeaderChoice {
            name: name.to_owned(),
            or: None,
        })
    }

    fn accept() -> Operator {
        Self::header("accept")
    }

    fn path() -> Operator {
        Operator::Path { query: true }
    }

    /// All operators that `instead` prints or depends on.
    fn of(instead: &Wanted) -> Vec<Operator> {
        let mut found = Vec::new();
        let mut add = |template: &Template| {
            for part in template.parts() {
                if let Part::Operator { operator, .. } = part {
                    found.push(operator.clone());
                }
            }
        };
        match instead {
            Wanted::Response(response) => {
                response.content_type.iter().for_each(&mut add);
                let headers = response.headers.add.iter().chain(&response.headers.set);
                headers.for_each(|header| add(&header.value));
                match &response.body {
                    NewBody::One(body) => add(&body.template),
                    NewBody::Variants(variants) => {
                        variants.iter().for_each(|it| add(&it.body.template));
                        found.push(Self::accept());
                    }
                    NewBody::Empty | NewBody::Original => {}
                }
            }
            Wanted::Redirect(redirect) => {
                redirect.path.iter().for_each(&mut add);
                let defaults = [Self::header(SCHEME), Self::header(AUTHORITY), Self::path()];
                found.extend(defaults);
            }
        }
        found
    }

    fn are_asked_of_the_host(operator: &Operator) -> bool {
        !operator.is_of_request()
            && !matches!(
                operator,
                Operator::Response(_) | Operator::ResponseCode | Operator::GrpcStatusNumber
            )
    }

    #[inline(never)]
    fn ask<H: Host>(operator: &Operator, host: &mut H, recall: &Recall) -> Option<Vec<u8>> {
        const NANOS_PER_MS: u64 = 1_000_000;
        let attribute = match operator {
            Operator::StartTime(format) => {
                return Some(format.print(host.start_time_ns()?).into_bytes());
            }
            Operator::Duration => {
                let taken = host.now_ns().saturating_sub(recall.started_ns?);
                return Some((taken / NANOS_PER_MS).to_string().into_bytes());
            }
            Operator::ClientAddress { port: false } => {
                return Some(host.source_address()?.to_string().into_bytes());
            }
            Operator::ClientAddress { port: true } => Attribute::ClientAddress,
            Operator::ResponseCodeDetails => Attribute::ResponseCodeDetails,
            Operator::Protocol => Attribute::Protocol,
            Operator::RouteName => Attribute::RouteName,
            Operator::UpstreamCluster => Attribute::UpstreamCluster,
            Operator::UpstreamHost => Attribute::UpstreamHost,
            Operator::FilterState(key) => Attribute::FilterState(key),
            _ => return None,
        };
        host.attribute(attribute)
    }
}

fn with_status(status: u16, headers: Fields) -> Fields {
    let status = (STATUS.to_vec(), status.to_string().into_bytes());
    std::iter::once(status).chain(headers).collect()
}

#[cfg(test)]
mod tests;
