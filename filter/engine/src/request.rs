//! A request as conditions see it: its headers, read once, its client, and its dynamic
//! metadata.

mod query;
pub(crate) mod required;
pub(crate) mod selector;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

use crate::host::headers::HeaderView;
use crate::host::metadata::MetadataValue;
use query::Query;
use required::MetadataPath;

pub(crate) use query::{ParamNames, percent_decoded};

/// The headers of a request, and where it comes from.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    headers: &'a dyn HeaderView,
    source: Option<IpAddr>,
    metadata: &'a [(&'a MetadataPath, MetadataValue<'a>)],
    /// The query parameters that conditions use.
    params: &'a ParamNames,
    /// Gone through when the first of them is.
    query: OnceCell<Query<'a, 'a>>,
}

/// No query parameters.
static NO_PARAMS: ParamNames = ParamNames::NONE;

impl<'a> Request<'a> {
    pub(crate) fn new(headers: &'a dyn HeaderView, source: Option<IpAddr>) -> Self {
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
    pub(crate) fn with_metadata(
        self,
        metadata: &'a [(&'a MetadataPath, MetadataValue<'a>)],
    ) -> Self {
        Self { metadata, ..self }
    }

    /// The value of a header; several are joined by commas (RFC 9110, 5.3),
    /// as Envoy's own matchers see them.
    pub(crate) fn header(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        joined(self.headers, name)
    }

    pub(crate) fn method(&self) -> &'a [u8] {
        self.headers.value(":method").unwrap_or_default()
    }

    /// The path without query and fragment.
    pub(crate) fn path(&self) -> &'a [u8] {
        let path = self.headers.value(":path").unwrap_or_default();
        split_at_any(path, b"?#").0
    }

    /// The path as it came, query and all.
    pub(crate) fn full_path(&self) -> Option<&'a [u8]> {
        self.headers.value(":path")
    }

    /// The first query parameter of this name, decoded.
    pub(crate) fn query_param(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let (_, raw) = self.raw_query_param(name)?;
        Some(percent_decoded(raw))
    }

    /// The same as it came, and where in the path that is.
    pub(crate) fn raw_query_param(&self, name: &str) -> Option<(usize, &'a [u8])> {
        let path = self.headers.value(":path")?;
        let query = self.query.get_or_init(|| Query::of(path, self.params));
        query.get(name).unwrap_or_else(|| {
            let alone = std::iter::once(name.to_owned()).collect();
            Query::of(path, &alone).get(name).flatten()
        })
    }

    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// The value at a path of the dynamic metadata.
    pub(crate) fn metadata(&self, path: &[String]) -> Option<&'a MetadataValue<'a>> {
        let found = self.metadata.iter().find(|(other, _)| *other == path);
        found.map(|(_, value)| value)
    }
}

/// The value of a header among these; several are joined by commas.
#[inline(never)]
pub(crate) fn joined<'a>(headers: &'a dyn HeaderView, name: &str) -> Option<Cow<'a, [u8]>> {
    let mut joined: Option<Cow<'a, [u8]>> = None;
    headers.values(name, &mut |value| match &mut joined {
        Some(joined) => {
            let joined = joined.to_mut();
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        none => *none = Some(Cow::Borrowed(value)),
    });
    joined
}

/// The parts before and behind the first of these bytes.
fn split_at_any<'a>(text: &'a [u8], any: &[u8]) -> (&'a [u8], &'a [u8]) {
    let mut parts = text.splitn(2, |byte| any.contains(byte));
    let before = parts.next().unwrap_or_default();
    (before, parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::headers::NO_HEADERS;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn several_values_are_joined() {
        let headers = vec![("a", &b"1"[..]), ("b", b"\xff"), ("a", b"2")];
        let request = Request::new(&headers, None);
        assert_eq!(request.header("a").unwrap(), &b"1,2"[..]);
        assert_eq!(request.header("b").unwrap(), &b"\xff"[..]);
        assert_eq!(request.header("c"), None);
    }

    #[test]
    fn a_path_is_taken_apart() {
        let headers = vec![(":path", "/a%20b?x=1&y%3d=%41%zz%4&x=2&z#f?q=1")];
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
        assert_eq!(Request::new(&NO_HEADERS, None).path(), b"");
    }
}
