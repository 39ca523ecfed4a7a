//! The table of a policy's document, and its JSON Schema.

use super::{API_VERSION, KIND, SERVICE_API_VERSION, SERVICE_KIND};
use crate::schema::shape::*;
use crate::spec::Owner;
use crate::spec::SPEC;
use crate::spec::retry_constraint::schema::SERVICE_RETRY_CONSTRAINT;
use crate::spec::session_persistence::schema::SESSION_PERSISTENCE;
use crate::spec::targets::schema::SERVICE_REF;

/// A `BackendTrafficPolicy`.
pub static POLICY: Object = object(
    &[
        optional(
            "apiVersion",
            "Group and version of the document's API.",
            Shape::Choice(&[API_VERSION]),
        )
        .or(API_VERSION),
        optional(
            "kind",
            "Kind of the object; other kinds are not policies.",
            Shape::Choice(&[KIND]),
        )
        .or(KIND),
        required(
            "metadata",
            "Name, namespace, labels and creation time of the policy, as in Kubernetes.",
            Shape::Object(&METADATA),
        ),
        required(
            "spec",
            "The targets of the policy, and its settings.",
            Shape::Object(&SPEC),
        ),
        optional(
            "status",
            "Status that a controller has written; accepted, so that you can paste an export, and \
             not read.",
            Shape::Any,
        ),
    ],
    &[],
);

/// An `XBackendTrafficPolicy` of the Gateway API.
pub(crate) static SERVICE_POLICY: Object = object(
    &[
        optional(
            "apiVersion",
            "Group and version of the document's API.",
            Shape::Choice(&[SERVICE_API_VERSION]),
        )
        .or(SERVICE_API_VERSION),
        required(
            "kind",
            "Kind of the object, which distinguishes it from a BackendTrafficPolicy.",
            Shape::Choice(&[SERVICE_KIND]),
        ),
        required(
            "metadata",
            "Name, namespace, labels and creation time of the policy, as in Kubernetes.",
            Shape::Object(&METADATA),
        ),
        required(
            "spec",
            "The Services that the policy targets, and its settings.",
            Shape::Object(&SERVICE_SPEC),
        ),
        optional(
            "status",
            "Status that a controller has written; accepted, so that you can paste an export, and \
             not read.",
            Shape::Any,
        ),
    ],
    &[],
);

/// Its `spec`.
pub(crate) static SERVICE_SPEC: Object = object(
    &[
        required(
            "targetRefs",
            "Services that the policy targets, by name, in its own namespace.",
            list(1, 16, &Shape::Object(&SERVICE_REF)),
        )
        .example("- group: \"\"\n  kind: Service\n  name: payments"),
        optional(
            "retryConstraint",
            "The share of a Service's requests that may be retries, over all routes; a client \
             whose retry is refused gets status 503.",
            Shape::Object(&SERVICE_RETRY_CONSTRAINT),
        )
        .example("budget: {percent: 20, interval: 10s}"),
        optional(
            "sessionPersistence",
            "Keeps a client of a Service at its first endpoint, by a cookie or a header \
             (GEP-1619).",
            Shape::Object(&SESSION_PERSISTENCE),
        )
        .or("each request is balanced anew")
        .example("cookie: {name: shop-session}")
        .by(Owner::Envoy),
    ],
    &[],
);

/// Kubernetes' `ObjectMeta`, all of which `kubectl get -o yaml` may print.
pub(crate) static METADATA: Object = object(
    &[
        optional("annotations", UNUSED[0], LABELS),
        optional(
            "creationTimestamp",
            "Creation time of the object (RFC 3339): of two policies for one target the older one \
             wins.",
            ANY_TEXT,
        )
        .or("older than any policy with a time"),
        optional("deletionGracePeriodSeconds", UNUSED[1], Shape::Any),
        optional("deletionTimestamp", UNUSED[2], Shape::Any),
        optional("finalizers", UNUSED[3], Shape::Any),
        optional("generateName", UNUSED[4], Shape::Any),
        optional("generation", UNUSED[5], Shape::Any),
        optional("labels", "Labels of the object.", LABELS),
        optional("managedFields", UNUSED[6], Shape::Any),
        required(
            "name",
            "Name of the object, a DNS subdomain: metrics and reports name the policy by it.",
            HOSTNAME,
        ),
        optional(
            "namespace",
            "Namespace of the object, a DNS label: a policy's targets are in the same one.",
            formed(1, 63, Form::DnsLabel),
        )
        .or("default"),
        optional("ownerReferences", UNUSED[7], Shape::Any),
        optional("resourceVersion", UNUSED[8], Shape::Any),
        optional("selfLink", UNUSED[9], Shape::Any),
        optional("uid", UNUSED[10], Shape::Any),
    ],
    &[],
);

/// What Kubernetes keeps of any object, and nothing here reads.
const UNUSED: [&str; 11] = [
    "Notes of tools; accepted and not read.",
    "How long Kubernetes waits before it deletes the object; accepted and not read.",
    "When Kubernetes will delete the object; accepted and not read.",
    "What Kubernetes waits for before it deletes the object; accepted and not read.",
    "Prefix of a name that Kubernetes generates; accepted and not read.",
    "How often Kubernetes has seen the object's spec change; accepted and not read.",
    "Which tool owns which field of the object; accepted and not read.",
    "Owners: Kubernetes deletes this object with them; accepted and not read.",
    "Version of the object in Kubernetes' storage; accepted and not read.",
    "Address of the object, as older versions of Kubernetes wrote it; accepted and not read.",
    "Unique ID of the object; accepted and not read.",
];

/// Free names with texts.
pub(crate) const LABELS: Shape = Shape::Dictionary(&ANY_TEXT);

/// The JSON Schema of a policy's document, for editors.
#[cfg(feature = "schema")]
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let head = crate::schema::Head {
        id: "policy.json",
        title: "BackendTrafficPolicy",
        description: "A BackendTrafficPolicy of Envoy Gateway v1.9 with the extensions that btp \
                      knows.",
        required: &["apiVersion", "kind"],
    };
    crate::schema::document(&POLICY, &head)
}
