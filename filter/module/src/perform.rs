//! The engine's actions, as calls into Envoy.

use btp_engine::{Action, Fields, HeaderEdit, Reply, Response};

use crate::abi::{Body, HeaderRoom, Level, Map, ResetReason, Stream, log};
use crate::beginning::Beginning;
use crate::filter_config::FilterConfig;
use crate::host::{DECISIONS, DECISIONS_AS_WASM, EXCHANGE};

/// `%RESPONSE_CODE_DETAILS%` of an exchange that ends without a response.
const RESET: &str = "btp_reset";
const GRPC_STATUS: &[u8] = b"grpc-status";

/// Performs the engine's actions for an exchange.
#[derive(Clone, Copy)]
pub(crate) struct Performer<'a> {
    pub(crate) config: &'a FilterConfig,
    pub(crate) beginning: Beginning,
}

/// Performs only the counts, because the stream has gone.
pub(crate) fn perform_without_stream(config: &FilterConfig, actions: &mut Vec<Action>) {
    for action in actions.drain(..) {
        match action {
            Action::Count(counter) => config.metrics.add(counter, 1),
            Action::Adjust(gauge, by) => config.metrics.adjust(gauge, by),
            Action::Record(histogram, value) => config.metrics.record(histogram, value),
            Action::Log(text) => log(Level::Warn, &text),
            _ => {}
        }
    }
}

impl Performer<'_> {
    /// Performs all, in their order. What a panic keeps from it stays there.
    pub(crate) fn perform(self, stream: &mut Stream<'_>, actions: &mut Vec<Action>) {
        actions.reverse();
        while let Some(action) = actions.pop() {
            self.perform_one(stream, action);
        }
    }

    fn perform_one(self, stream: &mut Stream<'_>, action: Action) {
        let Self { config, beginning } = self;
        match action {
            Action::Count(counter) => config.metrics.add(counter, 1),
            Action::Adjust(gauge, by) => config.metrics.adjust(gauge, by),
            Action::Record(histogram, value) => config.metrics.record(histogram, value),
            Action::SetRequestHeader(name, value) => {
                set(stream, Map::RequestHeaders, name, value.as_bytes());
            }
            Action::RemoveRequestHeader(name) => {
                stream.remove_header(Map::RequestHeaders, name.as_bytes());
            }
            Action::SetRequestLength(length) => {
                let length = length.to_string();
                set(
                    stream,
                    Map::RequestHeaders,
                    "content-length",
                    length.as_bytes(),
                );
            }
            Action::EditResponseHeader(edit) => edit_response(stream, &edit),
            Action::ReplaceResponseHeaders(headers) => replace_headers(stream, &headers),
            Action::NameExchange(name) => set_state(stream, EXCHANGE, &name),
            Action::SetProperty(name, value) => {
                // As Envoy names it for the .wasm: access logs are the same for both.
                set_state(stream, &format!("wasm.{name}"), value.as_bytes());
            }
            Action::LogDecisions(text) => {
                set_state(stream, DECISIONS, &text);
                set_state(stream, DECISIONS_AS_WASM, &text);
            }
            Action::Reply(reply) => send(stream, beginning, &reply),
            Action::ReplyInstead(response) => send_instead(stream, beginning, &response),
            Action::Reset => stream.reset(ResetReason::Local, RESET),
            Action::Log(text) => log(Level::Warn, &text),
            Action::ReplaceBody(body) => replace_body(stream, &body),
            Action::DropTrailers => drop_trailers(stream),
        }
    }
}

/// The engine's actions are none that Envoy could refuse. If one is refused all the same,
/// the operator learns of it.
#[cold]
fn report(what: &[u8]) {
    let what = String::from_utf8_lossy(what);
    log(Level::Error, &format!("{what} cannot be written"));
}

fn set(stream: &mut Stream<'_>, map: Map, name: &str, value: &[u8]) {
    if !stream.set_header(map, name.as_bytes(), value) {
        report(name.as_bytes());
    }
}

fn set_state(stream: &mut Stream<'_>, key: &str, value: &[u8]) {
    if !stream.set_filter_state(key, value) {
        report(key.as_bytes());
    }
}

fn send(stream: &mut Stream<'_>, beginning: Beginning, reply: &Reply) {
    let grpc_status = reply.grpc_status.filter(|_| beginning.speaks_grpc());
    let headers = reply.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let body = reply.body.as_bytes();
    reply_with(
        stream,
        reply.status,
        headers,
        body,
        grpc_status,
        reply.details,
    );
}

fn send_instead(stream: &mut Stream<'_>, beginning: Beginning, response: &Response) {
    let Response {
        status,
        headers,
        body,
        grpc_status,
        details,
    } = response;
    let grpc_status = grpc_status.filter(|_| beginning.speaks_grpc());
    let headers = headers.iter().map(|(name, value)| (&name[..], &value[..]));
    reply_with(stream, *status, headers, body, grpc_status, details);
}

/// Envoy turns its reply to a gRPC request into one of gRPC, and keeps a status that
/// is among the headers; other clients must not see that.
fn reply_with<'h>(
    stream: &mut Stream<'_>,
    status: u16,
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    body: &[u8],
    grpc_status: Option<u8>,
    details: &str,
) {
    let code = grpc_status.map(|it| it.to_string()).unwrap_or_default();
    let mut lent: Vec<(&[u8], &[u8])> = Vec::new();
    for header in headers {
        lent.push(header);
    }
    let is_there = lent.iter().any(|(name, _)| *name == GRPC_STATUS);
    if !code.is_empty() && !is_there {
        lent.push((GRPC_STATUS, code.as_bytes()));
    }
    stream.send_response(status, &lent, body, details);
}

/// Replaces the current piece of the body by these bytes.
fn replace_body(stream: &mut Stream<'_>, body: &[u8]) {
    let size = stream.body_size(Body::ReceivedResponse);
    stream.drain_body(Body::ReceivedResponse, size);
    if !body.is_empty() && !stream.append_body(Body::ReceivedResponse, body) {
        report(b"a response body");
    }
}

fn drop_trailers(stream: &mut Stream<'_>) {
    for name in names(stream, Map::ResponseTrailers) {
        stream.remove_header(Map::ResponseTrailers, &name);
    }
}

fn edit_response(stream: &mut Stream<'_>, edit: &HeaderEdit) {
    let map = Map::ResponseHeaders;
    let (name, done) = match edit {
        HeaderEdit::Set(name, value) => (name, stream.set_header(map, name, value)),
        HeaderEdit::Add(name, value) => (name, stream.add_header(map, name, value)),
        HeaderEdit::Remove(name) => {
            // One that is not there is as good as removed.
            stream.remove_header(map, name);
            (name, true)
        }
    };
    if !done {
        report(name);
    }
}

/// Replaces the headers by these. A name that stays is set in its place.
fn replace_headers(stream: &mut Stream<'_>, headers: &Fields) {
    let map = Map::ResponseHeaders;
    for name in names(stream, map) {
        if name != b":status" {
            stream.remove_header(map, &name);
        }
    }
    for (name, value) in headers {
        let written = match &**name {
            b":status" => stream.set_header(map, name, value),
            _ => stream.add_header(map, name, value),
        };
        if !written {
            report(name);
        }
    }
}

fn names(stream: &Stream<'_>, map: Map) -> Vec<Vec<u8>> {
    let mut room = HeaderRoom::default();
    let headers = stream.headers(map, &mut room).iter();
    headers.map(|(name, _)| name.to_vec()).collect()
}
