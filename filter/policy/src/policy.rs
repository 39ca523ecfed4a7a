//! A `BackendTrafficPolicy` object: its name, its targets, its spec.

use crate::problem::Problems;
use crate::read::{At, Object};
use crate::scalar::{ObjectName, is_dns_label, is_dns_subdomain};
use crate::spec::{Spec, TARGET_FIELDS};

/// One policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name; the namespace is `default` if the document names none.
    pub name: ObjectName,
    /// The routes it governs; none: everything this filter sees.
    pub targets: Vec<RouteTarget>,
    /// What it wants.
    pub spec: Spec,
}

/// An HTTPRoute or GRPCRoute, in the policy's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// The route object.
    pub route: ObjectName,
}

/// `apiVersion` of the objects read here.
pub const API_VERSION: &str = "gateway.envoyproxy.io/v1alpha1";
/// `kind` of the objects read here.
pub const KIND: &str = "BackendTrafficPolicy";
/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Kubernetes' `ObjectMeta`, all of which a `kubectl get -o yaml` may print.
const OBJECT_META: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

impl Policy {
    /// Reads a policy. `status` and the rest of the metadata are accepted
    /// and not used, so that an export from a cluster can be pasted.
    pub fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let known = ["apiVersion", "kind", "metadata", "spec", "status"];
        let object = at.object(&known, problems)?;
        read_constant(&object, "apiVersion", API_VERSION, problems);
        read_constant(&object, "kind", KIND, problems);
        let name = object
            .required("metadata", problems)
            .and_then(|at| read_name(at, problems));
        let spec = object.required("spec", problems)?;
        let namespace = name
            .as_ref()
            .map_or(DEFAULT_NAMESPACE, |name| &name.namespace);
        let targets = read_targets(spec, namespace, problems);
        let spec = Spec::read(spec, problems);
        Some(Self {
            name: name?,
            targets: targets?,
            spec: spec?,
        })
    }
}

fn read_constant(object: &Object<'_>, field: &str, wanted: &str, problems: &mut Problems) {
    if let Some(at) = object.get(field) {
        at.choice(&[(wanted, ())], problems);
    }
}

fn read_name(at: At<'_>, problems: &mut Problems) -> Option<ObjectName> {
    let object = at.object(&OBJECT_META, problems)?;
    let name = object.required("name", problems).and_then(|at| {
        let name = at.string(problems)?;
        if !is_dns_subdomain(name) {
            at.refuse(problems, "must be a DNS subdomain (RFC 1123)");
            return None;
        }
        Some(name.to_owned())
    });
    let namespace = match object.get("namespace") {
        Some(at) => {
            let namespace = at.string(problems)?;
            if !is_dns_label(namespace) {
                at.refuse(problems, "must be a DNS label (RFC 1123)");
                return None;
            }
            namespace
        }
        None => DEFAULT_NAMESPACE,
    };
    Some(ObjectName {
        namespace: namespace.to_owned(),
        name: name?,
    })
}

fn read_targets(
    spec: At<'_>,
    namespace: &str,
    problems: &mut Problems,
) -> Option<Vec<RouteTarget>> {
    // The fields beside these are read, and checked, by `Spec`.
    let object = spec.open_object(&mut Problems::default())?;
    for name in TARGET_FIELDS {
        let reason = match name {
            "targetRefs" => continue,
            "targetRef" => "is the deprecated form: write targetRefs, a list",
            _ => "is not supported by this version of the filter: name routes in targetRefs",
        };
        if let Some(at) = object.get(name) {
            problems.note(&at.path, at.node.mark, reason);
        }
    }
    let Some(at) = object.get("targetRefs") else {
        return Some(Vec::new());
    };
    at.list(1..=usize::MAX, problems, |at, problems| {
        read_target(at, namespace, problems)
    })
}

fn read_target(at: At<'_>, namespace: &str, problems: &mut Problems) -> Option<RouteTarget> {
    let object = at.object(&["group", "kind", "name", "sectionName"], problems)?;
    if let Some(at) = object.required("group", problems) {
        at.choice(&[("gateway.networking.k8s.io", ())], problems);
    }
    if let Some(at) = object.required("kind", problems) {
        at.choice(&[("HTTPRoute", ()), ("GRPCRoute", ())], problems);
    }
    if let Some(at) = object.get("sectionName") {
        let reason = "is not supported by this version of the filter: target the whole route";
        problems.note(&at.path, at.node.mark, reason);
    }
    let name = object
        .required("name", problems)?
        .string_of(1..=253, problems)?;
    Some(RouteTarget {
        route: ObjectName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
    })
}
