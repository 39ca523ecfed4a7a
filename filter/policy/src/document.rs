//! The objects in a file of manifests: policies, ConfigMaps, and whatever
//! else stands between them.

use crate::code::Code;
use crate::node::{Node, Value};
use crate::policy::{API_VERSION, KIND, of_another_api};
use crate::problem::Problem;
use crate::read::nearest;
use crate::yaml;

/// One object of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A `BackendTrafficPolicy`.
    Policy(Node),
    /// A `ConfigMap`, which an override may take a body from.
    ConfigMap(Node),
    /// A `Config` or `Tenant` of KubeLB, which may switch policies off.
    KubeLb(Node),
    /// An object of another kind, which is none of our business.
    Other,
}

/// Reads all objects of a YAML or JSON text, in document order. The items of
/// a `List`, as `kubectl get` prints it, stand for themselves.
///
/// # Errors
/// Everything that is wrong with the text, or with its objects' kinds.
pub fn read(text: &str) -> Result<Vec<Document>, Vec<Problem>> {
    let nodes = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for node in nodes {
        sort(node, &mut documents, &mut problems);
    }
    if problems.is_empty() {
        Ok(documents)
    } else {
        Err(problems)
    }
}

fn sort(node: Node, documents: &mut Vec<Document>, problems: &mut Vec<Problem>) {
    if !matches!(node.value, Value::Map(_)) {
        let reason = format!("must be an object, not {}", node.value.kind());
        problems.push(placed(&node, "", Code::DocumentIsNoObject, reason));
        return;
    }
    if is_list(&node) {
        for item in take_items(node) {
            sort(item, documents, problems);
        }
        return;
    }
    match node.field("kind").and_then(Node::as_str) {
        Some(KIND) => match other_api(&node) {
            Some(problem) => problems.push(problem),
            None => documents.push(Document::Policy(node)),
        },
        Some("ConfigMap") => documents.push(Document::ConfigMap(node)),
        Some("Config" | "Tenant") if is_of_kubelb(&node) => {
            documents.push(Document::KubeLb(node));
        }
        Some(kind) => match mistaken(&node, kind) {
            Some(reason) => problems.push(placed(&node, "kind", Code::MistakenKind, reason)),
            None => documents.push(Document::Other),
        },
        None if node.field("kind").is_none() && node.field("spec").is_some() => {
            documents.push(Document::Policy(node));
        }
        None => problems.push(placed(
            &node,
            "kind",
            Code::NoKind,
            "is required".to_owned(),
        )),
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

fn is_of_kubelb(node: &Node) -> bool {
    let version = node.field("apiVersion").and_then(Node::as_str);
    version.is_some_and(|it| it.starts_with("kubelb.k8c.io/"))
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
    let version = node.field("apiVersion").and_then(Node::as_str);
    if version == Some(API_VERSION) && nearest(kind, &[KIND]).is_some() {
        return Some(format!("must be {KIND:?} (got {kind:?})"));
    }
    let is_near = nearest(kind, &[KIND]).is_some();
    is_near.then(|| format!("is not a known kind; did you mean {KIND:?}? (got {kind:?})"))
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
            Document::KubeLb(_) => "kubelb",
            Document::Other => "other",
        };
        read(text).unwrap().iter().map(name).collect()
    }

    #[test]
    fn objects_are_told_apart() {
        let text = "kind: BackendTrafficPolicy\n---\nkind: ConfigMap\n---\nkind: Gateway\n---\n\
                    {metadata: {name: a}, spec: {}}\n";
        assert_eq!(kinds(text), ["policy", "map", "other", "policy"]);
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
                    spec: {loadbalancer: {type: ewma}}\n";
        let found = read(text).unwrap_err();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "apiVersion: is another API, whose BackendTrafficPolicy has other fields, which \
              are not looked at; this one is gateway.envoyproxy.io/v1alpha1 (got \
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
        let found = read("kind: BackendTraficPolicy\n---\n- a\n---\nfoo: 1\n").unwrap_err();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "kind: is not a known kind; did you mean \"BackendTrafficPolicy\"? \
                 (got \"BackendTraficPolicy\")",
                "the document: must be an object, not a list",
                "kind: is required",
            ]
        );
    }
}
