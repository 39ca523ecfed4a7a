//! A proxy in memory: performs the engine's actions as Envoy would.
//!
//! It is the fake half of the scenario tables; the real half is Envoy. Both
//! must agree, so it models what Envoy was seen to do and nothing else.

use std::collections::BTreeMap;

use crate::action::{Action, Flow, HeaderEdit, Response};
use crate::exchange::{Context, Exchange};
use crate::grpc::{is_grpc, status_of_http};
use crate::host::VIA_UPSTREAM;
use crate::host::metrics::Metrics;
use crate::host::metrics::{GaugeId, HistogramId};
use crate::plan::Plan;
use crate::retry::Ledger;
use crate::testing::FakeHost;
use crate::testing::message::Message;
use crate::testing::router::Router;
use crate::worker::Worker;

/// What came of one exchange.
#[derive(Debug)]
pub struct Outcome {
    /// What the client got.
    pub response: Message,
    /// How long the request was held, in nanoseconds.
    pub held_ns: u64,
    /// How many requests the upstream saw.
    pub upstream_requests: usize,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: String,
    /// The client saw the connection break, and no response.
    pub is_reset: bool,
    /// What an access log prints of decisions; `None`: `-`.
    pub decision: Option<String>,
}

/// A proxy under one configuration.
#[derive(Debug)]
pub struct Proxy {
    plan: Plan,
    worker: Worker,
    ledger: Ledger,
    /// The host of every exchange; its clock runs on from one to the next.
    pub host: FakeHost,
    gauges: BTreeMap<GaugeId, i64>,
    recorded: BTreeMap<HistogramId, Vec<u64>>,
}

