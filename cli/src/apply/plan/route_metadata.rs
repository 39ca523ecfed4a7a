//! Makes the metadata of routes readable for a dynamic module: adds the flat form beside
//! the nested one, unless a person has written it.

use std::collections::BTreeSet;

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use crate::envoy::address::Address;
use crate::envoy::tree::{WrongKind, merge, object_mut};
use btp_policy::Code;

/// Completes the metadata of all routes of these connection managers, also of those that no
/// policy names: otherwise the filter would use their names.
pub(super) fn complete(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    managers: &[usize],
    errors: &mut Errors<'_>,
) {
    let mut done: BTreeSet<&Address> = BTreeSet::new();
    let managers = managers.iter().map(|it| &scene.model.managers[*it]);
    for entry in managers.flat_map(|it| scene.model.routes_of(it)) {
        if !done.insert(&entry.address) {
            continue;
        }
        let lacking = match entry.metadata.lacking() {
            Ok(Some(lacking)) => lacking,
            Ok(None) => continue,
            Err(name) => {
                let reason = format!(
                    "has {name:?} in envoy-gateway.resources: a dynamic module reads \
                     kind/namespace/name, so none of them can contain a /"
                );
                errors.refuse(draft.config(), &entry.address, Code::SlashInName, reason);
                continue;
            }
        };
        let Some(route) = draft.change(&entry.address) else {
            continue;
        };
        let metadata = object_mut(route, "metadata");
        let all = metadata.and_then(|metadata| {
            let all = object_mut(metadata, "filter_metadata");
            let all = all.and_then(|all| merge(all, &lacking));
            all.map_err(|it: WrongKind| it.below("metadata"))
        });
        if let Err(wrong) = all {
            errors.wrong_kind(draft.config(), &entry.address, &wrong);
        }
    }
}
