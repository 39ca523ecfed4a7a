//! Shapes in words.

use btp_policy::schema::{Form, Shape};

/// The type of a value.
pub(crate) fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Any => "anything".to_owned(),
        Shape::Boolean => "boolean".to_owned(),
        Shape::Integer { .. } => "integer".to_owned(),
        Shape::Number | Shape::Percentage => "number".to_owned(),
        Shape::Text { .. } | Shape::Choice(_) => "string".to_owned(),
        Shape::Duration | Shape::Positive => "duration".to_owned(),
        Shape::Quantity => "quantity".to_owned(),
        Shape::Never => "nothing: the field is refused".to_owned(),
        Shape::List { item, .. } => match kind(item).as_str() {
            "anything" => "list".to_owned(),
            item => format!("list of {}", plural(item)),
        },
        Shape::Dictionary(value) => format!("object of free names with {}", plural(&kind(value))),
        Shape::Object(_) => "object".to_owned(),
        Shape::Either(shapes) => {
            let mut kinds: Vec<String> = shapes.iter().map(kind).collect();
            kinds.dedup();
            kinds.join(" or ")
        }
        Shape::Ours { ours, .. } => kind(ours),
    }
}

fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    }
}

/// What a value must keep to, beside its type.
pub(crate) fn bounds(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Integer { least, most } => match (*least, *most) {
            (i64::MIN, i64::MAX) => None,
            (least, i64::MAX) => Some(format!("{least} or more")),
            (i64::MIN, most) => Some(format!("at most {most}")),
            (least, most) => Some(format!("{least} to {most}")),
        },
        Shape::Percentage => Some("0 to 100".to_owned()),
        Shape::Positive => Some("more than zero, such as 200ms, 10s or 1h30m".to_owned()),
        Shape::Duration => Some("0s or more, such as 200ms, 10s or 1h30m".to_owned()),
        Shape::Quantity => {
            Some("a whole number, or one with a unit such as 64Ki or 10M".to_owned())
        }
        Shape::Text { least, most, form } => {
            let length = match (*least, *most) {
                (0, usize::MAX) => None,
                (least, usize::MAX) => Some(format!("{least} characters or more")),
                (0, most) => Some(format!("up to {most} characters")),
                (least, most) => Some(format!("{least} to {most} characters")),
            };
            let parts: Vec<String> = length.into_iter().chain(form_in_words(*form)).collect();
            (!parts.is_empty()).then(|| parts.join(", "))
        }
        Shape::List {
            least, most, item, ..
        } => {
            let length = match (*least, *most) {
                (0, usize::MAX) => None,
                (least, usize::MAX) => Some(format!("{least} items or more")),
                (0, most) => Some(format!("up to {most} items")),
                (least, most) => Some(format!("{least} to {most} items")),
            };
            let each = bounds(item).map(|it| format!("each {it}"));
            let parts: Vec<String> = length.into_iter().chain(each).collect();
            (!parts.is_empty()).then(|| parts.join(", "))
        }
        Shape::Ours { ours, .. } => bounds(ours),
        Shape::Either(shapes) => {
            let parts: Vec<String> = shapes.iter().filter_map(bounds).collect();
            (!parts.is_empty()).then(|| parts.join(" or "))
        }
        _ => None,
    }
}

fn form_in_words(form: Form) -> Option<String> {
    let words = match form {
        Form::Free => return None,
        Form::DnsSubdomain => "a DNS name (RFC 1123)",
        Form::DnsLabel => "a DNS label (RFC 1123)",
        Form::Group => "an API group",
        Form::Kind => "a kind",
        Form::Token => "an HTTP token",
        Form::OneLine => "without line breaks",
        Form::Base64 => "base64",
        Form::Percent => "a whole percentage",
    };
    Some(words.to_owned())
}

/// The words that a value is one of.
pub(crate) fn choices(shape: &Shape) -> Option<Vec<&'static str>> {
    match shape {
        Shape::Choice(names) => Some(names.to_vec()),
        Shape::List { item, .. } => choices(item),
        Shape::Ours { ours, .. } => choices(ours),
        Shape::Either(shapes) => shapes.iter().find_map(choices),
        _ => None,
    }
}

/// A description up to where it goes into details.
pub(crate) fn first_sentence(description: &str) -> String {
    let end = description.find(['.', ';']).unwrap_or(description.len());
    let cut = description.get(..end).unwrap_or(description);
    // A point within a word ends nothing.
    match description.get(end..end + 2) {
        Some(". ") | Some("; ") | None => format!("{cut}."),
        _ => description.to_owned(),
    }
}

/// A text in lines of at most `width` characters, if its words are not longer.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => line.push_str(&format!(" {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
