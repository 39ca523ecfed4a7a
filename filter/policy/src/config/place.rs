//! `gateway` and `namespaces`: where in the world an instance stands.

use std::collections::BTreeMap;

use super::schema::{GATEWAY, NAMESPACE};
use crate::attach::{Environment, Gateway, Namespace};
use crate::code::Code;
use crate::labels::{Labels, read_labels};
use crate::policy::{DEFAULT_NAMESPACE, read_namespace};
use crate::problem::Problems;
use crate::read::{At, Object};
use crate::scalar::ObjectName;

pub(super) fn read(config: &Object<'_>, problems: &mut Problems) -> Option<Environment> {
    let gateway = match config.get("gateway") {
        Some(at) => Some(read_gateway(at, problems)?),
        None => None,
    };
    let mut namespaces = BTreeMap::new();
    if let Some(at) = config.get("namespaces") {
        at.list(0..=usize::MAX, problems, |at, problems| {
            let (name, namespace) = read_one_namespace(at, problems)?;
            if namespaces.insert(name, namespace).is_some() {
                at.refuse(problems, Code::ListedTwice, "is listed twice");
            }
            Some(())
        })?;
    }
    Some(Environment {
        gateway,
        namespaces,
    })
}

fn read_gateway(at: At<'_>, problems: &mut Problems) -> Option<Gateway> {
    let object = at.object_of(&GATEWAY, problems)?;
    let name = object
        .required("name", problems)
        .and_then(|at| at.string_of(1..=253, problems));
    let namespace = match object.get("namespace") {
        Some(at) => read_namespace(at, problems)?,
        None => DEFAULT_NAMESPACE.to_owned(),
    };
    let listener = match object.get("listener") {
        Some(at) => Some(at.string_of(1..=253, problems)?.to_owned()),
        None => None,
    };
    Some(Gateway {
        name: ObjectName {
            namespace,
            name: name?.to_owned(),
        },
        listener,
        labels: labels_of(&object, problems)?,
    })
}

fn read_one_namespace(at: At<'_>, problems: &mut Problems) -> Option<(String, Namespace)> {
    let object = at.object_of(&NAMESPACE, problems)?;
    let name = object
        .required("name", problems)
        .and_then(|at| read_namespace(at, problems));
    let disabled = match object.get("disabled") {
        Some(at) => at.boolean(problems)?,
        None => false,
    };
    let labels = labels_of(&object, problems)?;
    Some((name?, Namespace { labels, disabled }))
}

fn labels_of(object: &Object<'_>, problems: &mut Problems) -> Option<Labels> {
    match object.get("labels") {
        Some(at) => read_labels(at, problems),
        None => Some(Labels::new()),
    }
}
