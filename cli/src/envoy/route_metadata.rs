//! A route's metadata for the filter: the objects from which the route was made, and
//! labels. There are two forms, because the two builds of the filter read different ones.
//!
//! The .wasm reads the nested form that Envoy Gateway writes: objects in a list, and labels
//! in an object. A dynamic module can read only texts and lists of texts directly under a
//! key. For it the same facts are there in a second, flat form: `btp: {resources:
//! [HTTPRoute/team/shop]}` and `btp.labels: {tier: gold}`.

use btp_policy::attach::{ResourceRef, Route};
use btp_policy::node::{Entry, Node, Value};

use super::json::{list, node, object, put};
use super::plugin::Build;
use super::tree::{EMPTY, find, items, text};

/// Kind, namespace, name and section of an object.
pub(crate) type Resource = [Option<String>; 4];

/// A label: key and value.
pub(crate) type Label = (String, String);

/// The namespace of the flat resources, and of nested labels.
const NAMESPACE: &str = "btp";
const RESOURCES: &str = "resources";
/// The namespace whose keys are labels.
const LABELS: &str = "btp.labels";

/// The form in which somebody reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Nested,
    Flat,
    /// Flat, and from the nested one what is not there flat.
    Completed,
}

/// What is said of a route, in both forms.
#[derive(Debug)]
pub(crate) struct RouteMetadata {
    nested_resources: Vec<Resource>,
    nested_labels: Vec<Label>,
    /// `None`: not said.
    flat_resources: Option<Vec<Resource>>,
    flat_labels: Option<Vec<Label>>,
}

impl From<Build> for Form {
    fn from(build: Build) -> Self {
        match build {
            Build::Wasm => Self::Nested,
            Build::Module => Self::Flat,
        }
    }
}

impl RouteMetadata {
    pub(crate) fn of(route: &Node) -> Self {
        let all = find(route, &["metadata", "filter_metadata"]);
        let namespace = |name| all.and_then(|it| it.field(name));
        let flat = namespace(NAMESPACE).and_then(|it| it.field(RESOURCES));
        Self {
            nested_resources: resources_of(route),
            nested_labels: labels_of(route),
            flat_resources: flat.map(flat_resources),
            flat_labels: namespace(LABELS).map(labels),
        }
    }

    pub(crate) fn resources(&self, form: Form) -> &[Resource] {
        choose(form, &self.nested_resources, self.flat_resources.as_deref())
    }

    pub(crate) fn labels(&self, form: Form) -> &[Label] {
        choose(form, &self.nested_labels, self.flat_labels.as_deref())
    }

    /// Names of objects, in whichever form.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.nested_resources.iter();
        let all = all.chain(self.flat_resources.iter().flatten());
        all.filter_map(|it| it[2].as_deref())
    }

    /// What must be added to `filter_metadata` for all of it to be there in the flat
    /// form.
    ///
    /// # Errors
    /// A part of an object's name that cannot be written so.
    pub(crate) fn lacking(&self) -> Result<Option<Node>, String> {
        let mut lacking = EMPTY;
        if self.flat_resources.is_none() && !self.nested_resources.is_empty() {
            let all = self.nested_resources.iter().map(flat_name);
            let all = all.collect::<Result<Vec<String>, String>>()?;
            let all = list(all.into_iter().map(|it| node!(it)));
            put(&mut lacking, NAMESPACE, Some(node!({ "resources": all })));
        }
        if self.flat_labels.is_none() && !self.nested_labels.is_empty() {
            let all = self.nested_labels.iter();
            let all = object(all.map(|(key, value)| (key, node!(value))));
            put(&mut lacking, LABELS, Some(all));
        }
        Ok((lacking != EMPTY).then_some(lacking))
    }
}

fn choose<'a, T>(form: Form, nested: &'a [T], flat: Option<&'a [T]>) -> &'a [T] {
    match form {
        Form::Nested => nested,
        Form::Flat => flat.unwrap_or_default(),
        Form::Completed => flat.unwrap_or(nested),
    }
}

