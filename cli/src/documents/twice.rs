//! Objects that are defined twice. In a cluster the second would replace the first. In
//! files it is an easily overlooked mistake, because both look as if they were in force.

use std::collections::BTreeMap;

use btp_policy::Code;
use btp_policy::node::Node;
use btp_policy::path::FieldPath;
use btp_policy::policy::DEFAULT_NAMESPACE;
use btp_policy::problem::Problem;

use super::Object;
use crate::diagnostics::{Finding, Location, Source};

const NAME: &str = "metadata.name";

/// What is defined twice, of policies, ConfigMaps and Namespaces.
#[derive(Debug, Default)]
pub(crate) struct Twice {
    /// The policies whose names earlier ones have.
    pub(crate) policies: Vec<Object>,
    /// What is wrong, and where.
    pub(super) findings: Vec<Finding>,
}

impl Twice {
    /// Takes the objects out that have the namespace and the name of an
    /// earlier one of their kind.
    pub(super) fn take_out(
        policies: &mut Vec<Object>,
        config_maps: &mut Vec<Object>,
        namespaces: &mut Vec<Object>,
        sources: &[Source],
    ) -> Self {
        let (policies, mut findings) = take_out("BackendTrafficPolicy", policies, sources);
        let (_, of_maps) = take_out("ConfigMap", config_maps, sources);
        findings.extend(of_maps);
        let (_, of_namespaces) = take_out("Namespace", namespaces, sources);
        findings.extend(of_namespaces);
        Self { policies, findings }
    }
}

/// The first object of a name.
struct First {
    kind: String,
    place: String,
}

fn take_out(
    usual_kind: &str,
    objects: &mut Vec<Object>,
    sources: &[Source],
) -> (Vec<Object>, Vec<Finding>) {
    let mut first: BTreeMap<(String, String), First> = BTreeMap::new();
    let mut out = (Vec::new(), Vec::new());
    for object in std::mem::take(objects) {
        let Some(key) = key(&object.node) else {
            // That it has no name is said elsewhere.
            objects.push(object);
            continue;
        };
        let kind = object.node.field("kind").and_then(Node::as_str);
        let kind = kind.unwrap_or(usual_kind);
        let Some(it) = first.get(&key) else {
            let place = place_of(&object, sources);
            let kind = kind.to_owned();
            first.insert(key, First { kind, place });
            objects.push(object);
            continue;
        };
        let place = &it.place;
        let full_name = match kind {
            "Namespace" => key.1,
            _ => format!("{}/{}", key.0, key.1),
        };
        let reason = if kind == it.kind {
            format!(
                "names {kind} {full_name}, which is defined twice: here and in {place}; \
                 remove or rename one of them"
            )
        } else {
            format!(
                "is also the name of the {} in {place}: metrics and reports know a policy by its \
                 name alone; rename one of them",
                it.kind
            )
        };
        let mark = FieldPath::from(NAME).closest(&object.node).mark;
        let problem = Problem::new(NAME, Code::DefinedTwice, reason).at(mark);
        out.1
            .push(Finding::error(problem, Location::File(object.source)));
        out.0.push(object);
    }
    out
}

/// The namespace and the name of an object.
pub(super) fn key(object: &Node) -> Option<(String, String)> {
    let metadata = object.field("metadata")?;
    let name = metadata.field("name")?.as_str()?;
    let namespace = match metadata.field("namespace") {
        Some(namespace) => namespace.as_str()?,
        None => DEFAULT_NAMESPACE,
    };
    Some((namespace.to_owned(), name.to_owned()))
}

/// Where an object's name stands, as `FILE:LINE:COLUMN`.
fn place_of(object: &Object, sources: &[Source]) -> String {
    let mark = FieldPath::from(NAME).closest(&object.node).mark;
    let file = sources.get(object.source).map_or("", |it| &it.name);
    format!("{file}:{}:{}", mark.line, mark.column)
}
