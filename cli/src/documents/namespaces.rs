//! What `Namespace` objects say of the namespaces that selectors may look in.

use std::collections::BTreeMap;

use btp_policy::Code;
use btp_policy::attach::Namespace;
use btp_policy::labels::Labels;
use btp_policy::node::{Node, Value};
use btp_policy::path::FieldPath;
use btp_policy::problem::Problem;

use super::Object;
use crate::diagnostics::{Finding, Location};

/// The labels of namespaces, by their names.
pub(crate) type Namespaces = BTreeMap<String, Namespace>;

/// Reads the objects, and adds what is wrong with them.
pub(super) fn read(objects: &[Object], findings: &mut Vec<Finding>) -> Namespaces {
    let mut found = Namespaces::new();
    for object in objects {
        match read_one(&object.node) {
            Ok((name, namespace)) => {
                found.insert(name, namespace);
            }
            Err(problem) => findings.push(Finding::error(problem, Location::File(object.source))),
        }
    }
    found
}

fn read_one(object: &Node) -> Result<(String, Namespace), Problem> {
    let wrong = |path: &'static str, code, reason: &str| {
        let path = FieldPath::from(path);
        let mark = path.closest(object).mark;
        Problem::new(path, code, reason).at(mark)
    };
    let metadata = object.field("metadata");
    let name = metadata.and_then(|it| it.field("name"));
    let Some(name) = name.and_then(Node::as_str) else {
        return Err(wrong(
            "metadata.name",
            Code::MissingField,
            "is required, and a text",
        ));
    };
    let mut labels = Labels::new();
    match metadata
        .and_then(|it| it.field("labels"))
        .map(|it| &it.value)
    {
        None | Some(Value::Null) => {}
        Some(Value::Map(entries)) => {
            for entry in entries {
                let Some(value) = entry.node.as_str() else {
                    let reason = format!("{} must be a text: put it in quotes", entry.key);
                    let wrong = wrong("metadata.labels", Code::WrongType, &reason);
                    return Err(wrong.at(entry.node.mark));
                };
                labels.insert(entry.key.clone(), value.to_owned());
            }
        }
        Some(_) => {
            return Err(wrong(
                "metadata.labels",
                Code::WrongType,
                "must be an object",
            ));
        }
    }
    let disabled = false;
    Ok((name.to_owned(), Namespace { labels, disabled }))
}
