//! `responseOverride[].response` and `keepHeaders`: what the client gets.

use super::body::{NewBody, OverrideBody, Variant};
use super::matching::read_grpc_status;
use crate::code::Code;
use crate::node::Value;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::{
    Header, HeaderName, HttpStatus, ObjectName, Template, read_header_name, read_header_value,
};
use crate::spec::canned_reply::schema::HEADER;

/// The new response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverrideResponse {
    /// New status; the original one if unset.
    pub status: Option<HttpStatus>,
    /// Status for gRPC clients; if unset, the original one or what the HTTP
    /// status maps to. An extension.
    pub grpc_status: Option<u8>,
    /// New content type; unused with variants, which have their own.
    pub content_type: Option<Template>,
    /// New body.
    pub body: NewBody,
    /// What happens to headers.
    pub headers: HeaderChanges,
}

/// Changes of headers, made in this order: remove, add, set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderChanges {
    /// Names of kept headers that go. An extension.
    pub remove: Vec<HeaderName>,
    /// Headers that come beside others of the same name.
    pub add: Vec<Header>,
    /// Headers that come in place of others of the same name.
    pub set: Vec<Header>,
}

/// Which headers of the original response survive. An extension: Envoy
/// Gateway keeps none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeepHeaders {
    /// None.
    #[default]
    None,
    /// All that say nothing of the original body.
    All,
    /// These.
    Named(Vec<HeaderName>),
}

/// Headers that describe the original body or its framing, and would lie
/// about another.
const OF_THE_BODY: [&str; 24] = [
    "accept-ranges",
    "connection",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "digest",
    "etag",
    "grpc-encoding",
    "grpc-message",
    "grpc-status",
    "grpc-status-details-bin",
    "keep-alive",
    "last-modified",
    "repr-digest",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that tell how long the original may be stored. They are wrong for another body,
/// unless the policy names them.
const OF_CACHES: [&str; 4] = ["age", "cache-control", "expires", "pragma"];

impl OverrideResponse {
    pub(super) fn read(
        at: Cursor<'_>,
        owner: &ObjectName,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&super::schema::RESPONSE, problems)?;
        let status = object.optional("statusCode", problems, HttpStatus::read);
        let status = status.flatten();
        let grpc_status = object.optional("grpcStatus", problems, read_grpc_status);
        let content_type = object.optional("contentType", problems, read_header_template)?;
        let headers = object.or_default("header", problems, HeaderChanges::read)?;
        let keep_body = object.or_default("keepBody", problems, Cursor::boolean)?;
        let shapes = ["body", "variants"];
        if keep_body {
            for name in ["body", "variants", "grpcStatus"] {
                if let Some(at) = object.get(name) {
                    at.refuse(
                        problems,
                        Code::ExcludedField,
                        "must be left out beside keepBody: true",
                    );
                }
            }
        } else if shapes.iter().all(|name| object.has(name)) {
            at.refuse(
                problems,
                Code::ExcludedField,
                "must not have both body and variants",
            );
        }
        let body = if keep_body {
            NewBody::Original
        } else if let Some(at) = object.get("variants") {
            if content_type.is_some() || headers.sets_content_type() {
                at.refuse(
                    problems,
                    Code::ExcludedField,
                    "set their own content types: leave contentType and a content-type header out",
                );
            }
            let read = |at: Cursor<'_>, problems: &mut Problems| Variant::read(at, owner, problems);
            NewBody::Variants(at.list(1..=16, problems, read)?)
        } else if let Some(at) = object.get("body") {
            let content_type = headers.content_type().or(content_type.as_ref());
            let content_type = content_type.map_or(Some(TEXT_PLAIN), Template::as_text);
            let body = OverrideBody::read(at, content_type, owner, problems)?;
            if body.is_empty() {
                NewBody::Empty
            } else {
                NewBody::One(body)
            }
        } else {
            NewBody::Empty
        };
        if let Some(status) = status
            && status.forbids_body()
            && body != NewBody::Empty
            && let Some(at) = ["body", "variants", "keepBody"]
                .iter()
                .find_map(|name| object.get(name))
        {
            let reason = format!("must be left out: a {} response has no body", status.get());
            at.refuse(problems, Code::ExcludedField, reason);
        }
        Some(Self {
            status,
            grpc_status: grpc_status.flatten(),
            content_type,
            body,
            headers,
        })
    }

    /// The content type of a body that is given none.
    #[must_use]
    pub fn content_type_or_default(&self) -> Option<Template> {
        let default = || match self.body {
            NewBody::One(_) if !self.headers.sets_content_type() => {
                Some(Template::literal(TEXT_PLAIN))
            }
            _ => None,
        };
        self.content_type.clone().or_else(default)
    }
}

