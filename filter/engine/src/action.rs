//! What the engine decides. The adapter performs it and decides nothing.

mod header_edit;
mod header_text;

use std::sync::Arc;

use btp_policy::spec::CannedReply;

pub use header_edit::HeaderEdit;
pub use header_text::HeaderText;

use crate::host::metrics::{CounterId, GaugeId, HistogramId};

/// What happens to the message whose event was just handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// It goes on to the next filter.
    Continue,
    /// Headers, body and trailers wait, with back-pressure to the sender,
    /// until the engine says otherwise.
    HoldAll,
    /// The headers wait while the body is taken in and held with them, until
    /// the engine says otherwise.
    HoldHeaders,
    /// A reply was sent in its place, or it was broken off; nothing goes on.
    Stop,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Answer the client with this reply.
    Reply(Arc<Reply>),
    /// Answer the client with this response in place of the current one, or
    /// of one that was about to be made.
    ReplyInstead(Box<Response>),
    /// Give the current response these headers and no others, `:status` among
    /// them: it is another response.
    ReplaceResponseHeaders(Fields),
    /// Change the headers of the current response.
    EditResponseHeader(HeaderEdit),
    /// Replace the response body's bytes at hand by these.
    ReplaceBody(Vec<u8>),
    /// Set the request's content-length: all of its body is at hand.
    SetRequestLength(u64),
    /// End the exchange without a response, or in the middle of one.
    Reset,
    /// Tell the operator that something is wrong.
    Log(Arc<str>),
    /// Remove all response trailers.
    DropTrailers,
    /// Remove a request header, if it is there.
    RemoveRequestHeader(&'static str),
    /// Add one to a counter.
    Count(CounterId),
    /// Make a request header have this value alone.
    SetRequestHeader(&'static str, Arc<str>),
    /// Let all who see this exchange know it by this name
    /// ([`crate::Attribute::ExchangeName`]).
    NameExchange([u8; 16]),
    /// Give the exchange a property, which access logs can print.
    SetProperty(&'static str, &'static str),
    /// Have access logs print this of the exchange's decisions
    /// ([`crate::Attribute::LoggedDecisions`]).
    LogDecisions(Vec<u8>),
    /// Change a gauge by so much.
    Adjust(GaugeId, i64),
    /// Put a value into a histogram.
    Record(HistogramId, u64),
}

impl Action {
    /// A gauge moves, unless it does not.
    pub(crate) fn adjust(gauge: GaugeId, by: i64) -> Option<Self> {
        (by != 0).then_some(Self::Adjust(gauge, by))
    }

    /// A histogram of milliseconds gets a time.
    pub(crate) fn record_ms(histogram: HistogramId, nanos: u64) -> Self {
        Self::Record(histogram, nanos.div_ceil(1_000_000))
    }
}

/// Headers as they go over the wire, names in lower case.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A response in place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers; neither `:status` nor content-length.
    pub headers: Fields,
    /// Body.
    pub body: Vec<u8>,
    /// Status for a gRPC client; `None`: the host maps the HTTP status. A
    /// client that does not speak gRPC never sees it.
    pub grpc_status: Option<u8>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
}

/// A response that the proxy makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case; neither `:status` nor content-length.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// Status for a gRPC client; `None`: the host maps the HTTP status. A
    /// client that does not speak gRPC never sees it.
    pub grpc_status: Option<u8>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
}

impl Reply {
    /// A plain text.
    #[must_use]
    pub fn text(status: u16, body: &str, details: &'static str) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: body.to_owned(),
            grpc_status: None,
            details,
        }
    }

    /// A plain text, but for what a policy sets in its place.
    #[inline(never)]
    pub(crate) fn customized(mut self, by: &CannedReply) -> Self {
        if let Some(status) = by.status {
            self.status = status.get();
            if status.forbids_body() {
                // Then it has no type either.
                self.headers.clear();
                self.body.clear();
            }
        }
        if let (Some(content_type), Some((_, value))) = (&by.content_type, self.headers.first_mut())
        {
            value.clone_from(content_type);
        }
        if let Some(body) = &by.body {
            self.body.clone_from(body);
        }
        let headers = by.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.clone()));
        self.headers.extend(headers);
        self.grpc_status = by.grpc_status.or(self.grpc_status);
        self
    }
}