/// What `judge` finds of a route of this name, of which these are said.
pub(crate) fn judged<T>(
    name: &str,
    resources: &[Resource],
    labels: &[Label],
    judge: impl FnOnce(&Route<'_>) -> T,
) -> T {
    fn said(part: &Option<String>) -> &str {
        part.as_deref().unwrap_or_default()
    }
    let resources: Vec<ResourceRef<'_>> = resources
        .iter()
        .map(|[kind, namespace, name, section]| ResourceRef {
            kind: said(kind),
            namespace: said(namespace),
            name: said(name),
            section: section.as_deref(),
        })
        .collect();
    let labels = labels.iter();
    let labels: Vec<(&str, &str)> = labels
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    judge(&Route {
        name: name.as_bytes(),
        resources: &resources,
        labels: &labels,
    })
}

/// The objects in the metadata that Envoy Gateway writes.
pub(crate) fn resources_of(node: &Node) -> Vec<Resource> {
    let path = ["metadata", "filter_metadata", "envoy-gateway"];
    let Some(metadata) = find(node, &path) else {
        return Vec::new();
    };
    let part = |node: &Node, name: &str| text(node, name).map(str::to_owned);
    let names = ["kind", "namespace", "name", "sectionName"];
    items(metadata, RESOURCES)
        .iter()
        .map(|item| names.map(|name| part(item, name)))
        .collect()
}

/// The labels that we read from metadata.
pub(crate) fn labels_of(node: &Node) -> Vec<Label> {
    let path = ["metadata", "filter_metadata", NAMESPACE, "labels"];
    find(node, &path).map(labels).unwrap_or_default()
}

/// The labels of the ListenerSet that a listener or its filter chain is of.
pub(crate) fn listener_set_labels_of(node: &Node) -> Vec<Label> {
    let path = [
        "metadata",
        "filter_metadata",
        NAMESPACE,
        "listenerSet",
        "labels",
    ];
    find(node, &path).map(labels).unwrap_or_default()
}

fn labels(node: &Node) -> Vec<Label> {
    let Value::Map(entries) = &node.value else {
        return Vec::new();
    };
    let pair = |entry: &Entry| Some((entry.key.clone(), entry.node.as_str()?.to_owned()));
    entries.iter().filter_map(pair).collect()
}

/// Each text as `kind/namespace/name[/section]`; what is none is passed over, as the
/// module does.
fn flat_resources(node: &Node) -> Vec<Resource> {
    let Value::List(all) = &node.value else {
        return Vec::new();
    };
    let resource = |text: &str| -> Option<Resource> {
        let it = ResourceRef::parse(text)?;
        let parts = [Some(it.kind), Some(it.namespace), Some(it.name), it.section];
        Some(parts.map(|part| part.map(str::to_owned)))
    };
    let all = all.iter().filter_map(Node::as_str);
    all.filter_map(resource).collect()
}

fn flat_name(resource: &Resource) -> Result<String, String> {
    let [kind, namespace, name, section] = resource;
    let mut parts: Vec<&str> = [kind, namespace, name]
        .map(|it| it.as_deref().unwrap_or_default())
        .into();
    if let Some(odd) = parts.iter().find(|it| it.contains('/')) {
        return Err((*odd).to_owned());
    }
    parts.extend(section.as_deref());
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    fn read(filter_metadata: &str) -> RouteMetadata {
        let route = format!(r#"{{"metadata":{{"filter_metadata":{filter_metadata}}}}}"#);
        RouteMetadata::of(&json::parse(route.as_bytes()).unwrap())
    }

    fn lacking(filter_metadata: &str) -> String {
        let lacking = read(filter_metadata).lacking().unwrap();
        lacking.map_or(String::new(), |it| serde_json::to_string(&it).unwrap())
    }

    const NESTED: &str = r#""envoy-gateway":{"resources":[{"kind":"HTTPRoute","namespace":"team",
        "name":"shop","sectionName":"a/b"},{"kind":"HTTPRoute","name":"x"}]}"#;

    #[test]
    fn what_is_not_there_flat_is_made_of_what_is_nested() {
        let labels = r#""btp":{"labels":{"tier":"gold","n":1}}"#;
        let both = format!("{{{NESTED},{labels}}}");
        assert_eq!(
            lacking(&both),
            r#"{"btp":{"resources":["HTTPRoute/team/shop/a/b","HTTPRoute//x"]},"btp.labels":{"tier":"gold"}}"#
        );
        assert_eq!(
            lacking(&format!(
                r#"{{{NESTED},"btp":{{"labels":{{"a":"b"}},"resources":[]}}}}"#
            )),
            r#"{"btp.labels":{"a":"b"}}"#
        );
        assert_eq!(lacking(r#"{"btp.labels":{"a":"b"}}"#), "");
    }

    #[test]
    fn each_form_is_read_by_those_who_know_it() {
        let it = read(&format!(
            r#"{{{NESTED},"btp":{{"labels":{{"a":"nested"}}}},"btp.labels":{{"a":"flat"}}}}"#
        ));
        let label = |form| it.labels(form)[0].1.as_str();
        assert_eq!(label(Form::Nested), "nested");
        assert_eq!(label(Form::Flat), "flat");
        assert_eq!(label(Form::Completed), "flat");
        assert_eq!(it.resources(Form::Nested).len(), 2);
        assert_eq!(it.resources(Form::Flat).len(), 0);
        assert_eq!(it.resources(Form::Completed).len(), 2);
    }

    #[test]
    fn a_name_that_is_written_flat_is_read_as_it_was() {
        let it = read(&format!("{{{NESTED}}}"));
        let flat = it.lacking().unwrap().unwrap();
        let flat = read(&serde_json::to_string(&flat).unwrap());
        let shop = &flat.resources(Form::Flat)[0];
        assert_eq!(shop, &it.resources(Form::Nested)[0]);
    }

    #[test]
    fn a_name_with_a_slash_has_no_flat_form() {
        let odd = r#"{"envoy-gateway":{"resources":[{"kind":"HTTPRoute","name":"a/b"}]}}"#;
        assert_eq!(read(odd).lacking(), Err("a/b".to_owned()));
    }
}
