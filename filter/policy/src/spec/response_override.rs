//! `spec.responseOverride`: other responses in place of the ones that came.
//!
//! Source: Envoy Gateway's `ResponseOverride`; statuses that Envoy's
//! `LocalResponsePolicy` refuses are refused here.

use crate::problem::Problems;
use crate::read::At;
use crate::scalar::{
    Header, HeaderName, HttpStatus, ObjectName, Regex, StatusRange, Template, read_header_name,
    read_header_value,
};
use crate::spec::redirect::Redirect;
use crate::spec::selector::read_regex;

/// One override: which responses it replaces and by what.
#[derive(Clone, Debug, PartialEq)]
pub struct OverrideRule {
    /// Statuses that match, any of them; none: every status.
    pub statuses: Vec<StatusRange>,
    /// Headers that must match, all of them.
    pub headers: Vec<HeaderMatch>,
    /// Whose responses match.
    pub source: Source,
    /// What the client gets; unused beside `redirect`.
    pub response: OverrideResponse,
    /// Envoy's internal redirect, in place of `response`.
    pub redirect: Option<Redirect>,
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

/// `response`: the original headers are dropped, as Envoy Gateway does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverrideResponse {
    /// New status; the original one if unset.
    pub status: Option<HttpStatus>,
    /// New body; empty if unset.
    pub body: Template,
    /// The ConfigMap that holds the body, until it is looked up.
    pub body_ref: Option<ObjectName>,
    /// Headers in wire order, a content type (if any) included. Added ones
    /// come before set ones; a set one replaces what stood there.
    pub headers: Vec<Header>,
}

impl OverrideRule {
    /// Reads the list: the first rule that matches is taken. `owner` is the
    /// policy it stands in.
    pub fn read_all(at: At<'_>, owner: &ObjectName, problems: &mut Problems) -> Option<Vec<Self>> {
        at.list(0..=usize::MAX, problems, |at, problems| {
            Self::read(at, owner, problems)
        })
    }

    fn read(at: At<'_>, owner: &ObjectName, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["match", "source", "response", "redirect"], problems)?;
        let source = match object.get("source") {
            Some(at) => at.choice(
                &[
                    ("All", Source::All),
                    ("Local", Source::Local),
                    ("Backend", Source::Backend),
                ],
                problems,
            ),
            None => Some(Source::All),
        };
        let matching = object
            .required("match", problems)
            .and_then(|at| read_match(at, problems));
        let (response, redirect) = match (object.get("response"), object.get("redirect")) {
            (Some(at), None) => (OverrideResponse::read(at, owner, problems), None),
            (None, Some(at)) => (
                Some(OverrideResponse::default()),
                Some(Redirect::read(at, problems)?),
            ),
            _ => {
                at.refuse(problems, "must have exactly one of response and redirect");
                (None, None)
            }
        };
        let (statuses, headers) = matching?;
        Some(Self {
            statuses,
            headers,
            source: source?,
            response: response?,
            redirect,
        })
    }
}

impl OverrideResponse {
    fn read(at: At<'_>, owner: &ObjectName, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["statusCode", "contentType", "body", "header"], problems)?;
        let status = object
            .get("statusCode")
            .and_then(|at| HttpStatus::read(at, problems));
        let (body, body_ref) = match object.get("body") {
            Some(at) => read_body(at, owner, problems)?,
            None => (Template::default(), None),
        };
        let has_body = !body.is_empty() || body_ref.is_some();
        if let (Some(status), Some(at), true) = (status, object.get("body"), has_body)
            && status.forbids_body()
        {
            let reason = format!("must be left out: a {} response has no body", status.get());
            at.refuse(problems, reason);
        }
        let content_type = match object.get("contentType") {
            Some(at) => {
                let value = read_header_value(at, problems)?;
                Some(read_template(at, value, problems)?)
            }
            None => has_body.then(|| Template::literal("text/plain")),
        };
        let name = HeaderName::new("content-type");
        let mut headers: Vec<Header> = name
            .zip(content_type)
            .map(|(name, value)| Header { name, value })
            .into_iter()
            .collect();
        if let Some(at) = object.get("header") {
            read_header_changes(at, &mut headers, problems)?;
        }
        Some(Self {
            status,
            body,
            body_ref,
            headers,
        })
    }
}

