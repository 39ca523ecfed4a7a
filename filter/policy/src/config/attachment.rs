//! `attachment`: the routes that requests take, known in advance, so that the filter need
//! not read the route of each request. That is the most expensive part of a decision.
//!
//! `btp apply` writes it if its input files contain all routes of a connection manager. The
//! filter does not check it. Its author promises that every request has a route, unless the
//! same policy governs requests without one.

use super::schema::ATTACHMENT;
use crate::attach::{Attachments, Environment};
use crate::code::Code;
use crate::policy::Policy;
use crate::problem::Problems;
use crate::read::Object;

/// Route names have no bound of their own; this is that of a Kubernetes object's name,
/// several times.
const MOST_BYTES: usize = 4096;

/// Tells the attachments what the configuration says; nothing by default. A policy that
/// is not there, or switched off, cannot govern.
pub(super) fn read(
    config: &Object<'_>,
    policies: &[Policy],
    environment: &Environment,
    attachments: &mut Attachments,
    problems: &mut Problems,
) -> Option<()> {
    let Some(at) = config.get("attachment") else {
        return Some(());
    };
    let object = at.object_of(&ATTACHMENT, problems)?;
    match ["allRoutes", "onlyRoute"].map(|key| object.get(key)) {
        [Some(at), None] => {
            let name = at.string_of(1..=MOST_BYTES, problems)?;
            let is_it = |policy: &Policy| policy.name.to_string() == name;
            let Some(index) = policies.iter().position(is_it) else {
                at.refuse(
                    problems,
                    Code::UnknownPolicy,
                    "must be the namespace/name of one of the policies",
                );
                return None;
            };
            let namespace = policies.get(index).map(|it| &it.name.namespace)?;
            let known = environment.namespaces.get(namespace);
            if known.is_some_and(|known| known.disabled) {
                at.refuse(
                    problems,
                    Code::DisabledPolicy,
                    "names a policy that the administrator has disabled",
                );
                return None;
            }
            attachments.know_policy_of_all(index);
        }
        [None, Some(at)] => {
            let name = at.string_of(1..=MOST_BYTES, problems)?;
            attachments.know_only_route(name.to_owned());
        }
        _ => {
            at.refuse(
                problems,
                Code::NotExactlyOne,
                "must have either allRoutes or onlyRoute",
            );
            return None;
        }
    }
    Some(())
}
