//! One exchange of a script, and what its adapter knows of it. Whatever the
//! engine decides is judged here: it must fit the moment.

use super::view::Facts;
use crate::action::{Action, Flow, HeaderEdit};
use crate::exchange::Exchange;

/// What happens to an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    RequestHeaders { end: bool },
    RequestBody { received: u64, end: bool },
    RequestTrailers,
    Timer,
    ResponseHeaders { end: bool },
    ResponseBody,
    ResponseTrailers,
    Done,
}

/// An exchange.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) worker: usize,
    /// Its configuration: a place among the worker's.
    pub(super) root: usize,
    /// `None` once it has been forgotten, as nothing of it mattered any more.
    pub(super) exchange: Option<Exchange>,
    pub(super) facts: Facts,
    /// What became of the request at last.
    pub(super) flow: Flow,
    pub(super) complete: bool,
    pub(super) responding: bool,
    /// It was answered, or broken off.
    pub(super) stopped: bool,
    /// What comes now comes after its end.
    pub(super) is_done: bool,
}

/// What the actions of one event came to.
#[derive(Debug, Default)]
pub(super) struct Performed {
    pub(super) counted: Vec<u32>,
    pub(super) adjusted: Vec<(u32, i64)>,
}

impl Event {
    fn is_of_request(self) -> bool {
        !matches!(
            self,
            Self::ResponseHeaders { .. } | Self::ResponseBody | Self::ResponseTrailers | Self::Done
        )
    }
}

impl Visit {
    /// Performs what the engine decided, if it is allowed at this moment.
    pub(super) fn perform(&mut self, event: Event, flow: Flow, out: Vec<Action>) -> Performed {
        let mut performed = Performed::default();
        assert!(!self.is_done || out.is_empty(), "{out:?} after the end");
        let of_request = event.is_of_request();
        let goes_on = flow == Flow::Continue;
        let at_response = matches!(event, Event::ResponseHeaders { .. });
        let mut ends = 0;
        for action in out {
            let allowed = match &action {
                Action::Count(counter) => {
                    performed.counted.push(counter.0);
                    true
                }
                Action::Adjust(gauge, by) => {
                    performed.adjusted.push((gauge.0, *by));
                    *by != 0
                }
                Action::Record(..) => of_request,
                Action::Log(_) | Action::SetProperty(..) => event != Event::Done,
                Action::Reply(reply) => {
                    ends += 1;
                    let headers = reply.headers.iter();
                    (of_request && !self.responding || at_response)
                        && is_status(reply.status)
                        && headers
                            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                            .all(is_header)
                }
                Action::ReplyInstead(response) => {
                    ends += 1;
                    let headers = response.headers.iter();
                    (of_request && !self.responding || at_response)
                        && is_status(response.status)
                        && headers
                            .map(|(name, value)| (&**name, &**value))
                            .all(is_header)
                }
                Action::Reset => {
                    ends += 1;
                    of_request
                }
                Action::SetRequestHeader(name, value) => {
                    self.is_still_here(of_request && goes_on)
                        && is_header((name.as_bytes(), value.as_bytes()))
                }
                Action::SetRequestLength(_) => self.is_still_here(of_request && goes_on),
                Action::RemoveRequestHeader(name) => {
                    let headers = &mut self.facts.request;
                    headers.retain(|(other, _)| other != name.as_bytes());
                    self.is_still_here(of_request)
                }
                Action::NameExchange(name) => {
                    self.facts.name = Some(name.to_vec());
                    self.is_still_here(of_request && goes_on)
                }
                Action::LogDecisions(text) => {
                    let before = std::mem::replace(&mut self.facts.decisions, text.clone());
                    // What comes after a reply may come after the line is written.
                    ends == 0 && event != Event::Done && is_log_text(&before, text)
                }
                Action::ReplaceResponseHeaders(headers) => {
                    let mut fields = headers.iter().map(|(name, value)| (&**name, &**value));
                    let status = headers.iter().find(|(name, _)| name == b":status");
                    at_response && goes_on && status.is_some() && fields.all(is_field)
                }
                Action::EditResponseHeader(edit) => at_response && goes_on && is_edit(edit),
                Action::ReplaceBody(_) => event == Event::ResponseBody,
                Action::DropTrailers => event == Event::ResponseTrailers,
            };
            assert!(allowed, "{action:?} at {event:?}, {flow:?}, of {self:?}");
        }
        self.settle(event, flow, ends);
        performed
    }

    /// The request has not gone on, and there is no response yet.
    fn is_still_here(&self, fits: bool) -> bool {
        fits && !self.facts.forwarded && !self.responding
    }

    /// Judges the flow, and remembers it.
    fn settle(&mut self, event: Event, flow: Flow, ends: usize) {
        let stops = flow == Flow::Stop;
        assert!(
            ends <= 1 && (ends == 0 || stops) && !(ends == 1 && self.stopped),
            "{ends} replies at {event:?}, {flow:?}, of {self:?}"
        );
        assert!(
            !stops || ends == 1 || self.stopped || self.responding || self.is_done,
            "nobody answers at {event:?} of {self:?}"
        );
        self.stopped |= ends == 1;
        if event.is_of_request() {
            self.flow = flow;
            self.facts.forwarded |= flow == Flow::Continue;
        } else {
            assert!(
                matches!(flow, Flow::Continue | Flow::Stop),
                "a response is held: {self:?}"
            );
        }
    }

    /// When it must be woken.
    pub(super) fn wakes_at(&self) -> Option<u64> {
        self.exchange.as_ref()?.wakes_at()
    }

    /// Only a request that has no answer yet is woken, and not before now.
    pub(super) fn check_wake(&self, event: Event, now: u64) {
        let Some(at) = self.wakes_at() else { return };
        let waits = at >= now && !self.stopped && !self.responding && !self.is_done;
        assert!(waits, "woken at {at} after {event:?} of {self:?}");
    }

    /// A request that is held for a time is woken some day.
    pub(super) fn check_not_stuck(&self) {
        let waits = match self.flow {
            Flow::HoldAll => true,
            Flow::HoldHeaders => self.complete,
            Flow::Continue | Flow::Stop => false,
        };
        assert!(
            !waits
                || self.wakes_at().is_some()
                || self.facts.forwarded
                || self.stopped
                || self.responding,
            "held for good: {self:?}"
        );
    }
}

fn is_status(status: u16) -> bool {
    (200..600).contains(&status)
}

/// A status may be set, and the length of a body that is not there may go.
fn is_edit(edit: &HeaderEdit) -> bool {
    match edit {
        HeaderEdit::Set(name, value) if **name == *b":status" => {
            let status = std::str::from_utf8(value).ok();
            status.and_then(|it| it.parse().ok()).is_some_and(is_status)
        }
        HeaderEdit::Set(name, value) | HeaderEdit::Add(name, value) => is_header((name, value)),
        HeaderEdit::Remove(name) => !name.starts_with(b":") && is_field((name, b"")),
    }
}

/// A header beside those of the message's framing.
/// Whether a log can print it in one field, and it says more than before.
fn is_log_text(before: &[u8], text: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_graphic() && *byte != b'"' || *byte == b' ';
    before.len() < text.len()
        && text.starts_with(before)
        && text.len() <= 512
        && text.iter().all(fits)
}

fn is_header((name, value): (&[u8], &[u8])) -> bool {
    name != b"content-length" && !name.starts_with(b":") && is_field((name, value))
}

/// Whether a message may contain this: it cannot be read as more than one field.
fn is_field((name, value): (&[u8], &[u8])) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    !name.is_empty()
        && name.iter().all(is_name)
        && !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}
