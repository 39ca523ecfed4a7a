//! `btp fields`: documentation of a field, like `kubectl explain`. All of it comes from the
//! tables of readers and schemas.

#[cfg(test)]
mod enforcers;
mod find;
#[cfg(test)]
mod reference;
mod words;

use btp_policy::config::CONFIG;
use btp_policy::schema::{Field, Object};
use btp_policy::spec::{Owner, SPEC};

use super::{Error, Outcome};
use crate::output;
use crate::terminal::Styles;
use find::Found;

/// Describe a field of a policy or of the filter's configuration
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The field, such as `rateLimit.local` or `spec.rateLimit.local.rules[].limit`; fields
    /// of the filter's configuration begin with `config`. Without it, the fields of `spec`
    /// are listed
    path: Option<String>,
    /// List all fields below it, at any depth
    #[arg(long)]
    recursive: bool,
}

/// Prints it.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    let styles = Styles::of_stdout();
    let path = arguments.path.as_deref().unwrap_or("spec");
    let found = find::find(path).map_err(Error::NoField)?;
    let text = match (&found.field, arguments.recursive) {
        (None, _) => listed(&found, arguments.recursive, &styles),
        (Some(field), recursive) => described(field, &found, recursive, &styles),
    };
    output::print(&text)?;
    Ok(Outcome::Fine)
}

/// The fields of `spec`, or of the configuration.
fn listed(found: &Found, recursive: bool, styles: &Styles) -> String {
    let mut text = format!("{}\n\n", styles.bold(&found.path));
    if let Some(object) = found.object {
        below(object, recursive, 1, styles, &mut text);
    }
    text
}

fn described(field: &Field, found: &Found, recursive: bool, styles: &Styles) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        let lines = words::wrapped(value, 86).join("\n             ");
        text.push_str(&format!(
            "{} {lines}\n",
            styles.bold(&format!("{name:<12}"))
        ));
    };
    row("FIELD", &found.path);
    row("TYPE", &words::kind(&field.shape));
    if let Some(bounds) = words::bounds(&field.shape) {
        row("BOUNDS", &bounds);
    }
    if let Some(choices) = words::choices(&field.shape) {
        row("CHOICES", &choices.join(", "));
    }
    row("REQUIRED", if field.required { "yes" } else { "no" });
    if let Some(default) = field.default {
        row("DEFAULT", default);
    }
    if let Some(owner) = found.owner {
        row("ENFORCED BY", &enforcer(owner));
    }
    if field.extension {
        row("EXTENSION", "yes: Envoy Gateway's API does not have it");
    }
    text.push('\n');
    for line in words::wrapped(field.description, 92) {
        text.push_str(&format!("{line}\n"));
    }
    if let Some(object) = found.object {
        for rule in object.rules {
            text.push_str(&format!("It {}.\n", rule.says));
        }
    }
    if let Some((path, of)) = &found.example {
        let title = if *path == found.path {
            "EXAMPLE".to_owned()
        } else {
            format!("EXAMPLE of {path}")
        };
        text.push_str(&format!("\n{}\n", styles.bold(&title)));
        for line in example_lines(of, of.example.unwrap_or_default()) {
            text.push_str(&format!("    {line}\n"));
        }
    }
    if let Some(object) = found.object.filter(|object| !object.fields.is_empty()) {
        text.push_str(&format!("\n{}\n", styles.bold("FIELDS")));
        below(object, recursive, 1, styles, &mut text);
    }
    text
}

/// The example below the field's name.
fn example_lines(field: &Field, example: &str) -> Vec<String> {
    if field.shape.object().is_none() && !example.contains('\n') {
        return vec![format!("{}: {example}", field.name)];
    }
    let mut lines = vec![format!("{}:", field.name)];
    lines.extend(example.lines().map(|line| format!("  {line}")));
    lines
}

/// One line for each field.
fn below(object: &Object, recursive: bool, depth: usize, styles: &Styles, text: &mut String) {
    let widest = object.fields.iter().map(|it| it.name.len()).max();
    let widest = widest.unwrap_or_default();
    for field in object.fields {
        let indent = "  ".repeat(depth);
        let name = styles.bold(&format!("{:<widest$}", field.name));
        let marks = match (field.required, field.extension) {
            (true, _) => " (required)",
            (_, true) => " (extension)",
            _ => "",
        };
        let line = if recursive {
            format!("{indent}{name}  <{}>{marks}", words::kind(&field.shape))
        } else {
            let first = words::first_sentence(field.description);
            format!("{indent}{name}  {first}{marks}")
        };
        text.push_str(line.trim_end());
        text.push('\n');
        if let (true, Some(object)) = (recursive, field.shape.object()) {
            below(object, recursive, depth + 1, styles, text);
        }
    }
}

/// Describes the side that enforces a field.
pub(super) fn enforcer(owner: Owner) -> String {
    match owner {
        Owner::Attachment => "nobody: it sets where the policy applies".to_owned(),
        Owner::Filter(_) => "the filter".to_owned(),
        Owner::Envoy => "Envoy, whose configuration btp apply writes".to_owned(),
    }
}

/// Where a path begins: its first word, and the table there.
fn roots() -> [(&'static str, &'static Object); 2] {
    [("spec", &SPEC), ("config", &CONFIG)]
}
