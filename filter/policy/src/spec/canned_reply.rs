//! Replies that a policy writes: the `reject` of limits, and an `abort` with a
//! status. All but the latter's status are extensions.

pub(crate) mod schema;

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::{HeaderName, HttpStatus, read_header_name, read_header_value};
use crate::schema::Object;

/// A reply in place of an upstream's answer. What is not set is as Envoy's filter
/// for that capability has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CannedReply {
    /// `statusCode`: 400 to 599; an abort's `httpStatus`: 200 to 599.
    pub status: Option<HttpStatus>,
    /// `contentType`; text/plain unless it is set.
    pub content_type: Option<String>,
    /// `body`: plain text, up to 64 KiB.
    pub body: Option<String>,
    /// `headers`: further ones.
    pub headers: Vec<(HeaderName, String)>,
    /// `grpcStatus`: the status for a gRPC client. Not of a `requestBuffer`, whose
    /// refusals are always 8 (RESOURCE_EXHAUSTED).
    pub grpc_status: Option<u8>,
}

impl CannedReply {
    /// Reads a rate limit's `reject`.
    pub(super) fn read_reject(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        Self::read_fields(at, &schema::REJECT, problems)
    }

    /// Reads a buffer's `reject`: without `grpcStatus`.
    pub(super) fn read_reject_of_body(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        Self::read_fields(at, &schema::REJECTION, problems)
    }

    fn read_fields(at: Cursor<'_>, known: &Object, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(known, problems)?;
        let status = object.optional("statusCode", problems, |at, problems| {
            let code = at.integer(400..=599, problems)?;
            HttpStatus::new(u16::try_from(code).ok()?)
        });
        let content_type = object.optional("contentType", problems, |at, problems| {
            read_header_value(at, problems).map(str::to_owned)
        });
        let body = object.optional("body", problems, |at, problems| {
            at.string_of(0..=65_536, problems).map(str::to_owned)
        });
        let headers = object.or_default("headers", problems, |at, problems| {
            at.list(0..=16, problems, read_reply_header)
        });
        let grpc_status = object.optional("grpcStatus", problems, |at, problems| {
            u8::try_from(at.integer(1..=16, problems)?).ok()
        });
        Some(Self {
            status: status?,
            content_type: content_type?,
            body: body?,
            headers: headers?,
            grpc_status: grpc_status?,
        })
    }
}

/// Reads a header of a reply whose content type has a field of its own.
pub(super) fn read_reply_header(
    at: Cursor<'_>,
    problems: &mut Problems,
) -> Option<(HeaderName, String)> {
    let object = at.object_of(&schema::HEADER, problems)?;
    let name = object.required("name", problems).and_then(|at| {
        let name = read_header_name(at, problems)?;
        if name.as_str() == "content-type" {
            at.refuse(
                problems,
                Code::ReservedHeader,
                "is written by contentType: set that instead",
            );
        }
        Some(name)
    });
    let value = object
        .required("value", problems)
        .and_then(|at| read_header_value(at, problems));
    Some((name?, value?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn refused(text: &str) -> Vec<String> {
        let node = json::parse(text.as_bytes()).unwrap();
        let mut problems = Problems::default();
        CannedReply::read_reject(Cursor::root(&node), &mut problems);
        problems
            .into_vec()
            .iter()
            .map(|it| it.path.to_string())
            .collect()
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let text = r#"{"statusCode":200,"grpcStatus":0,
            "headers":[{"name":"Content-Type","value":"a/b"},{"name":"x"}]}"#;
        let paths = [
            "statusCode",
            "headers[0].name",
            "headers[1].value",
            "grpcStatus",
        ];
        assert_eq!(refused(text), paths);
    }
}
