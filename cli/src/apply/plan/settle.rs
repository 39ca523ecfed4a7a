//! Reads from the changed configuration what is in force in the end, and reports fields
//! that are not.

use std::collections::{BTreeMap, BTreeSet};

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use crate::apply::effective::Effective;
use crate::apply::placement::{Effect, Object, Placement};
use crate::envoy::model::Sender;
use btp_policy::Code;
use btp_policy::path::FieldPath;

/// Finds out what of all that was done holds, refuses what does not, and warns
/// of fields that one cluster of a route has and another has not.
pub(super) fn settle(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
) {
    if !errors.is_empty() {
        return;
    }
    for it in effective {
        match draft.settle(&it.journal) {
            Ok(placements) => it.placements = placements,
            Err(undone) => {
                let what = undone.object.title(scene.model);
                let reason = format!("is not in force on {what}: another change has undone it");
                errors.refuse_field(
                    it.policy,
                    FieldPath::written(&undone.field),
                    Code::Undone,
                    reason,
                );
            }
        }
        for partial in partial(&it.placements) {
            let Partial {
                field,
                sender,
                has,
                lacks,
                reason,
            } = partial;
            let sender = scene.model.title_of(sender);
            let reason = format!(
                "is in force on cluster {has}, but not on cluster {lacks}, to which {sender} also \
                 sends: {reason}"
            );
            errors.lint(
                it.policy,
                FieldPath::written(&format!("spec.{field}")),
                Code::PartlyInForce,
                reason,
            );
        }
    }
}

/// A field that one cluster of a route or proxy has and another has not.
#[derive(Debug, PartialEq)]
struct Partial<'a> {
    field: &'a str,
    sender: Sender,
    has: &'a str,
    lacks: &'a str,
    reason: &'static str,
}

/// The fields that are in force on some clusters of a route or proxy; each
/// once.
fn partial(placements: &[Placement]) -> Vec<Partial<'_>> {
    let mut clusters: BTreeMap<(&str, Sender), Clusters<'_>> = BTreeMap::new();
    for placement in placements {
        let Object::Cluster { name, senders } = &placement.object else {
            continue;
        };
        let keys = placement.fields.iter();
        let of = |field| senders.iter().map(move |sender| (field, *sender));
        for key in keys.flat_map(|field: &String| of(field.as_str())) {
            let clusters = clusters.entry(key).or_default();
            match placement.effect {
                Effect::Nothing(reason) => drop(clusters.idle.insert(name, reason)),
                Effect::Part(_) | Effect::Instance { .. } => drop(clusters.in_force.insert(name)),
                Effect::Beside { .. } => {}
            }
        }
    }
    let mut said = BTreeSet::new();
    let found = clusters.into_iter().filter_map(|((field, sender), it)| {
        let has = it.in_force.first().copied()?;
        let mut idle = it.idle.iter();
        let (lacks, reason) = idle.find(|(name, _)| !it.in_force.contains(*name))?;
        Some(Partial {
            field,
            sender,
            has,
            lacks,
            reason,
        })
    });
    found.filter(|it| said.insert(it.field)).collect()
}

/// The clusters of a route or proxy, by what a field comes to there.
#[derive(Default)]
struct Clusters<'a> {
    in_force: BTreeSet<&'a str>,
    idle: BTreeMap<&'a str, &'static str>,
}
