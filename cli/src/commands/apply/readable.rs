//! A configuration in readable form for a diff: the filter's configuration is shown as
//! YAML, a field a line, whether the file has it as one line of JSON, as quoted text, or as
//! an object. The result is only for people: it has the same meaning, but not the file's
//! syntax.

use btp_policy::json;
use btp_policy::node::{Node, Value};

use crate::envoy::files::{Syntax, parse};
use crate::envoy::text::place::Place;
use crate::envoy::text::yaml_out;
use crate::envoy::tree::{field, type_of};

/// How much deeper than its line a configuration is shown.
const DEEPER: usize = 2;

/// A text to be put in the place of another.
struct Edit {
    start: usize,
    end: usize,
    text: String,
}

/// The text of a file, readable.
pub(super) fn readable(text: &str, syntax: Syntax) -> String {
    let place = match syntax {
        Syntax::Yaml => Place::of_yaml(text),
        Syntax::Json => Place::of_json(text),
    };
    let (Some(place), Ok(node)) = (place, parse(text, syntax)) else {
        return text.to_owned();
    };
    let mut edits = Vec::new();
    find(text, &node, &place, &mut edits);
    let mut out = String::new();
    let mut done = 0;
    for Edit {
        start,
        end,
        text: new,
    } in edits
    {
        out.push_str(
            text.get(done..start)
                .unwrap_or_default()
                .trim_end_matches(' '),
        );
        out.push_str(&new);
        done = end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Finds the configurations of the filter, in the order in which they are written.
fn find(text: &str, node: &Node, place: &Place, edits: &mut Vec<Edit>) {
    let children = place.children();
    match &node.value {
        // As places are, so are values; where an alias stands for many, it stays.
        Value::Map(entries) if entries.len() == children.len() => {
            let holds = field(node, "value").and_then(|value| configuration(node, value));
            for (entry, child) in entries.iter().zip(children) {
                match &holds {
                    Some(config) if entry.key == "value" => {
                        edits.push(shown(text, config, &child.place));
                    }
                    _ => find(text, &entry.node, &child.place, edits),
                }
            }
        }
        Value::List(items) if items.len() == children.len() => {
            for (item, child) in items.iter().zip(children) {
                find(text, item, &child.place, edits);
            }
        }
        _ => {}
    }
}

/// The configuration of the filter that is the `value` of a message, if it is one.
fn configuration(message: &Node, value: &Node) -> Option<Node> {
    let is_held = matches!(type_of(message), Some("StringValue" | "Struct"));
    let config = match &value.value {
        Value::String(text) => json::parse(text.as_bytes()).ok()?,
        _ => value.clone(),
    };
    (is_held && config.field("policies").is_some()).then_some(config)
}

/// The edit that shows a configuration at a place.
fn shown(text: &str, config: &Node, place: &Place) -> Edit {
    let line = text.get(..place.content).and_then(|it| it.rfind('\n'));
    let line = text.get(line.map_or(0, |it| it + 1)..).unwrap_or_default();
    let indent = line.len() - line.trim_start_matches([' ', '-']).len();
    let blanks = " ".repeat(indent + DEEPER);
    let mut new = String::from("\n");
    for line in yaml_out::write(config).lines() {
        new.push_str(&format!("{blanks}{line}\n"));
    }
    let old = text.get(place.content..place.end).unwrap_or_default();
    let end = place.content + old.trim_end().len();
    // What follows begins a line of its own, or has one.
    match text.get(end..).and_then(|it| it.chars().next()) {
        Some('\n' | '\r') | None => {
            new.pop();
        }
        Some(_) => new.push_str(&" ".repeat(indent)),
    }
    Edit {
        start: place.content,
        end,
        text: new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(value: &str) -> String {
        let held = "\"@type\": type.googleapis.com/google.protobuf.StringValue";
        format!("a: 1\nconfiguration:\n  {held}\n  value: {value}\nz: 2\n")
    }

    #[test]
    fn the_configuration_is_shown_the_same_however_it_is_written() {
        let json = r#"{"policies":[{"metadata":{"name":"p"},"spec":{}}]}"#;
        let wanted = "  value:\n    policies:\n      - metadata:\n          name: p\n        spec: {}\nz: 2\n";
        for value in [
            format!("|\n    {json}"),
            format!("|-\n    {json}\n"),
            format!("'{json}'"),
            format!("{:?}", json),
        ] {
            let found = readable(&yaml(&value), Syntax::Yaml);
            assert!(
                found.ends_with(wanted) || found.replace("\n\nz", "\nz").ends_with(wanted),
                "{value}\n{found}"
            );
        }
    }

    #[test]
    fn in_brackets_and_in_json_what_follows_stays() {
        let held = r#""@type": "type.googleapis.com/google.protobuf.Struct""#;
        let text =
            format!("{{\n  \"c\": {{{held}, \"value\": {{\"policies\": []}}, \"d\": 1}}\n}}\n");
        for syntax in [Syntax::Json, Syntax::Yaml] {
            let found = readable(&text, syntax);
            assert!(
                found.ends_with("\"value\":\n    policies: []\n  , \"d\": 1}\n}\n"),
                "{found}"
            );
        }
    }

    #[test]
    fn what_is_not_the_filters_stays_as_it_is() {
        for text in [
            yaml("'{\"rules\":[]}'"),
            yaml("no json"),
            "value: '{\"policies\":[]}'\n".to_owned(),
            "a: [\n".to_owned(),
        ] {
            assert_eq!(readable(&text, Syntax::Yaml), text);
        }
    }
}
