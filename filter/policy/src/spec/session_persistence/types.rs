//! `sessionPersistence` as types.

use serde::Deserialize;

use crate::scalar::Duration;
use crate::spec::native_types::api;

/// `sessionPersistence`; at most the settings that `kind` names are there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct SessionPersistence {
    #[serde(rename = "type")]
    pub kind: SessionPersistenceType,
    pub absolute_timeout: Option<Duration>,
    pub cookie: Option<SessionCookie>,
    pub header: Option<SessionHeader>,
}

/// Where a client keeps its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum SessionPersistenceType {
    #[default]
    Cookie,
    Header,
}

api! {
    /// `sessionPersistence.cookie`.
    SessionCookie {
        name: Option<String>,
        path: Option<String>,
        lifetime_type: CookieLifetimeType,
    }
}

/// How long a client keeps the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum CookieLifetimeType {
    #[default]
    Session,
    Permanent,
}

api! {
    /// `sessionPersistence.header`; `name` is required.
    SessionHeader { name: String }
}
