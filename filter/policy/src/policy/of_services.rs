//! The Gateway API's `XBackendTrafficPolicy`: a policy of Services. It limits the share of
//! retries among their requests, and can bind clients to endpoints. Envoy enforces the
//! latter, and it is not read here.
//!
//! Source: `apisx/v1alpha1/xbackendtrafficpolicy_types.go` of the Gateway API, GEP-3388 and
//! GEP-1619.

use super::{Metadata, Policy, SERVICE_API_VERSION, SERVICE_KIND, read_constant, schema};
use crate::node::Node;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::spec::{RetryConstraint, Spec, targets};

/// Whether a group is that of the Gateway API's experiments.
pub(crate) fn is_group(group: &str) -> bool {
    SERVICE_API_VERSION
        .split_once('/')
        .is_some_and(|it| it.0 == group)
}

/// Whether an object says that it is an `XBackendTrafficPolicy`.
#[must_use]
pub fn is_one(object: &Node) -> bool {
    object.field("kind").and_then(Node::as_str) == Some(SERVICE_KIND)
}

/// Reads one.
pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Policy> {
    let object = at.object_of(&schema::SERVICE_POLICY, problems)?;
    read_constant(&object, "apiVersion", SERVICE_API_VERSION, problems);
    let metadata = object
        .required("metadata", problems)
        .and_then(|at| Metadata::read(at, problems));
    let spec = object.required("spec", problems)?;
    let spec = spec.object_of(&schema::SERVICE_SPEC, problems)?;
    let Metadata { name, created } = metadata?;
    let targets = targets::read_services(&spec, &name.namespace, problems);
    let count = targets.as_ref().map_or(0, Vec::len);
    let constraint = spec.optional("retryConstraint", problems, |at, problems| {
        RetryConstraint::read_of_services(at, count, problems)
    });
    Some(Policy {
        name,
        created,
        targets: targets?,
        selectors: Vec::new(),
        merge: None,
        spec: Spec {
            retry_constraint: constraint.flatten(),
            ..Spec::default()
        },
    })
}
