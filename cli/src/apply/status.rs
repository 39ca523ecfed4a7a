//! What became of each policy over all places of a configuration, in the words
//! that the filter has for one of them: a policy that lost is as much worth a
//! line as one that governs.

use std::collections::BTreeMap;

use btp_policy::Policy;
use btp_policy::attach::{Attachments, Condition, Environment, Reason, Status};
use btp_policy::policy::TargetKind;

use super::attach::{Attached, AttachedPolicies};

/// The status of each policy, in document order. Its targets are somewhere in
/// the configuration: that one place does not have them is not said.
pub(crate) fn all(attached: Attached<'_>, policies: &[Policy]) -> Vec<Status> {
    let mut found: Vec<Status> = policies.iter().map(empty).collect();
    let governs = |it: &AttachedPolicies, index| {
        it.attachments.fallback() == Some(index) || it.routes.contains(&Some(index))
    };
    for it in attached.http {
        let of_place = it.attachments.statuses().iter();
        for (index, status) in of_place.enumerate() {
            // With whom a policy merges is the Gateway's matter through which its
            // routes are reached.
            let is_elsewhere = policies[index].merge.is_some()
                && !governs(it, index)
                && attached.http.iter().any(|it| governs(it, index));
            if !is_elsewhere {
                add(&mut found[index], &status.conditions);
            }
        }
    }
    for it in attached.l4 {
        let environment = Environment {
            gateway: Some(it.gateway.clone()),
            namespaces: BTreeMap::new(),
        };
        let attachments = Attachments::resolve(policies, &environment);
        let of_place = attachments.statuses().iter();
        for (index, status) in of_place.enumerate() {
            if !is_above_routes(&policies[index]) {
                continue;
            }
            let completes = it.under == Some(index);
            let conditions = status.conditions.iter();
            let conditions = conditions.filter(|it| !completes || it.reason != Reason::Overridden);
            add(
                &mut found[index],
                &conditions.cloned().collect::<Vec<Condition>>(),
            );
        }
    }
    let is_found = |it: &Condition| it.reason != Reason::TargetNotFound;
    for status in &mut found {
        if status.conditions.iter().any(is_found) {
            status.conditions.retain(is_found);
        }
    }
    found
}

/// Why a policy is in force nowhere: who has its targets, or stands in its place.
pub(crate) fn why_nowhere(status: &Status) -> String {
    let lost = status.conditions.iter();
    let lost = lost.filter(|it| matches!(it.reason, Reason::Conflicted | Reason::Overridden));
    let lost: Vec<String> = lost.map(ToString::to_string).collect();
    if lost.is_empty() {
        return "others have its targets".to_owned();
    }
    lost.join("; ")
}

fn empty(policy: &Policy) -> Status {
    Status {
        policy: policy.name.clone(),
        conditions: Vec::new(),
    }
}

fn add(status: &mut Status, conditions: &[Condition]) {
    for it in conditions {
        if !status.conditions.contains(it) {
            let before = |known: &Condition| known.reason <= it.reason;
            let place = status.conditions.partition_point(before);
            status.conditions.insert(place, it.clone());
        }
    }
}

fn is_above_routes(policy: &Policy) -> bool {
    let targets = policy.targets.iter().map(|it| it.kind);
    let mut kinds = targets.chain(policy.selectors.iter().map(|it| it.kind));
    policy.is_untargeted() || kinds.any(|it| it == TargetKind::Gateway)
}
