//! The labels of namespaces, from `Namespace` objects.

use std::collections::BTreeMap;

use btp_policy::attach::Namespace;
use btp_policy::labels::read_labels;
use btp_policy::node::Node;
use btp_policy::policy::read_namespace;
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;

use super::Object;
use crate::diagnostics::{Finding, Location};

/// The labels of namespaces, by their names.
pub(crate) type Namespaces = BTreeMap<String, Namespace>;

/// Reads the objects, and adds what is wrong with them.
pub(super) fn read(objects: &[Object], findings: &mut Vec<Finding>) -> Namespaces {
    let mut found = Namespaces::new();
    for object in objects {
        let mut problems = Problems::default();
        found.extend(read_one(&object.node, &mut problems));
        let problems = problems.into_vec().into_iter();
        findings.extend(problems.map(|it| Finding::error(it, Location::File(object.source))));
    }
    found
}

fn read_one(object: &Node, problems: &mut Problems) -> Option<(String, Namespace)> {
    let object = Cursor::root(object).open_object(problems)?;
    let metadata = object.required("metadata", problems)?;
    let metadata = metadata.open_object(problems)?;
    let name = metadata.required("name", problems);
    let name = name.and_then(|at| read_namespace(at, problems));
    let labels = metadata.or_default("labels", problems, read_labels);
    let namespace = Namespace {
        labels: labels?,
        disabled: false,
    };
    Some((name?, namespace))
}
