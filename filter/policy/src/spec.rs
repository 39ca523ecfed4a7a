//! `spec`: what a policy wants, one file per capability.

mod fault_injection;
mod response_override;
mod text;

pub use fault_injection::{Abort, AbortStatus, Delay, FaultInjection};
pub use response_override::{OverrideResponse, OverrideRule};
pub use text::read_text;

use crate::problem::Problems;
use crate::read::At;

/// The capabilities of one policy that the filter enforces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// Delays and aborts.
    pub fault_injection: Option<FaultInjection>,
    /// Replacements for responses; the first that matches is taken.
    pub response_override: Vec<OverrideRule>,
}

/// Fields of `spec` that say where it applies; [`crate::policy`] reads them.
pub(crate) const TARGET_FIELDS: [&str; 4] =
    ["targetRef", "targetRefs", "targetSelectors", "mergeType"];

/// Fields of the API that nothing here enforces yet.
const NOT_ENFORCED: [&str; 21] = [
    "admissionControl",
    "bandwidthLimit",
    "circuitBreaker",
    "compression",
    "compressor",
    "connection",
    "dns",
    "healthCheck",
    "http2",
    "httpUpgrade",
    "loadBalancer",
    "proxyProtocol",
    "rateLimit",
    "requestBuffer",
    "retry",
    "retryConstraint",
    "routingType",
    "tcpKeepalive",
    "telemetry",
    "timeout",
    "useClientProtocol",
];

impl Spec {
    /// Reads the capabilities of a `spec`.
    pub fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut known = vec!["faultInjection", "responseOverride"];
        known.extend(TARGET_FIELDS);
        known.extend(NOT_ENFORCED);
        let object = at.object(&known, problems)?;
        for name in NOT_ENFORCED {
            if let Some(field) = object.get(name) {
                let reason = "is not enforced by this version of the filter: \
                              configure it in Envoy itself and leave it out here";
                problems.note(&field.path, field.node.mark, reason);
            }
        }
        let fault_injection = object
            .get("faultInjection")
            .and_then(|at| FaultInjection::read(at, problems));
        let response_override = object
            .get("responseOverride")
            .and_then(|at| OverrideRule::read_all(at, problems))
            .unwrap_or_default();
        Some(Self {
            fault_injection,
            response_override,
        })
    }
}
