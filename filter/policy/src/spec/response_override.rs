//! `spec.responseOverride`: other responses in place of the ones that came.
//!
//! Source: Envoy Gateway's `ResponseOverride`; statuses that Envoy's
//! `LocalResponsePolicy` refuses are refused here.

use crate::problem::Problems;
use crate::read::{At, Object};
use crate::scalar::{Header, HttpStatus, StatusRange, read_header_name, read_header_value};
use crate::spec::read_text;

/// One override: which responses it replaces and by what.
#[derive(Clone, Debug, PartialEq)]
pub struct OverrideRule {
    /// Statuses that match; any of them does.
    pub statuses: Vec<StatusRange>,
    /// What the client gets.
    pub response: OverrideResponse,
}

/// `response`: the original headers are dropped, as Envoy Gateway does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverrideResponse {
    /// New status; the original one if unset.
    pub status: Option<HttpStatus>,
    /// New body; empty if unset.
    pub body: String,
    /// Headers in wire order, a content type (if any) included. Added ones
    /// come before set ones; a set one replaces what stood there.
    pub headers: Vec<Header>,
}

impl OverrideRule {
    /// Reads the list: 1 to 64 rules, the first that matches is taken.
    pub fn read_all(at: At<'_>, problems: &mut Problems) -> Option<Vec<Self>> {
        at.list(1..=64, problems, Self::read)
    }

    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["match", "source", "response", "redirect"], problems)?;
        for name in ["source", "redirect"] {
            refuse_unenforced(&object, name, problems);
        }
        let statuses = object
            .required("match", problems)
            .and_then(|at| read_match(at, problems));
        let response = object
            .required("response", problems)
            .and_then(|at| OverrideResponse::read(at, problems));
        Some(Self {
            statuses: statuses?,
            response: response?,
        })
    }
}

impl OverrideResponse {
    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["statusCode", "contentType", "body", "header"], problems)?;
        let status = object
            .get("statusCode")
            .and_then(|at| HttpStatus::read(at, problems));
        let body = match object.get("body") {
            Some(at) => read_body(at, problems)?,
            None => String::new(),
        };
        if let (Some(status), Some(at), false) = (status, object.get("body"), body.is_empty())
            && status.forbids_body()
        {
            let reason = format!("must be left out: a {} response has no body", status.get());
            at.refuse(problems, reason);
        }
        let mut headers = Vec::new();
        match object.get("contentType") {
            Some(at) => {
                let name = crate::scalar::HeaderName::new("content-type")?;
                let value = read_header_value(at, problems)?;
                let value = read_text(at, value, problems)?;
                headers.push(Header { name, value });
            }
            None if !body.is_empty() => {
                let name = crate::scalar::HeaderName::new("content-type")?;
                let value = "text/plain".to_owned();
                headers.push(Header { name, value });
            }
            None => {}
        }
        if let Some(at) = object.get("header") {
            read_header_changes(at, &mut headers, problems)?;
        }
        Some(Self {
            status,
            body,
            headers,
        })
    }
}

fn refuse_unenforced(object: &Object<'_>, name: &str, problems: &mut Problems) {
    if let Some(field) = object.get(name) {
        let reason = "is not enforced by this version of the filter: leave it out";
        problems.note(&field.path, field.node.mark, reason);
    }
}

fn read_match(at: At<'_>, problems: &mut Problems) -> Option<Vec<StatusRange>> {
    let object = at.object(&["statusCodes", "responseHeaders"], problems)?;
    refuse_unenforced(&object, "responseHeaders", problems);
    object
        .required("statusCodes", problems)?
        .list(1..=50, problems, read_status_match)
}

fn read_status_match(at: At<'_>, problems: &mut Problems) -> Option<StatusRange> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Value,
        Range,
    }
    let object = at.object(&["type", "value", "range"], problems)?;
    let kind = match object.get("type") {
        Some(at) => at.choice(&[("Value", Kind::Value), ("Range", Kind::Range)], problems)?,
        None => Kind::Value,
    };
    let (wanted, other) = match kind {
        Kind::Value => ("value", "range"),
        Kind::Range => ("range", "value"),
    };
    if let Some(at) = object.get(other) {
        at.refuse(
            problems,
            format!("must not stand beside {wanted}: type decides"),
        );
    }
    let at = object.required(wanted, problems)?;
    if kind == Kind::Value {
        return HttpStatus::read(at, problems).map(StatusRange::one);
    }
    let range = at.object(&["start", "end"], problems)?;
    let start = range
        .required("start", problems)
        .and_then(|at| HttpStatus::read(at, problems));
    let end = range
        .required("end", problems)
        .and_then(|at| HttpStatus::read(at, problems));
    let statuses = StatusRange::new(start?..=end?);
    if statuses.is_none() {
        at.refuse(problems, "must not end before it starts");
    }
    statuses
}

fn read_body(at: At<'_>, problems: &mut Problems) -> Option<String> {
    let object = at.object(&["type", "inline", "valueRef"], problems)?;
    refuse_unenforced(&object, "valueRef", problems);
    if let Some(at) = object.get("type")
        && at.string(problems)? != "Inline"
    {
        at.refuse(problems, "must be Inline: this version reads no ConfigMaps");
        return None;
    }
    let at = object.required("inline", problems)?;
    let template = at.string(problems)?;
    read_text(at, template, problems)
}

fn read_header_changes(
    at: At<'_>,
    headers: &mut Vec<Header>,
    problems: &mut Problems,
) -> Option<()> {
    let object = at.object(&["set", "add", "remove"], problems)?;
    if let Some(at) = object.get("remove") {
        at.refuse(
            problems,
            "must be left out: an override drops the original headers",
        );
    }
    if let Some(add) = object.get("add") {
        headers.extend(add.list(0..=16, problems, read_header)?);
    }
    if let Some(set) = object.get("set") {
        for header in set.list(0..=16, problems, read_header)? {
            headers.retain(|other| other.name != header.name);
            headers.push(header);
        }
    }
    Some(())
}

fn read_header(at: At<'_>, problems: &mut Problems) -> Option<Header> {
    let object = at.object(&["name", "value"], problems)?;
    let name = object
        .required("name", problems)
        .and_then(|at| read_header_name(at, problems));
    let value = object.required("value", problems).and_then(|at| {
        let template = read_header_value(at, problems)?;
        read_text(at, template, problems)
    });
    Some(Header {
        name: name?,
        value: value?,
    })
}
