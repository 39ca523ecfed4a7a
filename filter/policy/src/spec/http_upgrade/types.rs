//! `httpUpgrade` as types.

use serde::Deserialize;

/// An item of `httpUpgrade`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct HttpUpgrade {
    #[serde(rename = "type")]
    pub kind: String,
    pub connect: Option<Connect>,
}

/// `httpUpgrade[].connect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct Connect {
    pub terminate: bool,
}
