//! Requests and responses of the tests.

use crate::action::Fields;

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

    pub(super) fn set_headers(&mut self, headers: Fields) {
        let named = |(name, value)| Some((String::from_utf8(name).ok()?, value));
        self.headers = headers.into_iter().filter_map(named).collect();
    }

    pub(super) fn ends_with_headers(&self) -> bool {
        self.body.is_empty() && self.trailers.is_empty()
    }
}
