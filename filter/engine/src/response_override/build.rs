//! Makes the new response.

use btp_policy::scalar::{HttpStatus, Operator, Template};
use btp_policy::spec::{
    HeaderChanges, Instead, KeepHeaders, NewBody, OverrideBody, OverrideResponse, Redirect,
};

use super::accept;
use super::body::Body;
use super::preserved_headers::{self, VARY};
use super::render::{RenderContext, Target};
use super::{AUTHORITY, Operators, SCHEME};
use crate::action::{Fields, HeaderEdit, HeaderText};

/// The response that a rule makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) status: u16,
    pub(super) content: Content,
}

/// Headers, but for `:status`, and body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The original's, with these edits of its headers.
    Original(Vec<HeaderEdit>),
    /// Others, without content-length.
    New(Fields, Body),
}

/// What `instead` makes of the response that `context` describes.
pub(super) fn build(instead: &Instead, keep: &KeepHeaders, context: &RenderContext<'_>) -> Built {
    match instead {
        Instead::Redirect(redirect) => build_redirect(redirect, keep, context),
        Instead::Response(response) if response.body == NewBody::Original => {
            edit_headers(response, context)
        }
        Instead::Response(response) => build_response(response, keep, context),
    }
}

fn build_response(
    response: &OverrideResponse,
    keep: &KeepHeaders,
    context: &RenderContext<'_>,
) -> Built {
    let status = response.status.map_or(context.status, HttpStatus::get);
    let no_body = forbids_body(status);
    let mut headers = kept(keep, &response.headers, context);
    let mut body = Body::Printed(Vec::new());
    let mut varies = false;
    if !no_body {
        let content_type = match &response.body {
            NewBody::Variants(variants) => {
                varies = true;
                let accept = context.overrides.accepted(context.snapshot);
                accept::choose(accept.as_deref(), variants).map(|variant| {
                    body = render_body(&variant.body, context);
                    variant.content_type.clone().into_bytes()
                })
            }
            NewBody::One(one) => {
                body = render_body(one, context);
                let content_type = response.content_type_or_default();
                content_type.map(|it| context.rendered(&it, Target::Header))
            }
            NewBody::Empty | NewBody::Original => {
                let content_type = response.content_type.as_ref();
                content_type.map(|it| context.rendered(it, Target::Header))
            }
        };
        headers.extend(content_type.map(|value| (CONTENT_TYPE.to_vec(), value)));
    }
    change(&mut headers, &response.headers, context);
    if no_body {
        headers.retain(|(name, _)| name != CONTENT_TYPE);
    }
    if varies {
        headers.push((VARY.to_vec(), b"accept".to_vec()));
    }
    preserved_headers::merge_vary(&mut headers);
    Built {
        status,
        content: Content::New(headers, body),
    }
}

/// The original, with other headers.
fn edit_headers(response: &OverrideResponse, context: &RenderContext<'_>) -> Built {
    let status = response.status.map_or(context.status, HttpStatus::get);
    let owned = |name: &str| HeaderText::from(name.to_owned());
    let value = |template: &Template| HeaderText::from(context.rendered(template, Target::Header));
    let mut edits = Vec::new();
    for name in &response.headers.remove {
        edits.push(HeaderEdit::Remove(owned(name.as_str())));
    }
    // The length of a body that did not come and now should.
    if forbids_body(context.status) && !forbids_body(status) {
        edits.push(HeaderEdit::Remove(CONTENT_LENGTH.into()));
    }
    if let Some(content_type) = &response.content_type {
        edits.push(HeaderEdit::Set(CONTENT_TYPE.into(), value(content_type)));
    }
    for header in &response.headers.add {
        edits.push(HeaderEdit::Add(
            owned(header.name.as_str()),
            value(&header.value),
        ));
    }
    for header in &response.headers.set {
        edits.push(HeaderEdit::Set(
            owned(header.name.as_str()),
            value(&header.value),
        ));
    }
    Built {
        status,
        content: Content::Original(edits),
    }
}

fn build_redirect(redirect: &Redirect, keep: &KeepHeaders, context: &RenderContext<'_>) -> Built {
    let mut headers = kept(keep, &HeaderChanges::default(), context);
    set(&mut headers, LOCATION, location(redirect, context));
    preserved_headers::merge_vary(&mut headers);
    Built {
        status: redirect.status,
        content: Content::New(headers, Body::Printed(Vec::new())),
    }
}

