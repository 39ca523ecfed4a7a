//! The engine's actions, as hostcalls.

use btp_engine::{Action, Fields, HeaderEdit, Reply, Response};

use crate::abi::{self, Buffer, HostError, Map, report};
use crate::host::{DECISIONS, set_exchange_id};
use crate::loaded::Loaded;

/// Performs what the engine decided under this configuration. `body_size` is that
/// of the body bytes available.
pub(crate) fn perform(loaded: &Loaded, actions: &mut Vec<Action>, body_size: usize) {
    for action in actions.drain(..) {
        match action {
            Action::Count(counter) => loaded.metrics.add(counter, 1),
            Action::SetRequestHeader(name, value) => {
                let written =
                    abi::set_header(Map::RequestHeaders, name.as_bytes(), value.as_bytes());
                report("a request header", written);
            }
            Action::EditResponseHeader(edit) => report("a response header", edit_response(&edit)),
            Action::NameExchange(name) => report("a property", set_exchange_id(&name)),
            Action::SetProperty(name, value) => {
                report("a property", abi::set_property(name, value.as_bytes()));
            }
            Action::LogDecisions(text) => {
                report("decisions", abi::set_property(DECISIONS, &text));
            }
            Action::Adjust(gauge, by) => loaded.metrics.adjust(gauge, by),
            Action::Record(histogram, value) => loaded.metrics.record(histogram, value),
            Action::Reply(reply) => report("a reply", send(&reply)),
            Action::Reset => report("the end of a stream", abi::close_stream()),
            Action::Log(text) => log::error!("{text}"),
            Action::RemoveRequestHeader(name) => {
                report(
                    "a request header",
                    abi::remove_header(Map::RequestHeaders, name.as_bytes()),
                );
            }
            Action::SetRequestLength(length) => {
                let length = length.to_string();
                let written =
                    abi::set_header(Map::RequestHeaders, b"content-length", length.as_bytes());
                report("a request's length", written);
            }
            Action::ReplyInstead(response) => report("a reply", send_instead(&response)),
            Action::ReplaceResponseHeaders(headers) => {
                let written = abi::set_headers(Map::ResponseHeaders, &lent(&headers));
                report("response headers", written);
            }
            Action::ReplaceBody(body) => {
                let written = abi::set_buffer(Buffer::ResponseBody, body_size, &body);
                report("a response body", written);
            }
            Action::DropTrailers => {
                report(
                    "response trailers",
                    abi::set_headers(Map::ResponseTrailers, &[]),
                );
            }
        }
    }
}

/// A hostcall for each edit, as there are few: to write all headers anew, they would
/// have to be fetched first.
fn edit_response(edit: &HeaderEdit) -> Result<(), HostError> {
    match edit {
        HeaderEdit::Set(name, value) => abi::set_header(Map::ResponseHeaders, name, value),
        HeaderEdit::Add(name, value) => abi::add_header(Map::ResponseHeaders, name, value),
        HeaderEdit::Remove(name) => abi::remove_header(Map::ResponseHeaders, name),
    }
}

fn send(reply: &Reply) -> Result<(), HostError> {
    let headers = reply.headers.iter();
    let headers: Vec<(&[u8], &[u8])> = headers
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    abi::send_local_response(
        reply.status,
        reply.details,
        &headers,
        reply.body.as_bytes(),
        reply.grpc_status,
    )
}

pub(crate) fn send_instead(response: &Response) -> Result<(), HostError> {
    abi::send_local_response(
        response.status,
        response.details,
        &lent(&response.headers),
        &response.body,
        response.grpc_status,
    )
}

fn lent(headers: &Fields) -> Vec<(&[u8], &[u8])> {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect()
}