fn read_match(at: At<'_>, problems: &mut Problems) -> Option<(Vec<StatusRange>, Vec<HeaderMatch>)> {
    let object = at.object(&["statusCodes", "responseHeaders"], problems)?;
    if !object.has("statusCodes") && !object.has("responseHeaders") {
        at.refuse(problems, "must have statusCodes or responseHeaders");
        return None;
    }
    let statuses = match object.get("statusCodes") {
        Some(at) => at.list(1..=50, problems, read_status_match)?,
        None => Vec::new(),
    };
    let headers = match object.get("responseHeaders") {
        Some(at) => at.list(1..=16, problems, HeaderMatch::read)?,
        None => Vec::new(),
    };
    Some((statuses, headers))
}

impl HeaderMatch {
    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["name", "value"], problems)?;
        let name = object
            .required("name", problems)
            .and_then(|at| HeaderName::read(at, problems));
        let value = object
            .required("value", problems)
            .and_then(|at| StringMatch::read(at, problems));
        Some(Self {
            name: name?,
            value: value?,
        })
    }
}

impl StringMatch {
    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
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
        let object = at.object(&["type", "value"], problems)?;
        let kind = match object.get("type") {
            Some(at) => at.choice(&kinds, problems)?,
            None => Kind::Exact,
        };
        let at = object.required("value", problems)?;
        let text = at.string_of(1..=1024, problems)?.to_owned();
        Some(match kind {
            Kind::Exact => Self::Exact(text),
            Kind::Prefix => Self::Prefix(text),
            Kind::Suffix => Self::Suffix(text),
            Kind::Regex => Self::Regex(read_regex(at, problems)?),
        })
    }
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

fn read_body(
    at: At<'_>,
    owner: &ObjectName,
    problems: &mut Problems,
) -> Option<(Template, Option<ObjectName>)> {
    let object = at.object(&["type", "inline", "valueRef"], problems)?;
    let by_ref = match object.get("type") {
        Some(at) => at.choice(&[("Inline", false), ("ValueRef", true)], problems)?,
        None => false,
    };
    let (wanted, other) = if by_ref {
        ("valueRef", "inline")
    } else {
        ("inline", "valueRef")
    };
    if let Some(at) = object.get(other) {
        let reason = format!("must not stand beside {wanted}: type decides");
        problems.note(&at.path, at.node.mark, reason);
    }
    let at = object.required(wanted, problems)?;
    if !by_ref {
        let body = read_template(at, at.string(problems)?, problems)?;
        return Some((body, None));
    }
    let object = at.object(&["group", "kind", "name"], problems)?;
    if let Some(at) = object.required("group", problems) {
        at.choice(&[("", ())], problems);
    }
    if let Some(at) = object.required("kind", problems) {
        at.choice(&[("ConfigMap", ())], problems);
    }
    let name = object
        .required("name", problems)?
        .string_of(1..=253, problems)?;
    let name = ObjectName {
        namespace: owner.namespace.clone(),
        name: name.to_owned(),
    };
    Some((Template::default(), Some(name)))
}

/// Reads a body or header value, in which `%` begins a command operator.
fn read_template(at: At<'_>, source: &str, problems: &mut Problems) -> Option<Template> {
    match Template::parse(source) {
        Ok(template) => Some(template),
        Err(reason) => {
            at.refuse(problems, reason);
            None
        }
    }
}

fn read_header_changes(
    at: At<'_>,
    headers: &mut Vec<Header>,
    problems: &mut Problems,
) -> Option<()> {
    let object = at.object(&["set", "add", "remove"], problems)?;
    if let Some(at) = object.get("remove") {
        at.list(0..=0, problems, |_, _| Some(()));
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
        read_template(at, template, problems)
    });
    Some(Header {
        name: name?,
        value: value?,
    })
}