impl Proxy {
    /// A proxy under this configuration.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            worker: Worker::new(&plan),
            ledger: Ledger::default(),
            host: FakeHost::new(&plan),
            plan,
            gauges: BTreeMap::new(),
            recorded: BTreeMap::new(),
        }
    }

    /// The value of a counter.
    #[must_use]
    pub fn counter(&self, name: &str) -> Option<u64> {
        let index = self
            .plan
            .counters()
            .iter()
            .position(|other| other.to_string() == name)?;
        Some(
            self.host
                .counter(crate::CounterId(u32::try_from(index).ok()?)),
        )
    }

    /// The value of a gauge.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Option<i64> {
        let index = self
            .plan
            .gauges()
            .iter()
            .position(|other| other.to_string() == name)?;
        let id = GaugeId(u32::try_from(index).ok()?);
        Some(self.gauges.get(&id).copied().unwrap_or(0))
    }

    /// What a histogram has been given, in this order.
    #[must_use]
    pub fn histogram(&self, name: &str) -> Option<&[u64]> {
        let mut all = self.plan.histograms().iter();
        let index = all.position(|other| other.to_string() == name)?;
        let id = HistogramId(u32::try_from(index).ok()?);
        Some(self.recorded.get(&id).map_or(&[], Vec::as_slice))
    }

    /// Runs one exchange on `route`; `upstream` answers what gets through.
    pub fn exchange(
        &mut self,
        route: Option<&str>,
        request: &Message,
        mut upstream: impl FnMut(&Message) -> (Message, &'static str),
    ) -> Outcome {
        let mut exchange = Exchange::default();
        let mut out = Vec::new();
        let (started, counted) = (self.host.now_ns, self.host.attempts);
        let mut request = request.clone();
        self.host.route = route.map(|name| name.as_bytes().to_vec());
        self.host.request_headers.clone_from(&request.headers);
        self.host.logged_decisions.clear();
        self.host.start_time_ns = 1_795_249_815_123_456_789;

        let (flow, done) = self.take_in(&mut exchange, &mut request);
        self.forget_if_over(&mut exchange);
        let mut outcome = Outcome {
            response: Message::default(),
            held_ns: self.host.now_ns - started,
            upstream_requests: 0,
            details: String::new(),
            is_reset: false,
            decision: None,
        };
        if flow == Flow::Stop {
            done.end(&request, &mut outcome);
        } else {
            let router = Router::take(&mut request);
            let (mut response, mut details) = upstream(&request);
            let goes_out = !["direct_response", "route_not_found"].contains(&details);
            let mut tries = u32::from(goes_out);
            while details == VIA_UPSTREAM && router.tries_again(&response, tries) {
                (response, details) = upstream(&request);
                tries += 1;
            }
            // Behind the router the attempt at hand was counted before it came here.
            self.host.attempts = counted.max(tries);
            if details == VIA_UPSTREAM {
                outcome.upstream_requests = usize::try_from(tries).unwrap_or(usize::MAX);
            } else if is_grpc_request(&request) {
                response = in_grpc_form(&response);
            }
            outcome.details = details.to_owned();
            self.respond(&mut exchange, &mut request, response, &mut outcome);
        }
        self.feed(&mut out, |cx| exchange.done(cx));
        let nobody = &mut Message::default();
        self.perform(&mut out, &mut request, nobody, &mut Done::default());
        self.host.attempts = counted;
        let decision = String::from_utf8_lossy(&self.host.logged_decisions);
        outcome.decision = Some(decision.into_owned()).filter(|text| !text.is_empty());
        outcome
    }

    fn respond(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Message,
        mut response: Message,
        outcome: &mut Outcome,
    ) {
        let (mut out, mut done) = (Vec::new(), Done::default());
        let end = response.ends_with_headers();
        self.host.response_headers.clone_from(&response.headers);
        self.host.details.clone_from(&outcome.details);
        let flow = self.feed(&mut out, |cx| exchange.response_headers(cx, end));
        if flow == Flow::Stop {
            self.perform(&mut out, request, &mut response, &mut done);
            done.end(request, outcome);
            return;
        }
        self.forget_if_over(exchange);
        if !response.body.is_empty() {
            let _ = self.feed(&mut out, |cx| exchange.response_body(cx));
        }
        if !response.trailers.is_empty() {
            let _ = self.feed(&mut out, |cx| exchange.response_trailers(cx));
        }
        self.perform(&mut out, request, &mut response, &mut done);
        outcome.response = response;
    }

    /// Feeds a request to the engine in pieces. The request becomes what goes on to
    /// the upstream.
    fn take_in(&mut self, exchange: &mut Exchange, request: &mut Message) -> (Flow, Done) {
        const PIECE: usize = 16 * 1024;
        let mut out = Vec::new();
        let mut done = Done::default();
        let ends = request.ends_with_headers();
        let mut flow = self.feed(&mut out, |cx| exchange.request_headers(cx, ends));
        while flow == Flow::HoldAll {
            flow = self.wait(exchange, request, &mut out, &mut done);
        }
        self.forget_if_over(exchange);
        let body = std::mem::take(&mut request.body);
        let mut pieces = body.chunks(PIECE).map(<[u8]>::len).peekable();
        while let Some(piece) = pieces.next().filter(|_| flow != Flow::Stop) {
            let received = u64::try_from(piece).unwrap_or(u64::MAX);
            let end = pieces.peek().is_none() && request.trailers.is_empty();
            flow = self.feed(&mut out, |cx| exchange.request_body(cx, received, end));
        }
        if !request.trailers.is_empty() && flow != Flow::Stop {
            flow = self.feed(&mut out, |cx| exchange.request_trailers(cx));
        }
        while flow == Flow::HoldHeaders {
            flow = self.wait(exchange, request, &mut out, &mut done);
        }
        self.perform(&mut out, request, &mut Message::default(), &mut done);
        request.body = body;
        (flow, done)
    }

    /// Feeds an event to the engine.
    fn feed<R>(
        &mut self,
        out: &mut Vec<Action>,
        event: impl FnOnce(&mut Context<'_, FakeHost>) -> R,
    ) -> R {
        let (worker, ledger) = (&mut self.worker, &mut self.ledger);
        event(&mut Context::new(
            &self.plan,
            worker,
            ledger,
            &mut self.host,
            out,
        ))
    }

    /// What is over gets no more events, as in Envoy.
    fn forget_if_over(&self, exchange: &mut Exchange) {
        if exchange.is_over(&self.plan) {
            *exchange = Exchange::default();
        }
    }

    fn wait(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Message,
        out: &mut Vec<Action>,
        done: &mut Done,
    ) -> Flow {
        self.perform(out, request, &mut Message::default(), done);
        let now = self.host.now_ns;
        self.host.now_ns = exchange.wakes_at().map_or(now, |at| at.max(now));
        self.feed(out, |cx| exchange.timer(cx))
    }

    fn perform(
        &mut self,
        out: &mut Vec<Action>,
        request: &mut Message,
        response: &mut Message,
        done: &mut Done,
    ) {
        for action in out.drain(..) {
            match action {
                Action::Count(counter) => self.host.add(counter, 1),
                Action::Adjust(gauge, by) => *self.gauges.entry(gauge).or_default() += by,
                Action::Record(histogram, value) => {
                    self.recorded.entry(histogram).or_default().push(value);
                }
                Action::Reply(reply) => done.reply = Some(Response::from(reply.as_ref())),
                Action::ReplyInstead(reply) => done.reply = Some(*reply),
                Action::Reset => done.reply = None,
                Action::EditResponseHeader(edit) => {
                    let edited = HeaderEdit::apply(vec![edit], &response.headers);
                    response.set_headers(edited);
                }
                Action::RemoveRequestHeader(name) => {
                    request.headers.retain(|(other, _)| other != name);
                    self.host.request_headers.clone_from(&request.headers);
                }
                Action::ReplaceResponseHeaders(headers) => response.set_headers(headers),
                Action::ReplaceBody(body) => response.body = body,
                Action::DropTrailers => response.trailers.clear(),
                Action::SetRequestLength(length) => {
                    request.set("content-length", &length.to_string());
                }
                Action::SetRequestHeader(name, value) => request.set(name, &value),
                Action::LogDecisions(text) => self.host.logged_decisions = text,
                Action::NameExchange(name) => self.host.exchange_name = Some(name),
                Action::Log(_) | Action::SetProperty(..) => {}
            }
        }
    }
}

/// What the engine's actions came to.
#[derive(Default)]
struct Done {
    reply: Option<Response>,
}

impl Done {
    /// The exchange ends here: with a reply, or broken off.
    fn end(self, request: &Message, outcome: &mut Outcome) {
        match self.reply {
            Some(reply) => {
                outcome.response = local_reply(request, &reply);
                reply.details.clone_into(&mut outcome.details);
            }
            None => {
                outcome.is_reset = true;
                outcome.details = CLOSED.to_owned();
            }
        }
    }
}

/// `%RESPONSE_CODE_DETAILS%` of an exchange that the filter broke off.
const CLOSED: &str = "wasm_close_stream";

fn is_grpc_request(request: &Message) -> bool {
    let content_type = request.get("content-type").unwrap_or_default();
    is_grpc(content_type.as_bytes())
}

/// What Envoy makes of a local reply: trailers-only for gRPC, no body for
/// HEAD.
fn local_reply(request: &Message, reply: &Response) -> Message {
    let mut response = Message::response(reply.status, &[], b"");
    for (name, value) in &reply.headers {
        let name = String::from_utf8_lossy(name).into_owned();
        response.headers.push((name, value.clone()));
    }
    response.body.clone_from(&reply.body);
    if is_grpc_request(request) {
        if let (Some(code), None) = (reply.grpc_status, response.get("grpc-status")) {
            response.set("grpc-status", &code.to_string());
        }
        return in_grpc_form(&response);
    }
    if reply.body.is_empty() {
        response.headers.retain(|(name, _)| name != "content-type");
    } else {
        response.set("content-length", &reply.body.len().to_string());
        if request.get(":method") == Some("HEAD") {
            response.body.clear();
        }
    }
    response
}

/// A local reply as a gRPC client gets it.
fn in_grpc_form(reply: &Message) -> Message {
    let mut response = reply.clone();
    if response.get("grpc-status").is_none() {
        let status = reply.get(":status").and_then(|it| it.parse().ok());
        let code = status_of_http(status.unwrap_or(0));
        response.set("grpc-status", &code.to_string());
    }
    response.set(":status", "200");
    response.set("content-type", "application/grpc");
    if !reply.body.is_empty() {
        response.set("grpc-message", &String::from_utf8_lossy(&reply.body));
    }
    response
        .headers
        .retain(|(name, _)| name != "content-length");
    response.body.clear();
    response
}
