//! `gateway` and `namespaces`: the Gateway and listener of an instance.

use std::collections::BTreeMap;

use super::schema::{GATEWAY, LISTENER_SET, NAMESPACE};
use crate::attach::{Environment, Gateway, ListenerSet, Namespace};
use crate::code::Code;
use crate::labels::read_labels;
use crate::policy::{DEFAULT_NAMESPACE, read_namespace};
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::scalar::ObjectName;

pub(super) fn read(config: &Object<'_>, problems: &mut Problems) -> Option<Environment> {
    Some(Environment {
        gateway: config.optional("gateway", problems, read_gateway)?,
        namespaces: config.or_default("namespaces", problems, read_namespaces)?,
    })
}

fn read_gateway(at: Cursor<'_>, problems: &mut Problems) -> Option<Gateway> {
    let object = at.object_of(&GATEWAY, problems)?;
    let name = read_name(&object, problems);
    let listener = object.optional("listener", problems, |at, problems| {
        at.string_of(1..=253, problems).map(str::to_owned)
    })?;
    Some(Gateway {
        name: name?,
        listener,
        listener_set: object.optional("listenerSet", problems, read_listener_set)?,
        labels: object.or_default("labels", problems, read_labels)?,
    })
}

fn read_listener_set(at: Cursor<'_>, problems: &mut Problems) -> Option<ListenerSet> {
    let object = at.object_of(&LISTENER_SET, problems)?;
    Some(ListenerSet {
        name: read_name(&object, problems)?,
        labels: object.or_default("labels", problems, read_labels)?,
    })
}

fn read_name(object: &Object<'_>, problems: &mut Problems) -> Option<ObjectName> {
    let name = object
        .required("name", problems)
        .and_then(|at| at.string_of(1..=253, problems));
    let default = DEFAULT_NAMESPACE.to_owned();
    let namespace = object.or("namespace", default, problems, read_namespace)?;
    Some(ObjectName {
        namespace,
        name: name?.to_owned(),
    })
}

fn read_namespaces(at: Cursor<'_>, problems: &mut Problems) -> Option<BTreeMap<String, Namespace>> {
    let mut namespaces = BTreeMap::new();
    at.list(0..=usize::MAX, problems, |at, problems| {
        let (name, namespace) = read_one_namespace(at, problems)?;
        if namespaces.insert(name, namespace).is_some() {
            at.refuse(problems, Code::ListedTwice, "is listed twice");
        }
        Some(())
    })?;
    Some(namespaces)
}

fn read_one_namespace(at: Cursor<'_>, problems: &mut Problems) -> Option<(String, Namespace)> {
    let object = at.object_of(&NAMESPACE, problems)?;
    let name = object
        .required("name", problems)
        .and_then(|at| read_namespace(at, problems));
    let disabled = object.or_default("disabled", problems, Cursor::boolean)?;
    let labels = object.or_default("labels", problems, read_labels)?;
    Some((name?, Namespace { labels, disabled }))
}
