//! `abort`: what a request gets instead of going on.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::scalar::{HttpStatus, Ppm, read_header_value};
use crate::spec::canned_reply::{CannedReply, read_reply_header};

/// `abort`.
#[derive(Clone, Debug, PartialEq)]
pub struct Abort {
    /// What the client gets.
    pub action: AbortAction,
    /// Share of requests that are aborted.
    pub share: Ppm,
}

/// What an aborted request gets.
#[derive(Clone, Debug, PartialEq)]
pub enum AbortAction {
    /// A reply.
    Reply(CannedReply),
    /// No reply: the connection (HTTP/2: the stream) breaks. An extension.
    Reset,
}

/// `httpStatus` or `grpcStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// An HTTP status, 200 to 599.
    Http(HttpStatus),
    /// A gRPC status code, 0 to 16.
    Grpc(u8),
}

/// What describes a reply, and therefore goes with a status only.
const OF_REPLY: [&str; 3] = ["body", "contentType", "headers"];
const LONGEST_BODY: usize = 65_536;

impl Abort {
    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::ABORT, problems)?;
        let share = super::read_share(&object, problems);
        let reset = object.or_default("reset", problems, Cursor::boolean)?;
        let action = match (object.get("httpStatus"), object.get("grpcStatus"), reset) {
            (Some(at), None, false) => HttpStatus::read(at, problems)
                .map(AbortStatus::Http)
                .and_then(|status| read_reply(status, &object, problems))
                .map(AbortAction::Reply),
            (None, Some(at), false) => at
                .integer(0..=16, problems)
                .and_then(|code| u8::try_from(code).ok())
                .map(AbortStatus::Grpc)
                .and_then(|status| read_reply(status, &object, problems))
                .map(AbortAction::Reply),
            (None, None, true) => {
                refuse_all(&object, &OF_REPLY, "a reset sends no reply", problems);
                Some(AbortAction::Reset)
            }
            _ => {
                let reason = "must have exactly one of httpStatus, grpcStatus and reset: true";
                at.refuse(problems, Code::NotExactlyOne, reason);
                None
            }
        };
        Some(Self {
            action: action?,
            share: share?,
        })
    }
}

impl From<AbortStatus> for CannedReply {
    fn from(status: AbortStatus) -> Self {
        let (status, grpc_status) = match status {
            AbortStatus::Http(status) => (Some(status), None),
            AbortStatus::Grpc(code) => (None, Some(code)),
        };
        Self {
            status,
            grpc_status,
            ..Self::default()
        }
    }
}

fn read_reply(
    status: AbortStatus,
    object: &Object<'_>,
    problems: &mut Problems,
) -> Option<CannedReply> {
    if let AbortStatus::Http(status) = status
        && status.forbids_body()
    {
        let reason = format!("status {} has no body", status.get());
        refuse_all(object, &["body", "contentType"], &reason, problems);
    }
    let body = object.optional("body", problems, |at, problems| {
        at.string_of(0..=LONGEST_BODY, problems).map(str::to_owned)
    });
    let content_type = object.optional("contentType", problems, |at, problems| {
        read_header_value(at, problems).map(str::to_owned)
    });
    let headers = object.or_default("headers", problems, |at, problems| {
        at.list(1..=16, problems, read_reply_header)
    });
    Some(CannedReply {
        body: body?,
        content_type: content_type?,
        headers: headers?,
        ..CannedReply::from(status)
    })
}

fn refuse_all(object: &Object<'_>, names: &[&str], why: &str, problems: &mut Problems) {
    for name in names {
        if let Some(at) = object.get(name) {
            at.refuse(
                problems,
                Code::ExcludedField,
                format!("must be left out: {why}"),
            );
        }
    }
}
