//! The status of each policy over all places of a configuration, in the filter's words for
//! one place: a policy that lost is as much worth a line as one that governs.

use btp_policy::Policy;
use btp_policy::attach::{Attachments, Condition, Reason, Status};
use btp_policy::policy::TargetKind;

use super::attach::{Attached, AttachedPolicies, environment};

/// The status of each policy, in document order. Its targets are somewhere in
/// the configuration: that one place does not have them is not said.
pub(crate) fn all(attached: Attached<'_>, policies: &[Policy]) -> Vec<Status> {
    let mut found: Vec<Status> = policies.iter().map(empty).collect();
    let governs = |it: &AttachedPolicies, index| {
        it.attachments.fallback() == Some(index) || it.routes.contains(&Some(index))
    };
    for it in attached.http {
        // What is said of a Gateway's policy is about the routes that are reached
        // through it, so that policies of other routes stay out.
        let is_elsewhere = |index: usize| {
            !is_above_routes(&policies[index])
                && !governs(it, index)
                && attached.http.iter().any(|it| governs(it, index))
        };
        let here: Vec<usize> = (0..policies.len())
            .filter(|it| !is_elsewhere(*it))
            .collect();
        if here.len() == policies.len() {
            add_all(&mut found, &here, &it.attachments);
            continue;
        }
        let those: Vec<Policy> = here.iter().map(|it| policies[*it].clone()).collect();
        let environment = environment(&it.gateway, attached.namespaces);
        add_all(
            &mut found,
            &here,
            &Attachments::resolve(&those, &environment),
        );
    }
    for it in attached.l4 {
        let attachments =
            Attachments::resolve(policies, &environment(&it.gateway, attached.namespaces));
        let of_place = attachments.statuses().iter();
        for (index, status) in of_place.enumerate() {
            if !is_above_routes(&policies[index]) && !names_l4_routes(&policies[index]) {
                continue;
            }
            let completes = it.levels.above.contains(&index);
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

/// Why a policy is in force nowhere: the policy that has its targets, or that replaces it.
pub(crate) fn why_nowhere(status: &Status, policy: &Policy) -> String {
    let lost = status.conditions.iter();
    let lost = lost.filter(|it| matches!(it.reason, Reason::Conflicted | Reason::Overridden));
    let lost: Vec<String> = lost.map(ToString::to_string).collect();
    if lost.is_empty() {
        let is_of_services = policy.target_kinds().any(|it| it == TargetKind::Service);
        return match is_of_services {
            true => "no route sends to its Services".to_owned(),
            false => "others have its targets".to_owned(),
        };
    }
    lost.join("; ")
}

/// Adds what became of these policies in one place.
fn add_all(found: &mut [Status], policies: &[usize], attachments: &Attachments) {
    for (index, status) in policies.iter().zip(attachments.statuses()) {
        add(&mut found[*index], &status.conditions);
    }
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
    policy.is_untargeted() || policy.target_kinds().any(|it| !it.is_route())
}

fn names_l4_routes(policy: &Policy) -> bool {
    policy.target_kinds().any(TargetKind::is_l4_route)
}
