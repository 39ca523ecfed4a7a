//! The request to explain: from a request line and from options.

use std::net::IpAddr;

use btp_engine::testing::Message;
use btp_policy::scalar::{HeaderName, Quantity};

use crate::envoy::route_match::Request;

/// What options say of the request.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Known {
    /// Names in lower case.
    pub(in super::super) headers: Vec<(String, String)>,
    pub(in super::super) source: Option<IpAddr>,
    pub(in super::super) body: Option<Quantity>,
}

/// A request, as far as it is known.
#[derive(Clone, Debug)]
pub(in super::super) struct Asked {
    pub(super) request: Request,
    pub(super) source: Option<IpAddr>,
    /// The size of its body.
    pub(super) body: Option<u64>,
}

impl Known {
    /// Reads `NAME: VALUE`.
    pub(in super::super) fn header(text: &str) -> Result<(String, String), String> {
        let (name, value) = text.split_once(':').ok_or("write it as \"NAME: VALUE\"")?;
        let name = name.trim().to_ascii_lowercase();
        if name == "host" {
            return Err("write the host in the request: \"GET http://HOST/path\"".to_owned());
        }
        if HeaderName::new(&name).is_none() {
            return Err(format!("{name:?} is not a header name"));
        }
        Ok((name, value.trim().to_owned()))
    }

    /// Reads a size such as `2Mi`.
    pub(in super::super) fn size(text: &str) -> Result<Quantity, String> {
        if text == "0" {
            return Ok(Quantity::new(0));
        }
        Quantity::parse(text).ok_or_else(|| "write it as bytes, such as 2Mi or 1500".to_owned())
    }
}

impl Asked {
    pub(in super::super) fn new(request: Request, known: &Known) -> Self {
        Self {
            request,
            source: known.source,
            body: known.body.map(Quantity::get),
        }
    }

    /// In a few words.
    pub(in super::super) fn title(&self) -> String {
        let (method, target) = (self.request.method(), self.request.target());
        match self.source {
            Some(source) => format!("{method} {target} from {source}"),
            None => format!("{method} {target}"),
        }
    }

    /// Its headers as the filter sees them.
    pub(super) fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let request = &self.request;
        let line = [
            (":method", request.method()),
            (":scheme", request.scheme()),
            (":authority", request.host()),
            (":path", &request.target()),
        ]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let others = request.headers().iter();
        let others = others.map(|(name, value)| (name.clone(), value.as_bytes().to_vec()));
        line.into_iter().chain(others).collect()
    }

    /// The request itself. A body is there by what its length says, not byte for byte.
    pub(super) fn message(&self) -> Message {
        let mut message = Message {
            headers: self.headers(),
            ..Message::default()
        };
        if let Some(size) = self.body.filter(|size| *size > 0) {
            message.set("content-length", &size.to_string());
            message.body = vec![b'x'];
        }
        message
    }
}