const TEXT_PLAIN: &str = "text/plain";

impl HeaderChanges {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::HEADER_CHANGES, problems)?;
        let read_headers =
            |at: Cursor<'_>, problems: &mut Problems| at.list(0..=16, problems, read_header);
        Some(Self {
            remove: object.or_default("remove", problems, |at, problems| {
                at.list(0..=16, problems, read_header_name)
            })?,
            add: object.or_default("add", problems, read_headers)?,
            set: object.or_default("set", problems, read_headers)?,
        })
    }

    /// The last content type that is set.
    fn content_type(&self) -> Option<&Template> {
        let headers = self.add.iter().chain(&self.set);
        let mut found = headers.filter(|header| header.name.as_str() == CONTENT_TYPE);
        found.next_back().map(|header| &header.value)
    }

    fn sets_content_type(&self) -> bool {
        self.content_type().is_some()
    }
}

const CONTENT_TYPE: &str = "content-type";

impl KeepHeaders {
    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        if let Value::List(_) = at.node.value {
            let names = at.list(1..=64, problems, |at, problems| {
                let name = HeaderName::read(at, problems)?;
                if OF_THE_BODY.contains(&name.as_str()) {
                    at.refuse(
                        problems,
                        Code::ReservedHeader,
                        "describes the original body, which is replaced: leave it out",
                    );
                    return None;
                }
                Some(name)
            })?;
            return Some(Self::Named(names));
        }
        if let Value::String(_) = at.node.value {
            return at
                .choice(&[("None", false), ("All", true)], problems)
                .map(|all| if all { Self::All } else { Self::None });
        }
        at.refuse(
            problems,
            Code::WrongType,
            "must be None, All or a list of header names",
        );
        None
    }

    /// Whether the header `name` (in lower case) survives a new body.
    #[must_use]
    pub fn keeps(&self, name: &[u8]) -> bool {
        let is_in = |list: &[&str]| list.iter().any(|other| other.as_bytes() == name);
        match self {
            Self::None => false,
            Self::All => !is_in(&OF_THE_BODY) && !is_in(&OF_CACHES) && !name.starts_with(b":"),
            Self::Named(names) => names.iter().any(|other| other.as_str().as_bytes() == name),
        }
    }
}

/// Reads a header value, in which `%` begins a command operator.
fn read_header_template(at: Cursor<'_>, problems: &mut Problems) -> Option<Template> {
    let source = read_header_value(at, problems)?;
    read_template(at, source, problems)
}

/// Reads a text, in which `%` begins a command operator.
pub(super) fn read_template(
    at: Cursor<'_>,
    source: &str,
    problems: &mut Problems,
) -> Option<Template> {
    match Template::parse(source) {
        Ok(template) => Some(template),
        Err(reason) => {
            at.refuse(problems, Code::MalformedTemplate, reason);
            None
        }
    }
}

fn read_header(at: Cursor<'_>, problems: &mut Problems) -> Option<Header> {
    let object = at.object_of(&HEADER, problems)?;
    let name = object
        .required("name", problems)
        .and_then(|at| read_header_name(at, problems));
    let value = object
        .required("value", problems)
        .and_then(|at| read_header_template(at, problems));
    Some(Header {
        name: name?,
        value: value?,
    })
}
