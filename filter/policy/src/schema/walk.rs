//! Checks a document against the tables.

use std::collections::BTreeSet;

use crate::code::Code;
use crate::node::{Node, Value};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::{
    Duration, HeaderName, Ppm, Quantity, is_dns_label, is_dns_subdomain, whole_percent,
};

use super::shape::{Check, Field, Form, Object, Shape};

/// Which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Exactly those of Envoy Gateway's CRD.
    Crd,
    /// The CRD's and our extensions.
    Btp,
}

/// Notes everything in which `at` is not of this shape.
pub fn check(at: Cursor<'_>, shape: &Shape, profile: Profile, problems: &mut Problems) {
    match shape {
        Shape::Any => {}
        Shape::Boolean => drop(at.boolean(problems)),
        Shape::Integer { least, most } => drop(at.integer(*least..=*most, problems)),
        Shape::Number => drop(at.number(problems)),
        Shape::Positive if profile == Profile::Btp => {
            Duration::read_positive(at, problems);
        }
        Shape::Duration | Shape::Positive => drop(Duration::read(at, problems)),
        Shape::Percentage if profile == Profile::Btp => drop(Ppm::read(at, problems)),
        Shape::Percentage => drop(at.number(problems)),
        Shape::Never => at.refuse(problems, Code::ExcludedField, "must be left out"),
        // The CRD leaves the range of bare numbers to the translator.
        Shape::Quantity if profile == Profile::Crd && matches!(at.node.value, Value::Int(_)) => {}
        Shape::Quantity => drop(Quantity::read(at, problems)),
        Shape::Choice(names) => {
            let choices: Vec<(&str, ())> = names.iter().map(|name| (*name, ())).collect();
            at.choice(&choices, problems);
        }
        Shape::Text { least, most, form } => check_text(at, *least, *most, *form, problems),
        Shape::List {
            least,
            most,
            unique,
            item,
        } => {
            at.list(*least..=*most, problems, |at, problems| {
                check(at, item, profile, problems);
                Some(())
            });
            if let Some(key) = unique {
                check_unique(at, key, problems);
            }
        }
        Shape::Ours { crd, ours } => {
            let shape = if profile == Profile::Crd { crd } else { ours };
            check(at, shape, profile, problems);
        }
        Shape::Either(shapes) => check_either(at, shapes, profile, problems),
        Shape::Dictionary(shape) => check_dictionary(at, shape, profile, problems),
        Shape::Object(object) => {
            let known: Vec<&str> = fields_of(object, profile).map(|field| field.name).collect();
            if at.object(&known, problems).is_some() {
                check_fields(at, object, profile, |_| true, problems);
                check_rules(at, object, problems);
            }
        }
    }
}

/// Checks those fields of an object that `which` picks.
pub fn check_fields(
    at: Cursor<'_>,
    object: &Object,
    profile: Profile,
    which: impl Fn(&Field) -> bool,
    problems: &mut Problems,
) {
    for field in fields_of(object, profile).filter(|field| which(field)) {
        let path = Path::Field(&at.path, field.name);
        match at.node.field(field.name) {
            Some(node) => {
                let at = Cursor { node, path };
                check(at, &field.shape, profile, problems);
                if let (Some(further), Profile::Btp) = (field.check, profile) {
                    check_further(at, further, problems);
                }
            }
            None if field.required => {
                problems.note(&path, at.node.mark, Code::MissingField, "is required")
            }
            None => {}
        }
    }
}

/// Checks the rules over several fields of an object.
pub(crate) fn check_rules(at: Cursor<'_>, object: &Object, problems: &mut Problems) {
    for rule in object.rules {
        if !(rule.holds)(at.node) {
            problems.note(&at.path, at.node.mark, rule.code, rule.says);
        }
    }
}

/// What is of the wrong type has been noted already and is passed over.
pub(crate) fn check_further(at: Cursor<'_>, further: Check, problems: &mut Problems) {
    let (_, mut found) = problems.capture(|problems| further(at, problems));
    if found.is_empty() {
        return;
    }
    let known = problems.paths();
    found.retain(|problem| !known.contains(&problem.path));
    found.into_iter().for_each(|problem| problems.push(problem));
}

