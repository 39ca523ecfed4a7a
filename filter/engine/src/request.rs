//! A request as conditions see it: its headers, read once, its client, and
//! what other filters have noted of it.

mod query;
pub(crate) mod required;
pub(crate) mod selector;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

use query::Query;
use required::MetadataPath;

pub(crate) use query::{ParamNames, percent_decoded};

/// The headers of a request, and where it comes from.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Names in lower case, `:method` and `:path` among them.
    headers: &'a [(&'a [u8], &'a [u8])],
    source: Option<IpAddr>,
    metadata: &'a [(&'a MetadataPath, Vec<u8>)],
    /// The query parameters that will be asked for.
    params: &'a ParamNames,
    /// Gone through when the first of them is.
    query: OnceCell<Query<'a, 'a>>,
}

/// No query parameters.
static NO_PARAMS: ParamNames = ParamNames::NONE;

impl<'a> Request<'a> {
    pub(crate) fn new(headers: &'a [(&'a [u8], &'a [u8])], source: Option<IpAddr>) -> Self {
        Self {
            headers,
            source,
            metadata: &[],
            params: &NO_PARAMS,
            query: OnceCell::new(),
        }
    }

    /// The same request, of whose query one pass finds these parameters. Any
    /// other one takes a pass of its own.
    pub(crate) fn with_params(self, params: &'a ParamNames) -> Self {
        Self { params, ..self }
    }

    /// The same request with what Envoy's filters have noted of it.
    pub(crate) fn with_metadata(self, metadata: &'a [(&'a MetadataPath, Vec<u8>)]) -> Self {
        Self { metadata, ..self }
    }

    /// The value of a header; several are joined by commas (RFC 9110, 5.3),
    /// as Envoy's own matchers see them.
    pub(crate) fn header(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        joined(self.headers, name)
    }

    pub(crate) fn method(&self) -> &'a [u8] {
        self.first(b":method").unwrap_or_default()
    }

    /// The path without query and fragment.
    pub(crate) fn path(&self) -> &'a [u8] {
        let path = self.first(b":path").unwrap_or_default();
        split_at_any(path, b"?#").0
    }

    /// The path as it came, query and all.
    pub(crate) fn full_path(&self) -> Option<&'a [u8]> {
        self.first(b":path")
    }

    /// The first query parameter of this name, decoded.
    pub(crate) fn query_param(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let (_, raw) = self.raw_query_param(name)?;
        Some(percent_decoded(raw))
    }

    /// The same as it came, and where in the path that is.
    pub(crate) fn raw_query_param(&self, name: &str) -> Option<(usize, &'a [u8])> {
        let path = self.first(b":path")?;
        let query = self.query.get_or_init(|| Query::of(path, self.params));
        query.get(name).unwrap_or_else(|| {
            let alone = std::iter::once(name.to_owned()).collect();
            Query::of(path, &alone).get(name).flatten()
        })
    }

    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// What stands in the dynamic metadata, as [`crate::Host::metadata`] gives
    /// it.
    pub(crate) fn metadata(&self, path: &[String]) -> Option<&'a [u8]> {
        let found = self.metadata.iter().find(|(other, _)| *other == path);
        found.map(|(_, value)| value.as_slice())
    }

    fn first(&self, name: &[u8]) -> Option<&'a [u8]> {
        let (_, value) = self.headers.iter().find(|(other, _)| *other == name)?;
        Some(value)
    }
}

/// The value of a header among these; several are joined by commas.
pub(crate) fn joined<'a>(headers: &[(&'a [u8], &'a [u8])], name: &str) -> Option<Cow<'a, [u8]>> {
    let mut values = headers
        .iter()
        .filter(|(other, _)| *other == name.as_bytes())
        .map(|(_, value)| *value);
    let first = values.next()?;
    let mut joined = Cow::Borrowed(first);
    for value in values {
        let joined = joined.to_mut();
        joined.push(b',');
        joined.extend_from_slice(value);
    }
    Some(joined)
}

/// What stands before and behind the first of these bytes.
fn split_at_any<'a>(text: &'a [u8], any: &[u8]) -> (&'a [u8], &'a [u8]) {
    let mut parts = text.splitn(2, |byte| any.contains(byte));
    let before = parts.next().unwrap_or_default();
    (before, parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn several_values_are_joined() {
        let headers: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b"\xff"), (b"a", b"2")];
        let request = Request::new(&headers, None);
        assert_eq!(request.header("a").unwrap(), &b"1,2"[..]);
        assert_eq!(request.header("b").unwrap(), &b"\xff"[..]);
        assert_eq!(request.header("c"), None);
    }

    #[test]
    fn a_path_is_taken_apart() {
        let headers: [(&[u8], &[u8]); 1] = [(b":path", b"/a%20b?x=1&y%3d=%41%zz%4&x=2&z#f?q=1")];
        let request = Request::new(&headers, None);
        assert_eq!(request.path(), b"/a%20b");
        assert_eq!(request.query_param("x").unwrap(), &b"1"[..]);
        assert_eq!(request.query_param("y=").unwrap(), &b"A%zz%4"[..]);
        assert_eq!(request.query_param("z").unwrap(), &b""[..]);
        assert_eq!(request.query_param("q"), None);
        for (name, raw) in [("x", &b"1"[..]), ("y=", b"%41%zz%4"), ("z", b"")] {
            let (start, value) = request.raw_query_param(name).unwrap();
            assert_eq!(value, raw);
            let path = request.full_path().unwrap();
            assert_eq!(&path[start..start + value.len()], raw);
        }
        assert_eq!(Request::new(&[], None).path(), b"");
    }
}