/// The target of a redirect. Parts that the policy does not set come from the request.
fn location(redirect: &Redirect, context: &RenderContext<'_>) -> Vec<u8> {
    let captured_value = |operator: &Operator| {
        let captured_value = context
            .overrides
            .captured_value(operator, None, context.snapshot);
        captured_value.value()
    };
    let mut url = Vec::new();
    if redirect.scheme.is_some() || redirect.hostname.is_some() || redirect.port.is_some() {
        let asked_scheme = captured_value(&Operators::header(SCHEME));
        let asked_scheme = asked_scheme.as_deref().unwrap_or(b"http");
        let scheme = redirect
            .scheme
            .as_ref()
            .map_or(asked_scheme, |it| it.as_bytes());
        let authority = captured_value(&Operators::header(AUTHORITY)).unwrap_or_default();
        let (asked_host, asked_port) = split_port(&authority);
        let host = redirect
            .hostname
            .as_ref()
            .map_or(asked_host, |it| it.as_bytes());
        push_url(scheme, &mut url);
        url.extend_from_slice(b"://");
        push_url(host, &mut url);
        if let Some(port) = redirect.port {
            url.extend_from_slice(format!(":{port}").as_bytes());
        } else if scheme == asked_scheme && redirect.hostname.is_none() && !asked_port.is_empty() {
            url.push(b':');
            push_url(asked_port, &mut url);
        }
    }
    match &redirect.path {
        Some(path) => context.render(path, Target::Url, &mut url),
        None => {
            let path = captured_value(&Operators::path());
            push_url(path.as_deref().unwrap_or(b"/"), &mut url);
        }
    }
    url
}

/// Host and port of an authority; the port is empty if there is none.
fn split_port(authority: &[u8]) -> (&[u8], &[u8]) {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    let in_brackets = authority.last() == Some(&b']');
    match colon
        .filter(|_| !in_brackets)
        .map(|at| authority.split_at(at))
    {
        Some((host, port)) => (host, port.get(1..).unwrap_or_default()),
        None => (authority, b""),
    }
}

/// Appends a part of a URL, and escapes characters that no URL may contain.
fn push_url(text: &[u8], url: &mut Vec<u8>) {
    for byte in text {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte) {
            url.push(*byte);
        } else {
            url.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

fn render_body(body: &OverrideBody, context: &RenderContext<'_>) -> Body {
    let OverrideBody {
        template, escape, ..
    } = body;
    match template.shared_text() {
        Some(text) => Body::Shared(text),
        None => Body::Printed(context.rendered(template, Target::Body(*escape))),
    }
}

fn kept(keep: &KeepHeaders, changes: &HeaderChanges, context: &RenderContext<'_>) -> Fields {
    let removed = |name: &[u8]| {
        let mut names = changes.remove.iter();
        names.any(|other| other.as_str().as_bytes() == name)
    };
    let mut kept = Fields::new();
    context.headers.for_each(&mut |name, value| {
        if (keep.keeps(name) || preserved_headers::survives(name)) && !removed(name) {
            kept.push((name.to_vec(), value.to_vec()));
        }
    });
    kept
}

fn change(headers: &mut Fields, changes: &HeaderChanges, context: &RenderContext<'_>) {
    let value = |template: &Template| context.rendered(template, Target::Header);
    for header in &changes.add {
        headers.push((
            header.name.as_str().as_bytes().to_vec(),
            value(&header.value),
        ));
    }
    for header in &changes.set {
        set(
            headers,
            header.name.as_str().as_bytes(),
            value(&header.value),
        );
    }
}

fn set(headers: &mut Fields, name: &[u8], value: Vec<u8>) {
    headers.retain(|(other, _)| other != name);
    headers.push((name.to_vec(), value));
}

pub(super) fn forbids_body(status: u16) -> bool {
    HttpStatus::new(status).is_none_or(HttpStatus::forbids_body)
}

pub(super) const STATUS: &[u8] = b":status";
pub(super) const CONTENT_LENGTH: &[u8] = b"content-length";
const CONTENT_TYPE: &[u8] = b"content-type";
const LOCATION: &[u8] = b"location";