fn fields_of(object: &Object, profile: Profile) -> impl Iterator<Item = &Field> {
    let visible = move |field: &&Field| profile == Profile::Btp || !field.extension;
    object.fields.iter().filter(visible)
}

/// Notes what the last of them has to say if none fits.
fn check_either(at: Cursor<'_>, shapes: &[Shape], profile: Profile, problems: &mut Problems) {
    let mut said = Vec::new();
    for shape in shapes {
        let (_, found) = problems.capture(|problems| check(at, shape, profile, problems));
        if found.is_empty() {
            return;
        }
        said = found;
    }
    said.into_iter().for_each(|problem| problems.push(problem));
}

fn check_dictionary(at: Cursor<'_>, shape: &Shape, profile: Profile, problems: &mut Problems) {
    let Some(object) = at.open_object(problems) else {
        return;
    };
    for (_, at) in object.fields() {
        check(at, shape, profile, problems);
    }
}

fn check_text(at: Cursor<'_>, least: usize, most: usize, form: Form, problems: &mut Problems) {
    let Some(text) = at.string(problems) else {
        return;
    };
    let length = text.chars().count();
    if !(least..=most).contains(&length) {
        let reason = if most == usize::MAX {
            "must not be empty".to_owned()
        } else {
            format!("must be {least} to {most} characters long")
        };
        at.refuse(problems, Code::TextLength, reason);
    } else if let Some((code, reason)) = wrong_form(text, form) {
        at.refuse(problems, code, reason);
    }
}

fn wrong_form(text: &str, form: Form) -> Option<(Code, &'static str)> {
    let (is_right, code, reason) = match form {
        Form::Free => return None,
        Form::DnsSubdomain => (
            is_dns_subdomain(text),
            Code::MalformedName,
            "must be a DNS name (RFC 1123)",
        ),
        Form::DnsLabel => (
            is_dns_label(text),
            Code::MalformedName,
            "must be a DNS label (RFC 1123)",
        ),
        Form::Group => (
            text.is_empty() || is_dns_subdomain(text),
            Code::MalformedKind,
            "must be an API group, or \"\" for the core group",
        ),
        Form::Kind => (
            is_kind(text),
            Code::MalformedKind,
            "must be a kind, such as HTTPRoute",
        ),
        Form::Token => (
            HeaderName::new(text).is_some(),
            Code::MalformedHeaderName,
            "must be a header name: 1 to 256 token characters",
        ),
        Form::OneLine => (
            !text.contains(['\r', '\n', '\0']),
            Code::BrokenLine,
            "must not contain line breaks or NUL",
        ),
        Form::Base64 => (is_base64(text), Code::MalformedBase64, "must be base64"),
        Form::Percent => (
            whole_percent(text).is_some(),
            Code::MalformedPercentage,
            "must be a whole percentage, from 0% to 100%",
        ),
    };
    (!is_right).then_some((code, reason))
}

fn is_kind(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_base64(text: &str) -> bool {
    let padding = text.len() - text.trim_end_matches('=').len();
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    text.len().is_multiple_of(4) && padding <= 2 && text.trim_end_matches('=').bytes().all(digit)
}

fn check_unique(at: Cursor<'_>, key: &str, problems: &mut Problems) {
    let Value::List(nodes) = &at.node.value else {
        return;
    };
    // As JSON, which orders values of any kind.
    let identity = |node: &Node| -> Option<String> {
        let node = if key.is_empty() {
            Some(node)
        } else {
            node.field(key)
        };
        serde_json::to_string(node?).ok()
    };
    let mut seen = BTreeSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some(value) = identity(node) else {
            continue;
        };
        if !seen.insert(value) {
            let path = Path::Item(&at.path, index);
            problems.refuse(&path, node, Code::ListedTwice, "is listed twice");
        }
    }
}
