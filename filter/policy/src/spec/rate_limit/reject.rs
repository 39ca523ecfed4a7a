//! `reject`: what a refused client gets. An extension.

use crate::problem::Problems;
use crate::read::At;
use crate::scalar::{HeaderName, HttpStatus, read_header_name, read_header_value};

/// The reply to a request that is refused. What is not set is as Envoy's
/// local rate limit filter has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reject {
    /// `statusCode`: 400 to 599; 429 unless it is set.
    pub status: Option<HttpStatus>,
    /// `contentType`; text/plain unless it is set.
    pub content_type: Option<String>,
    /// `body`: plain text, up to 64 KiB; `local_rate_limited` unless it is
    /// set.
    pub body: Option<String>,
    /// `headers`: further ones.
    pub headers: Vec<(HeaderName, String)>,
    /// `grpcStatus`: what a gRPC client gets; 14 (UNAVAILABLE) unless it is
    /// set or the status says otherwise.
    pub grpc_status: Option<u8>,
}

impl Reject {
    pub(super) fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let known = ["statusCode", "contentType", "body", "headers", "grpcStatus"];
        let object = at.object(&known, problems)?;
        let status = match object.get("statusCode") {
            Some(at) => {
                let code = at.integer(400..=599, problems)?;
                HttpStatus::new(u16::try_from(code).ok()?)
            }
            None => None,
        };
        let content_type = match object.get("contentType") {
            Some(at) => Some(read_header_value(at, problems)?.to_owned()),
            None => None,
        };
        let body = match object.get("body") {
            Some(at) => Some(at.string_of(0..=65_536, problems)?.to_owned()),
            None => None,
        };
        let headers = match object.get("headers") {
            Some(at) => at.list(0..=16, problems, read_header)?,
            None => Vec::new(),
        };
        let grpc_status = match object.get("grpcStatus") {
            Some(at) => u8::try_from(at.integer(1..=16, problems)?).ok(),
            None => None,
        };
        Some(Self {
            status,
            content_type,
            body,
            headers,
            grpc_status,
        })
    }
}

fn read_header(at: At<'_>, problems: &mut Problems) -> Option<(HeaderName, String)> {
    let object = at.object(&["name", "value"], problems)?;
    let name = object
        .required("name", problems)
        .and_then(|at| read_header_name(at, problems));
    let value = object
        .required("value", problems)
        .and_then(|at| read_header_value(at, problems));
    Some((name?, value?.to_owned()))
}
