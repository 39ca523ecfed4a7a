//! The objects in a file of manifests: policies, ConfigMaps, and any others between them.

use crate::code::Code;
use crate::node::{Node, Value};
use crate::policy::{API_VERSION, KIND, SERVICE_API_VERSION, SERVICE_KIND, of_another_api};
use crate::problem::Problem;
use crate::read::nearest;
use crate::yaml;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A `BackendTrafficPolicy`, or an `XBackendTrafficPolicy` of the Gateway API.
    Policy(Node),
    /// A `ConfigMap`, which an override may take a body from.
    ConfigMap(Node),
    /// A `Namespace`, whose labels a selector may use.
    Namespace(Node),
    /// A `Config` or `Tenant` of KubeLB, which may switch policies off.
    KubeLb(Node),
    /// An object of another kind, which is ignored.
    Other,
    /// An object that was probably meant to be a policy, and why it is not one.
    Mistaken(Problem),
    /// No Kubernetes object, and what it lacks.
    Foreign(Problem),
}

/// Reads all objects of a YAML or JSON text, in document order. The items of
/// a `List`, as `kubectl get` prints it, stand for themselves.
///
/// # Errors
/// What is wrong with the text.
pub fn read(text: &str) -> Result<Vec<Document>, Problem> {
    let mut documents = Vec::new();
    for node in yaml::parse(text)? {
        sort(node, &mut documents);
    }
    Ok(documents)
}

fn sort(node: Node, documents: &mut Vec<Document>) {
    if is_list(&node) {
        for item in take_items(node) {
            sort(item, documents);
        }
    } else {
        documents.push(sorted(node));
    }
}

fn sorted(node: Node) -> Document {
    if !matches!(node.value, Value::Map(_)) {
        let reason = format!("must be an object, not {}", node.value.kind());
        return Document::Foreign(placed(&node, "", Code::DocumentIsNoObject, reason));
    }
    match node.field("kind").and_then(Node::as_str) {
        Some(KIND) => match other_api(&node) {
            Some(problem) => Document::Mistaken(problem),
            None => Document::Policy(node),
        },
        Some(SERVICE_KIND) => match not_of_services(&node) {
            Some(problem) => Document::Mistaken(problem),
            None => Document::Policy(node),
        },
        Some("ConfigMap") => Document::ConfigMap(node),
        Some("Namespace") if version_of(&node) == Some("v1") => Document::Namespace(node),
        Some("Config" | "Tenant") if is_of_kubelb(&node) => Document::KubeLb(node),
        Some(kind) => match mistaken(&node, kind) {
            Some(reason) => Document::Mistaken(placed(&node, "kind", Code::MistakenKind, reason)),
            None => Document::Other,
        },
        None if node.field("kind").is_none() && node.field("spec").is_some() => {
            Document::Policy(node)
        }
        None => {
            let problem = placed(&node, "kind", Code::NoKind, "is required".to_owned());
            match node.field("apiVersion").or(node.field("kind")) {
                Some(_) => Document::Mistaken(problem),
                None => Document::Foreign(problem),
            }
        }
    }
}

/// What is wrong with a policy of an API that only names its kind as ours.
fn other_api(node: &Node) -> Option<Problem> {
    let version = node.field("apiVersion")?;
    let reason = of_another_api(version.as_str()?)?;
    Some(Problem {
        value: Some(version.value.excerpt()),
        ..placed(node, "apiVersion", Code::OtherApi, reason)
    })
}

/// The same of a policy of Services. A version that is not ours is for the reader to judge.
fn not_of_services(node: &Node) -> Option<Problem> {
    let version = node.field("apiVersion")?;
    let (group, _) = version.as_str()?.split_once('/')?;
    let (ours, _) = SERVICE_API_VERSION.split_once('/')?;
    if nearest(group, &[ours]).is_some() {
        return None;
    }
    let reason = format!(
        "is another API: its {} has other fields and is not checked; this one is {}",
        SERVICE_KIND, SERVICE_API_VERSION
    );
    Some(Problem {
        value: Some(version.value.excerpt()),
        ..placed(node, "apiVersion", Code::OtherApi, reason)
    })
}

fn version_of(node: &Node) -> Option<&str> {
    node.field("apiVersion").and_then(Node::as_str)
}

fn is_of_kubelb(node: &Node) -> bool {
    version_of(node).is_some_and(|it| it.starts_with("kubelb.k8c.io/"))
}

fn is_list(node: &Node) -> bool {
    let kind = node.field("kind").and_then(Node::as_str);
    let items = node.field("items").map(|items| &items.value);
    kind.is_some_and(|kind| kind.ends_with("List")) && matches!(items, Some(Value::List(_)))
}

fn take_items(list: Node) -> Vec<Node> {
    let Value::Map(entries) = list.value else {
        return Vec::new();
    };
    let items = entries.into_iter().find(|entry| entry.key == "items");
    match items.map(|entry| entry.node.value) {
        Some(Value::List(items)) => items,
        _ => Vec::new(),
    }
}

