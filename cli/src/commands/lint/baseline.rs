//! Policies of routes that replace a Gateway's policy. Envoy Gateway does the same, and it
//! is easily overlooked: a timeout for one route switches off the Gateway's limits on that
//! route.

use btp_policy::Code;
use btp_policy::Policy;
use btp_policy::attach::{Attachments, Status};
use btp_policy::node::{Node, Value};
use btp_policy::policy::TargetKind;
use btp_policy::problem::Problem;
use btp_policy::spec::{Owner, owner_of};

use crate::diagnostics::{Finding, Location};
use crate::documents::Input;

/// Warns of each policy of a route that takes nothing over from the policy above
/// routes, and leaves out fields that this one has.
pub(super) fn check(
    policies: &[Policy],
    attachments: &Attachments,
    input: &Input,
    findings: &mut Vec<Finding>,
) {
    let Some(above) = attachments.parent() else {
        return;
    };
    let baseline = input.policies[above].node.field("spec");
    let statuses = attachments.statuses().iter().map(Status::is_accepted);
    for ((policy, object), is_accepted) in policies.iter().zip(&input.policies).zip(statuses) {
        let Some(spec) = object.node.field("spec") else {
            continue;
        };
        let is_of_routes = policy.target_kinds().any(TargetKind::is_http_route);
        if !is_accepted || policy.merge.is_some() || !is_of_routes {
            continue;
        }
        let lost: Vec<&str> = settings(baseline)
            .filter(|name| spec.field(name).is_none())
            .collect();
        if lost.is_empty() {
            continue;
        }
        let reason = format!(
            "has no mergeType, so it replaces {} on its routes, and does not set {}: write \
             mergeType: StrategicMerge to inherit that",
            policies[above].name,
            lost.join(", ")
        );
        let problem = Problem::new("spec", Code::HidesGatewayPolicy, reason).at(spec.mark);
        findings.push(Finding::warning(problem, Location::File(object.source)));
    }
}

/// The fields of a spec but those that say where it applies.
fn settings(spec: Option<&Node>) -> impl Iterator<Item = &str> {
    let entries = match spec.map(|it| &it.value) {
        Some(Value::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let there = entries.iter().filter(|it| it.node.value != Value::Null);
    let names = there.map(|it| it.key.as_str());
    names.filter(|name| owner_of(name) != Some(Owner::Attachment))
}
