//! `responseOverride[].match` and `source`: which responses a rule applies to.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::regex::Regex;
use crate::regex::Regexes;
use crate::scalar::{HeaderName, HttpStatus, StatusRange};
use crate::spec::selector::{Selector, read_regex};

/// What a response must be like, and the request it answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverrideMatch {
    /// Statuses that match, any of them; none: every status.
    pub statuses: Vec<StatusRange>,
    /// Response headers that must match, all of them.
    pub headers: Vec<HeaderMatch>,
    /// gRPC statuses in the response's headers that match, any of them;
    /// none: every response. An extension.
    pub grpc_statuses: Vec<u8>,
    /// Requests that match, any of these; none: all. An extension.
    pub requests: Vec<Selector>,
}

/// Whose responses an override replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Everybody's.
    #[default]
    All,
    /// Those that the proxy made itself.
    Local,
    /// Those that came from an upstream.
    Backend,
}

/// A condition on a response header; an absent one never matches.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderMatch {
    /// The header.
    pub name: HeaderName,
    /// What its value must be.
    pub value: StringMatch,
}

/// A condition on a string. Case counts.
#[derive(Clone, Debug, PartialEq)]
pub enum StringMatch {
    /// Equal.
    Exact(String),
    /// It begins with this.
    Prefix(String),
    /// It ends with this.
    Suffix(String),
    /// All of it matches.
    Regex(Regex),
}

impl OverrideMatch {
    pub(super) fn read(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::MATCH, problems)?;
        if !super::schema::MATCH.names().any(|name| object.has(name)) {
            at.refuse(
                problems,
                Code::NoneOfFields,
                "must have statusCodes, responseHeaders, grpcStatus or requests",
            );
            return None;
        }
        Some(Self {
            statuses: object.or_default("statusCodes", problems, |at, problems| {
                at.list(1..=50, problems, read_status_match)
            })?,
            headers: object.or_default("responseHeaders", problems, |at, problems| {
                at.list(1..=16, problems, |at, problems| {
                    HeaderMatch::read(at, regexes, problems)
                })
            })?,
            grpc_statuses: object.or_default("grpcStatus", problems, |at, problems| {
                at.list(1..=17, problems, read_grpc_status)
            })?,
            requests: object.or_default("requests", problems, |at, problems| {
                Selector::read_any(at, regexes, problems)
            })?,
        })
    }
}

impl Source {
    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let choices = [
            ("All", Self::All),
            ("Local", Self::Local),
            ("Backend", Self::Backend),
        ];
        at.choice(&choices, problems)
    }
}

/// Reads a gRPC status code, 0 to 16.
pub(super) fn read_grpc_status(at: Cursor<'_>, problems: &mut Problems) -> Option<u8> {
    u8::try_from(at.integer(0..=16, problems)?).ok()
}

impl HeaderMatch {
    fn read(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::HEADER_MATCH, problems)?;
        let name = object
            .required("name", problems)
            .and_then(|at| HeaderName::read(at, problems));
        let value = object
            .required("value", problems)
            .and_then(|at| StringMatch::read(at, regexes, problems));
        Some(Self {
            name: name?,
            value: value?,
        })
    }
}

impl StringMatch {
    fn read(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        #[derive(Clone, Copy)]
        enum Kind {
            Exact,
            Prefix,
            Suffix,
            Regex,
        }
        let kinds = [
            ("Exact", Kind::Exact),
            ("Prefix", Kind::Prefix),
            ("Suffix", Kind::Suffix),
            ("RegularExpression", Kind::Regex),
        ];
        let object = at.object_of(&super::schema::STRING_MATCH, problems)?;
        let kind = object.or("type", Kind::Exact, problems, |at, problems| {
            at.choice(&kinds, problems)
        })?;
        let at = object.required("value", problems)?;
        let text = at.string_of(1..=1024, problems)?.to_owned();
        Some(match kind {
            Kind::Exact => Self::Exact(text),
            Kind::Prefix => Self::Prefix(text),
            Kind::Suffix => Self::Suffix(text),
            Kind::Regex => Self::Regex(read_regex(at, regexes, problems)?),
        })
    }
}

fn read_status_match(at: Cursor<'_>, problems: &mut Problems) -> Option<StatusRange> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Value,
        Range,
    }
    let object = at.object_of(&super::schema::STATUS_CODE, problems)?;
    let kind = object.or("type", Kind::Value, problems, |at, problems| {
        at.choice(&[("Value", Kind::Value), ("Range", Kind::Range)], problems)
    })?;
    let (wanted, other) = match kind {
        Kind::Value => ("value", "range"),
        Kind::Range => ("range", "value"),
    };
    if let Some(at) = object.get(other) {
        at.refuse(
            problems,
            Code::FieldOfType,
            format!("must not be set beside {wanted}: type decides"),
        );
    }
    let at = object.required(wanted, problems)?;
    if kind == Kind::Value {
        return HttpStatus::read(at, problems).map(StatusRange::one);
    }
    let range = at.object_of(&super::schema::RANGE, problems)?;
    let start = range
        .required("start", problems)
        .and_then(|at| HttpStatus::read(at, problems));
    let end = range
        .required("end", problems)
        .and_then(|at| HttpStatus::read(at, problems));
    let statuses = StatusRange::new(start?..=end?);
    if statuses.is_none() {
        at.refuse(problems, Code::WrongOrder, "must not end before it starts");
    }
    statuses
}
