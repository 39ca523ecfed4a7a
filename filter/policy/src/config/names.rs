//! The names of policies must be unique. Kubernetes ensures this in a cluster. In a
//! configuration of your own, a second policy of the same name would lose every target to
//! the first and share its accounts, and messages and metrics could not tell the two apart.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::node::Mark;
use crate::path::Path;
use crate::policy::Policy;
use crate::problem::Problems;

/// Refuses a policy that has the namespace and the name of an earlier one.
pub(super) fn refuse_twice(policies: &[Policy], problems: &mut Problems) {
    let root = Path::Root;
    let list = Path::Field(&root, "policies");
    let mut first = BTreeMap::new();
    for (index, policy) in policies.iter().enumerate() {
        let earlier = *first.entry(&policy.name).or_insert(index);
        if earlier == index {
            continue;
        }
        let item = Path::Item(&list, index);
        let metadata = Path::Field(&item, "metadata");
        let reason = format!(
            "is defined twice: policies[{earlier}] is {} as well; keep one of them, or rename one",
            policy.name
        );
        problems.note(
            &Path::Field(&metadata, "name"),
            Mark::UNKNOWN,
            Code::DefinedTwice,
            reason,
        );
    }
}
