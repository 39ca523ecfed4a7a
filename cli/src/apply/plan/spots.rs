//! The places of faults and limits in a connection manager: the one that an option sets,
//! the one to which a person has moved the instance, or the usual one.

use btp_policy::Code;
use btp_policy::node::Node;
use btp_policy::path::{FieldPath, Step};
use btp_policy::problem::Problem;
use btp_policy::spec::Capability;

use super::Scene;
use super::errors::Errors;
use crate::apply::order::{Group, NoPlaceBehind, Spot, Why, behind};
use crate::apply::standing::Kept;
use crate::diagnostics::{Finding, Location};
use crate::envoy::files::Config;
use crate::envoy::model::HttpConnectionManager;

/// The place of each group.
pub(super) struct Spots {
    spots: [Spot; 2],
    /// The options that name no filter of any connection manager, and why
    /// not.
    unknown: Vec<(Group, NoPlaceBehind)>,
}

impl Spots {
    pub(super) fn find(
        scene: Scene<'_>,
        config: &Config,
        manager: &HttpConnectionManager,
        hcm: &Node,
    ) -> Self {
        let mut unknown = Vec::new();
        let spots = Group::ALL.map(|group| {
            let usual = Spot {
                place: group.usual(hcm),
                why: Why::Usual(group),
            };
            let Some(name) = group.option(scene.options) else {
                let kept = Kept::find(scene.moved, &manager.address, group, hcm);
                return kept.unwrap_or(usual);
            };
            match behind(hcm, name) {
                Ok(place) => Spot {
                    place,
                    why: Why::Option(group),
                },
                Err(reason) => {
                    let all = scene.model.managers.iter();
                    let mut all = all.filter_map(|it| config.at(&it.address));
                    if !all.any(|hcm| behind(hcm, name).is_ok()) {
                        unknown.push((group, reason));
                    }
                    usual
                }
            }
        });
        Self { spots, unknown }
    }

    pub(super) fn of(&self, group: Group) -> Spot {
        let [faults, limits] = self.spots;
        match group {
            Group::Faults => faults,
            Group::Limits => limits,
        }
    }

    /// Refuses the options that something here needs.
    pub(super) fn refuse_unknown(&self, wanted: &[Capability], errors: &mut Errors<'_>) {
        for (group, reason) in &self.unknown {
            if wanted.iter().any(|it| Group::of(*it) == *group) {
                let option = [Step::field(&format!("--{}-behind", group.name()))];
                let path: FieldPath = option.into_iter().collect();
                let problem = Problem::new(path, Code::UnknownPlace, reason.to_string());
                errors.add_once(Finding::error(problem, Location::Nowhere));
            }
        }
    }
}
