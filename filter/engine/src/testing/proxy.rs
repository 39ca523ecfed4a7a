//! A proxy in memory: performs the engine's actions as Envoy would.
//!
//! It is the fake half of the scenario tables; the real half is Envoy. Both
//! must agree, so it models what Envoy was seen to do and nothing else.

use std::sync::Arc;

use crate::action::{Action, Flow, Reply};
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::shared::Counters;
use crate::testing::FakeHost;
use crate::worker::Worker;

/// A request or a response. A request has `:method` and `:path` among its
/// headers, a response `:status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Headers, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Vec<(String, Vec<u8>)>,
}

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
}

/// A proxy under one configuration.
#[derive(Debug)]
pub struct Proxy {
    plan: Plan,
    worker: Worker,
    /// The host of every exchange; its clock runs on from one to the next.
    pub host: FakeHost,
}

impl Message {
    /// A response.
    #[must_use]
    pub fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut message = Self {
            body: body.to_vec(),
            ..Self::default()
        };
        message.set(":status", &status.to_string());
        for (name, value) in headers {
            message
                .headers
                .push(((*name).to_owned(), value.as_bytes().to_vec()));
        }
        message
    }

    /// A request without body.
    #[must_use]
    pub fn request(method: &str, path: &str) -> Self {
        let mut message = Self::default();
        message.set(":method", method);
        message.set(":path", path);
        message
    }

    /// The first value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other == name)?;
        std::str::from_utf8(value).ok()
    }

    /// Sets a header to one value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(other, _)| other != name);
        self.headers
            .push((name.to_owned(), value.as_bytes().to_vec()));
    }

    fn ends_with_headers(&self) -> bool {
        self.body.is_empty() && self.trailers.is_empty()
    }
}

impl Proxy {
    /// A proxy under this configuration.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            worker: plan.worker(),
            host: FakeHost::new(&plan),
            plan,
        }
    }

    /// The value of a counter.
    #[must_use]
    pub fn counter(&self, name: &str) -> Option<u64> {
        let index = self
            .plan
            .counters()
            .iter()
            .position(|other| other == name)?;
        Some(self.host.read(crate::CounterId(u32::try_from(index).ok()?)))
    }

    /// Runs one exchange on `route`; `upstream` answers what gets through.
    pub fn exchange(
        &mut self,
        route: Option<&str>,
        request: &Message,
        upstream: impl FnOnce(&Message) -> (Message, &'static str),
    ) -> Outcome {
        let mut exchange = Exchange::default();
        let mut out = Vec::new();
        let started = self.host.now_ns;
        self.host.route = route.map(|name| name.as_bytes().to_vec());
        self.host.request_headers.clone_from(&request.headers);

        let forwarded = self.take_in(&mut exchange, request, &mut out);
        let held_ns = self.host.now_ns - started;
        let outcome = |response, upstream_requests, details: &str| Outcome {
            response,
            held_ns,
            upstream_requests,
            details: details.to_owned(),
        };
        if let Some(reply) = self.perform_reply(&mut out) {
            return outcome(local_reply(request, &reply), 0, reply.details);
        }

        let (mut response, details) = upstream(&forwarded);
        let upstream_requests = usize::from(details == VIA_UPSTREAM);
        let end = response.ends_with_headers();
        self.host.response_headers.clone_from(&response.headers);
        let flow = exchange.response_headers(&self.plan, &mut self.host, end, &mut out);
        if flow == Flow::Stop
            && let Some(reply) = self.perform_reply(&mut out)
        {
            return outcome(
                local_reply(request, &reply),
                upstream_requests,
                reply.details,
            );
        }
        if !response.body.is_empty() {
            let _ = exchange.response_body(&mut out);
        }
        if !response.trailers.is_empty() {
            let _ = exchange.response_trailers(&mut out);
        }
        self.perform_edits(&mut out, &mut response);
        outcome(response, upstream_requests, details)
    }

    /// Feeds a request to the engine as Envoy does: in pieces, which add up
    /// while the headers are held. Gives what goes on to the upstream, if
    /// `out` holds no reply.
    fn take_in(
        &mut self,
        exchange: &mut Exchange,
        request: &Message,
        out: &mut Vec<Action>,
    ) -> Message {
        const PIECE: usize = 16 * 1024;
        let (plan, host) = (&self.plan, &mut self.host);
        let ends = request.ends_with_headers();
        let mut forwarded = request.clone();
        let mut flow = exchange.request_headers(plan, &mut self.worker, host, ends, out);
        while flow == Flow::HoldAll {
            flow = self.wait(exchange, out);
        }
        let mut held = 0;
        let mut pieces = request.body.chunks(PIECE).map(<[u8]>::len).peekable();
        while let Some(piece) = pieces.next().filter(|_| flow != Flow::Stop) {
            held = if flow == Flow::HoldHeaders { held } else { 0 } + piece;
            let at_hand = u64::try_from(held).unwrap_or(u64::MAX);
            let end = pieces.peek().is_none() && request.trailers.is_empty();
            let worker = &mut self.worker;
            flow = exchange.request_body(&self.plan, worker, &mut self.host, (at_hand, end), out);
        }
        if !request.trailers.is_empty() && flow != Flow::Stop {
            let worker = &mut self.worker;
            flow = exchange.request_trailers(&self.plan, worker, &mut self.host, out);
        }
        while flow == Flow::HoldHeaders {
            flow = self.wait(exchange, out);
        }
        out.retain(|action| match action {
            Action::SetRequestLength(length) => {
                forwarded.set("content-length", &length.to_string());
                false
            }
            _ => true,
        });
        forwarded
    }

    fn wait(&mut self, exchange: &mut Exchange, out: &mut Vec<Action>) -> Flow {
        let wake_at = self.perform_wait(out);
        self.host.now_ns = self.host.now_ns.max(wake_at);
        exchange.timer(&self.plan, &mut self.worker, &mut self.host, out)
    }

    fn perform_wait(&self, out: &mut Vec<Action>) -> u64 {
        let mut wake_at = u64::MAX;
        out.retain(|action| match action {
            Action::Count(counter) => {
                self.host.add(*counter, 1);
                false
            }
            Action::WakeAt(time) => {
                wake_at = *time;
                false
            }
            _ => true,
        });
        wake_at
    }

    fn perform_reply(&self, out: &mut Vec<Action>) -> Option<Arc<Reply>> {
        let mut reply = None;
        out.retain(|action| match action {
            Action::Count(counter) => {
                self.host.add(*counter, 1);
                false
            }
            Action::Reply(made) => {
                reply = Some(Arc::clone(made));
                false
            }
            _ => true,
        });
        reply
    }

    fn perform_edits(&self, out: &mut Vec<Action>, response: &mut Message) {
        for action in out.drain(..) {
            match action {
                Action::Count(counter) => self.host.add(counter, 1),
                Action::ReplaceResponseHeaders(reply) => {
                    response.headers = headers_of(&reply);
                    response.set("content-length", &reply.body.len().to_string());
                }
                Action::ReplaceBody(Some(reply)) => {
                    response.body = reply.body.clone().into_bytes();
                }
                Action::ReplaceBody(None) => response.body.clear(),
                Action::DropTrailers => response.trailers.clear(),
                Action::AddResponseHeader(name, value) => {
                    response.headers.push((name.to_owned(), value.into_bytes()));
                }
                Action::WakeAt(_)
                | Action::Reply(_)
                | Action::Adjust(..)
                | Action::SetRequestLength(_)
                | Action::Reset
                | Action::Log(_) => {}
            }
        }
    }
}

