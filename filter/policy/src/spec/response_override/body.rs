//! `response.body` and `response.variants`: the text of the new response,
//! and how what a client or an origin sent is kept from breaking out of it.

use super::escape::{Escape, media_type};
use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::{ObjectName, Template};

/// The body of the new response.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum NewBody {
    /// None.
    #[default]
    Empty,
    /// The original one: only status and headers change. An extension.
    Original,
    /// This one.
    One(OverrideBody),
    /// One of these, as the client prefers; the first if it has no
    /// preference. An extension.
    Variants(Vec<Variant>),
}

/// A body and the content type that it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// `type/subtype` in lower case, without parameters: what is compared
    /// with the request's Accept.
    pub media_type: String,
    /// The content type, parameters included.
    pub content_type: String,
    /// The body.
    pub body: OverrideBody,
}

/// A text, given here or to be taken from a ConfigMap.
#[derive(Clone, Debug, PartialEq)]
pub struct OverrideBody {
    /// The ConfigMap that holds the text, until it has been filled in.
    pub from: Option<ObjectName>,
    /// The text.
    pub template: Template,
    /// How values are escaped in it.
    pub escape: Escape,
    format: Format,
}

/// How the text is read. Everything but `RawTemplate` is an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Operators are expanded, and their values escaped.
    Template,
    /// Nothing is expanded.
    Literal,
    /// Operators are expanded as they are (Envoy Gateway's behaviour).
    RawTemplate,
}

impl OverrideBody {
    /// Reads a body whose content type is `content_type`; `None` if that is
    /// not known before there is a response.
    pub(super) fn read(
        at: Cursor<'_>,
        content_type: Option<&str>,
        owner: &ObjectName,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&super::schema::BODY, problems)?;
        let by_ref = object.or_default("type", problems, |at, problems| {
            at.choice(&[("Inline", false), ("ValueRef", true)], problems)
        })?;
        let (wanted, other) = if by_ref {
            ("valueRef", "inline")
        } else {
            ("inline", "valueRef")
        };
        if let Some(at) = object.get(other) {
            let reason = format!("must not be set beside {wanted}: type decides");
            problems.note(&at.path, at.node.mark, Code::FieldOfType, reason);
        }
        let formats = [
            ("Template", Format::Template),
            ("Literal", Format::Literal),
            ("RawTemplate", Format::RawTemplate),
        ];
        let format = object.or("format", Format::Template, problems, |at, problems| {
            at.choice(&formats, problems)
        })?;
        let escape = match format {
            Format::Template => content_type.map_or(Escape::Unknown, Escape::of),
            Format::Literal | Format::RawTemplate => Escape::None,
        };
        let mut body = Self {
            from: None,
            template: Template::default(),
            escape,
            format,
        };
        let at = object.required(wanted, problems)?;
        if by_ref {
            body.from = Some(read_config_map(at, owner, problems)?);
        } else if let Err(reason) = body.fill_in(at.string(problems)?) {
            at.refuse(problems, Code::MalformedTemplate, reason);
            return None;
        }
        Some(body)
    }

    /// Takes `text` for the body.
    ///
    /// # Errors
    /// What is wrong with it, as a predicate of the text.
    pub fn fill_in(&mut self, text: &str) -> Result<(), String> {
        self.template = match self.format {
            Format::Literal => Template::literal(text),
            Format::Template | Format::RawTemplate => Template::parse(text)?,
        };
        self.escape.check(&self.template)
    }

    /// Whether there is no text, and none to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.template.is_empty() && self.from.is_none()
    }
}

impl Variant {
    pub(super) fn read(
        at: Cursor<'_>,
        owner: &ObjectName,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&super::schema::VARIANT, problems)?;
        let content_type = object
            .required("contentType", problems)
            .and_then(|at| read_content_type(at, problems));
        let body = object.required("body", problems).and_then(|at| {
            let content_type = content_type.as_ref().map(|(_, whole)| whole.as_str());
            OverrideBody::read(at, content_type, owner, problems)
        });
        let (media_type, content_type) = content_type?;
        Some(Self {
            media_type,
            content_type,
            body: body?,
        })
    }
}

/// Reads a content type without operators: its media type, and all of it.
fn read_content_type(at: Cursor<'_>, problems: &mut Problems) -> Option<(String, String)> {
    let text = crate::scalar::read_header_value(at, problems)?;
    let media_type = media_type(text);
    let is_token = |part: &str| crate::scalar::HeaderName::new(part).is_some();
    let is_one = |(kind, subtype): (&str, &str)| {
        is_token(kind) && is_token(subtype) && kind != "*" && subtype != "*"
    };
    if !media_type.split_once('/').is_some_and(is_one) {
        at.refuse(
            problems,
            Code::MalformedMediaType,
            "must be a media type, such as text/html",
        );
        return None;
    }
    Some((media_type, text.to_owned()))
}

fn read_config_map(
    at: Cursor<'_>,
    owner: &ObjectName,
    problems: &mut Problems,
) -> Option<ObjectName> {
    let object = at.object_of(&super::schema::VALUE_REF, problems)?;
    if let Some(at) = object.required("group", problems) {
        at.choice(&[("", ())], problems);
    }
    if let Some(at) = object.required("kind", problems) {
        at.choice(&[("ConfigMap", ())], problems);
    }
    let name = object
        .required("name", problems)?
        .string_of(1..=253, problems)?;
    Some(ObjectName {
        namespace: owner.namespace.clone(),
        name: name.to_owned(),
    })
}
