//! A `BackendTrafficPolicy` object: its name, its targets, its spec. `of_services` reads
//! the Gateway API's `XBackendTrafficPolicy`.

pub(crate) mod of_services;
pub(crate) mod schema;

pub use of_services::is_one as is_of_services;

pub use crate::spec::targets::{MergeType, Namespaces, Target, TargetKind, TargetSelector};

use crate::code::Code;
use crate::labels::read_labels;
pub use schema::POLICY;
#[cfg(feature = "schema")]
pub use schema::json_schema;

use crate::path::Path;
use crate::problem::Problems;
use crate::read::{Cursor, Object, nearest};
use crate::regex::Regexes;
use crate::scalar::{ObjectName, is_dns_label, is_dns_subdomain, read_timestamp};
use crate::spec::{Spec, targets};

/// One policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name; the namespace is `default` if the document names none.
    pub name: ObjectName,
    /// When it was made, in milliseconds since 1970: the older one of two
    /// policies for the same target wins.
    pub created: Option<u64>,
    /// The objects it names; with no selectors either, it governs everything
    /// that the filter sees.
    pub targets: Vec<Target>,
    /// The objects it picks by label.
    pub selectors: Vec<TargetSelector>,
    /// How it takes over what a less specific policy says.
    pub merge: Option<MergeType>,
    /// The policy's `spec`.
    pub spec: Spec,
}

/// `apiVersion` of the objects read here.
pub const API_VERSION: &str = "gateway.envoyproxy.io/v1alpha1";
/// `kind` of the objects read here.
pub const KIND: &str = "BackendTrafficPolicy";
/// `apiVersion` of the Gateway API's policies of Services.
pub(crate) const SERVICE_API_VERSION: &str = "gateway.networking.x-k8s.io/v1alpha1";
/// Their `kind`.
pub(crate) const SERVICE_KIND: &str = "XBackendTrafficPolicy";
/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

impl Policy {
    /// The kinds of what it targets, by name or by labels.
    pub fn target_kinds(&self) -> impl Iterator<Item = TargetKind> {
        let named = self.targets.iter().map(|it| it.kind);
        named.chain(self.selectors.iter().map(|it| it.kind))
    }

    /// Whether it is an `XBackendTrafficPolicy`, which governs requests by the Service that
    /// they are sent to.
    #[must_use]
    pub fn is_of_services(&self) -> bool {
        self.target_kinds().any(|it| it == TargetKind::Service)
    }

    /// Reads a policy of either kind. `status` and the rest of the metadata are accepted
    /// and not used, so that an export from a cluster can be pasted.
    pub fn read(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        if of_services::is_one(at.node) {
            return of_services::read(at, problems);
        }
        if let Some(version) = at.node.field("apiVersion")
            && let Some(reason) = version.as_str().and_then(of_another_api)
        {
            problems.refuse(
                &Path::Field(&at.path, "apiVersion"),
                version,
                Code::OtherApi,
                reason,
            );
            return None;
        }
        let object = at.object_of(&schema::POLICY, problems)?;
        read_constant(&object, "apiVersion", API_VERSION, problems);
        read_constant(&object, "kind", KIND, problems);
        let metadata = object
            .required("metadata", problems)
            .and_then(|at| Metadata::read(at, problems));
        let spec = object.required("spec", problems)?;
        let nameless = ObjectName {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            name: String::new(),
        };
        let name = metadata.as_ref().map_or(&nameless, |it| &it.name);
        let attachment = targets::read(spec, &name.namespace, problems);
        let spec = Spec::read(spec, name, regexes, problems);
        let (metadata, attachment) = (metadata?, attachment?);
        Some(Self {
            name: metadata.name,
            created: metadata.created,
            targets: attachment.targets,
            selectors: attachment.selectors,
            merge: attachment.merge,
            spec: spec?,
        })
    }

    /// Whether it names no target at all.
    #[must_use]
    pub fn is_untargeted(&self) -> bool {
        self.targets.is_empty() && self.selectors.is_empty()
    }
}

/// Why an object of this `apiVersion` is no policy whatever its kind is called:
/// APISIX, for one, has a `BackendTrafficPolicy` of its own. A version that is not
/// ours, or a slip of the pen, is not another API.
pub(crate) fn of_another_api(version: &str) -> Option<String> {
    let (group, _) = version.split_once('/')?;
    let (ours, _) = API_VERSION.split_once('/')?;
    if of_services::is_group(group) {
        return Some(format!(
            "is the Gateway API's, whose kind is {}: write that kind, or {API_VERSION}",
            SERVICE_KIND
        ));
    }
    nearest(group, &[ours]).is_none().then(|| {
        format!(
            "is another API: its {KIND} has other fields and is not checked; this one is \
             {API_VERSION}"
        )
    })
}

/// What is used of an object's `metadata`.
pub(crate) struct Metadata {
    pub(crate) name: ObjectName,
    pub(crate) created: Option<u64>,
}

impl Metadata {
    pub(crate) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::METADATA, problems)?;
        let name = object.required("name", problems).and_then(|at| {
            let name = at.string(problems)?;
            if !is_dns_subdomain(name) {
                at.refuse(
                    problems,
                    Code::MalformedName,
                    "must be a DNS subdomain (RFC 1123)",
                );
                return None;
            }
            Some(name.to_owned())
        });
        let default = DEFAULT_NAMESPACE.to_owned();
        let namespace = object.or("namespace", default, problems, read_namespace)?;
        object.optional("labels", problems, read_labels);
        let created = object.optional("creationTimestamp", problems, read_timestamp);
        Some(Self {
            name: ObjectName {
                namespace,
                name: name?,
            },
            created: created.flatten(),
        })
    }
}

/// Reads the name of a namespace.
pub fn read_namespace(at: Cursor<'_>, problems: &mut Problems) -> Option<String> {
    let namespace = at.string(problems)?;
    if !is_dns_label(namespace) {
        at.refuse(
            problems,
            Code::MalformedName,
            "must be a DNS label (RFC 1123)",
        );
        return None;
    }
    Some(namespace.to_owned())
}

fn read_constant(object: &Object<'_>, field: &str, wanted: &str, problems: &mut Problems) {
    if let Some(at) = object.get(field) {
        at.choice(&[(wanted, ())], problems);
    }
}

#[cfg(test)]
mod tests;