/// `%RESPONSE_CODE_DETAILS%` of what an upstream answered.
const VIA_UPSTREAM: &str = "via_upstream";

fn headers_of(reply: &Reply) -> Vec<(String, Vec<u8>)> {
    let mut headers = vec![(":status".to_owned(), reply.status.to_string().into_bytes())];
    let own = reply.headers.iter();
    headers.extend(own.map(|(name, value)| (name.clone(), value.clone().into_bytes())));
    headers
}

/// What Envoy makes of a local reply: trailers-only for gRPC, no body for
/// HEAD.
fn local_reply(request: &Message, reply: &Reply) -> Message {
    let mut response = Message {
        headers: headers_of(reply),
        ..Message::default()
    };
    let content_type = request.get("content-type").unwrap_or_default();
    if crate::grpc::is_grpc(content_type.as_bytes()) {
        let code = reply.grpc_status.unwrap_or(match reply.status {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502..=504 => 14,
            200 => 0,
            _ => 2,
        });
        response.set(":status", "200");
        response.set("content-type", "application/grpc");
        response.set("grpc-status", &code.to_string());
        response.set("grpc-message", &reply.body);
        return response;
    }
    if !reply.body.is_empty() {
        response.set("content-length", &reply.body.len().to_string());
        if request.get(":method") != Some("HEAD") {
            response.body = reply.body.clone().into_bytes();
        }
    }
    response
}

/// The upstream of the scenario tables: what it answers is written in the
/// request's path (see the head of `tests/src/upstream.rs`).
#[must_use]
pub fn demo_upstream(request: &Message) -> (Message, &'static str) {
    let full = request.get(":path").unwrap_or_default();
    let (path, query) = full.split_once('?').unwrap_or((full, ""));
    let status = match path.rsplit_once("/status/") {
        Some((_, code)) => code.parse().unwrap_or(200),
        None => 200,
    };
    let mut body = format!("upstream says {status}\n").into_bytes();
    let mut response = Message::response(status, &[("x-upstream", "yes")], b"");
    let mut content_type = "text/plain";
    let mut chunked = false;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "bytes" => body = vec![b'x'; value.parse().unwrap_or(0)],
            "chunked" => chunked = true,
            "empty" => body.clear(),
            "ct" => content_type = value,
            "trailers" => {
                chunked = true;
                response
                    .trailers
                    .push(("x-trailer".to_owned(), b"yes".to_vec()));
            }
            "h" => {
                if let Some((name, value)) = value.split_once(':') {
                    response.set(name, value);
                }
            }
            _ => {}
        }
    }
    response.set("content-type", content_type);
    if matches!(status, 204 | 304) {
        body.clear();
    } else if !chunked {
        response.set("content-length", &body.len().to_string());
    }
    if request.get(":method") != Some("HEAD") {
        response.body = body;
    }
    (response, VIA_UPSTREAM)
}