/// Why an object of another kind was probably meant to be a policy.
fn mistaken(node: &Node, kind: &str) -> Option<String> {
    if version_of(node) == Some(API_VERSION) && nearest(kind, &[KIND]).is_some() {
        return Some(format!("must be {KIND:?} (got {kind:?})"));
    }
    let near = nearest(kind, &[KIND, SERVICE_KIND])?;
    Some(format!(
        "is not a known kind; did you mean {near:?}? (got {kind:?})"
    ))
}

fn placed(node: &Node, field: &'static str, code: Code, reason: String) -> Problem {
    let place = node.field(field).map_or(node.mark, |field| field.mark);
    Problem::new(field, code, reason).at(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn kinds(text: &str) -> Vec<&'static str> {
        let name = |document: &Document| match document {
            Document::Policy(_) => "policy",
            Document::ConfigMap(_) => "map",
            Document::Namespace(_) => "namespace",
            Document::KubeLb(_) => "kubelb",
            Document::Other => "other",
            Document::Mistaken(_) => "mistaken",
            Document::Foreign(_) => "foreign",
        };
        read(text).unwrap().iter().map(name).collect()
    }

    /// What is said of the documents that are no objects of ours.
    fn said(text: &str) -> Vec<String> {
        let found = read(text).unwrap();
        let problems = found.iter().filter_map(|it| match it {
            Document::Mistaken(problem) | Document::Foreign(problem) => Some(problem.to_string()),
            _ => None,
        });
        problems.collect()
    }

    #[test]
    fn objects_are_told_apart() {
        let text = "kind: BackendTrafficPolicy\n---\nkind: ConfigMap\n---\nkind: Gateway\n---\n\
                    {metadata: {name: a}, spec: {}}\n";
        assert_eq!(kinds(text), ["policy", "map", "other", "policy"]);
    }

    #[test]
    fn a_namespace_is_one_of_kubernetes() {
        let text = "{apiVersion: v1, kind: Namespace}\n---\n\
                    {apiVersion: example.com/v1, kind: Namespace}\n";
        assert_eq!(kinds(text), ["namespace", "other"]);
    }

    #[test]
    fn what_says_nothing_of_kubernetes_is_foreign() {
        let text = "{static_resources: {}}\n---\n- a\n---\n{apiVersion: v1}\n---\n{kind: 5}\n\
                    ---\n{kind: BackendTrafficPolicy}\n";
        let found = ["foreign", "foreign", "mistaken", "mistaken", "policy"];
        assert_eq!(kinds(text), found);
    }

    #[test]
    fn kinds_of_that_name_of_others_are_none_of_our_business() {
        let text = "{kind: Tenant, apiVersion: kubelb.k8c.io/v1alpha1}\n---\n\
                    {kind: Config, apiVersion: kubelb.k8c.io/v1alpha1}\n---\n\
                    {kind: Config, apiVersion: example.com/v1}\n---\n{kind: Config}\n";
        assert_eq!(kinds(text), ["kubelb", "kubelb", "other", "other"]);
    }

    #[test]
    fn policies_of_other_apis_are_told_from_ours() {
        let text = "kind: BackendTrafficPolicy\napiVersion: apisix.apache.org/v1alpha1\n\
                    spec: {loadbalancer: {type: ewma}}\n---\nkind: BackendTrafficPolicy\n";
        assert_eq!(kinds(text), ["mistaken", "policy"]);
        assert_eq!(
            said(text),
            [
                "apiVersion: is another API: its BackendTrafficPolicy has other fields and is not \
                 checked; this one is gateway.envoyproxy.io/v1alpha1 (got \
                 \"apisix.apache.org/v1alpha1\")"
            ]
        );
        // Another version and a slip of the pen are for the reader to judge.
        for ours in [
            "gateway.envoyproxy.io/v1",
            "gateway.envoyproxy.oi/v1alpha1",
            "v1",
        ] {
            let text = format!("kind: BackendTrafficPolicy\napiVersion: {ours}\n");
            assert_eq!(kinds(&text), ["policy"], "{ours}");
        }
    }

    #[test]
    fn lists_are_opened() {
        let text = "kind: List\nitems:\n- kind: BackendTrafficPolicy\n- kind: ConfigMapList\n  \
                    items: [{kind: ConfigMap}]\n";
        assert_eq!(kinds(text), ["policy", "map"]);
    }

    #[test]
    fn misspelt_kinds_are_pointed_out() {
        assert_eq!(
            said("kind: BackendTraficPolicy\n---\n- a\n---\nfoo: 1\n"),
            [
                "kind: is not a known kind; did you mean \"BackendTrafficPolicy\"? \
                 (got \"BackendTraficPolicy\")",
                "the document: must be an object, not a list",
                "kind: is required",
            ]
        );
    }
}
