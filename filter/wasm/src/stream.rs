//! One HTTP exchange: Envoy's callbacks in, the engine's actions out.

use std::rc::Rc;

use btp_engine::{Action, Exchange, Fields, Flow, Reply, Response};

use crate::abi::{self, Buffer, Map, Refused};
use crate::active_config::Shared;
use crate::host::{WasmHost, name_exchange};

/// The context of one exchange.
pub(crate) struct Stream {
    context: u32,
    shared: Rc<Shared>,
    exchange: Exchange,
    /// The exchange waits, and is kept with the timer.
    parked: bool,
}

impl Stream {
    pub(crate) fn new(context: u32, shared: Rc<Shared>) -> Self {
        Self {
            context,
            shared,
            exchange: Exchange::default(),
            parked: false,
        }
    }

    pub(crate) fn request_headers(&mut self, end: bool) -> Flow {
        self.event(0, |exchange, shared, out| {
            let worker = &mut shared.worker.borrow_mut();
            exchange.request_headers(&shared.plan, worker, &mut WasmHost { shared }, end, out)
        })
    }

    pub(crate) fn request_body(&mut self, size: usize, end: bool) -> Flow {
        let at_hand = u64::try_from(size).unwrap_or(u64::MAX);
        self.event(0, |exchange, shared, out| {
            let worker = &mut shared.worker.borrow_mut();
            let host = &mut WasmHost { shared };
            exchange.request_body(&shared.plan, worker, host, (at_hand, end), out)
        })
    }

    pub(crate) fn request_trailers(&mut self) -> Flow {
        self.event(0, |exchange, shared, out| {
            let worker = &mut shared.worker.borrow_mut();
            exchange.request_trailers(&shared.plan, worker, &mut WasmHost { shared }, out)
        })
    }

    pub(crate) fn response_headers(&mut self, end: bool) -> Flow {
        self.event(0, |exchange, shared, out| {
            let worker = &mut shared.worker.borrow_mut();
            exchange.response_headers(&shared.plan, worker, &mut WasmHost { shared }, end, out)
        })
    }

    /// A response ends all waiting: while the exchange waits there is none, and
    /// nothing may be done that would end the wait.
    pub(crate) fn response_body(&mut self, size: usize) -> Flow {
        if self.parked {
            return Flow::Continue;
        }
        self.event(size, |exchange, _, out| exchange.response_body(out))
    }

    pub(crate) fn response_trailers(&mut self) -> Flow {
        if self.parked {
            return Flow::Continue;
        }
        self.event(0, |exchange, _, out| exchange.response_trailers(out))
    }

    pub(crate) fn done(&mut self) {
        let _ = self.event(0, |exchange, shared, out| {
            let worker = &mut shared.worker.borrow_mut();
            exchange.done(&shared.plan, worker, &mut WasmHost { shared }, out);
            Flow::Continue
        });
    }

    /// Whether nothing that may still come matters.
    pub(crate) fn is_over(&self) -> bool {
        !self.parked && self.exchange.is_over(&self.shared.plan)
    }

    /// Feeds one event to the engine and performs what it decides.
    /// `body_size` is that of the body bytes at hand.
    fn event(
        &mut self,
        body_size: usize,
        feed: impl FnOnce(&mut Exchange, &Shared, &mut Vec<Action>) -> Flow,
    ) -> Flow {
        let was_parked = self.unpark();
        let mut out = Vec::new();
        let flow = feed(&mut self.exchange, &self.shared, &mut out);
        if let Some(at) = perform(&self.shared, &mut out, body_size) {
            let exchange = std::mem::take(&mut self.exchange);
            self.shared.park(self.context, at, exchange);
            self.parked = true;
        } else if was_parked {
            self.shared.forget(self.context);
        }
        flow
    }

    /// Takes the exchange back from the timer, which keeps its deadline.
    fn unpark(&mut self) -> bool {
        let was_parked = std::mem::take(&mut self.parked);
        if was_parked && let Some(exchange) = self.shared.unpark(self.context) {
            self.exchange = exchange;
        }
        was_parked
    }
}

/// Performs what the engine decided; gives the time to be woken at, if any.
/// `body_size` is that of the body bytes at hand.
pub(crate) fn perform(shared: &Shared, actions: &mut Vec<Action>, body_size: usize) -> Option<u64> {
    let mut wake_at = None;
    for action in actions.drain(..) {
        match action {
            Action::WakeAt(at) => wake_at = Some(at),
            Action::WakeWorkerAt(at) => shared.wake_worker(at),
            Action::Count(counter) => shared.metrics.add(counter, 1),
            Action::SetRequestHeader(name, value) => {
                let written = abi::set_header(Map::RequestHeaders, name, &value);
                report("a request header", written);
            }
            Action::SetResponseHeader(name, value) => {
                let written = abi::set_header(Map::ResponseHeaders, name, value);
                report("a response header", written);
            }
            Action::RemoveResponseHeader(name) => {
                let removed = abi::remove_header(Map::ResponseHeaders, name);
                report("a response header", removed);
            }
            Action::NameExchange(name) => report("a property", name_exchange(&name)),
            Action::SetProperty(name, value) => {
                report("a property", abi::set_property(name, value.as_bytes()));
            }
            Action::Adjust(gauge, by) => shared.metrics.adjust(gauge, by),
            Action::Reply(reply) => report("a reply", send(&reply)),
            Action::Reset => report("the end of a stream", abi::close_stream()),
            Action::Log(text) => shared.complaints.log(&text, abi::monotonic_ns()),
            Action::SetResponseStatus(status) => {
                let status = status.to_string();
                let written = abi::set_header(Map::ResponseHeaders, ":status", &status);
                report("a response's status", written);
            }
            Action::RemoveRequestHeader(name) => {
                report(
                    "a request header",
                    abi::remove_header(Map::RequestHeaders, name),
                );
            }
            Action::SetRequestLength(length) => {
                let length = length.to_string();
                let written = abi::set_header(Map::RequestHeaders, "content-length", &length);
                report("a request's length", written);
            }
            Action::ReplyInstead(response) => report("a reply", send_instead(&response)),
            Action::SetResponseHeaders(headers) => {
                let written = abi::set_headers(Map::ResponseHeaders, &lent(&headers));
                report("response headers", written);
            }
            Action::AddResponseHeader(name, value) => {
                let added = abi::add_header(Map::ResponseHeaders, name, &value);
                report("a response header", added);
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
    wake_at
}

fn send(reply: &Reply) -> Result<(), Refused> {
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

pub(crate) fn send_instead(response: &Response) -> Result<(), Refused> {
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

pub(crate) fn report(what: &str, performed: Result<(), Refused>) {
    if let Err(Refused(status)) = performed {
        log::error!("{what} could not be written: status {status}");
    }
}
