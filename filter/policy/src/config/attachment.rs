//! `attachment`: what is known beforehand of the routes that requests take, so that the
//! filter need not ask for each request. To ask is the dearest part of a decision.
//!
//! `btp apply` writes it where all routes of a connection manager stand in the files that
//! it has read. The filter takes it as it is: whoever writes it promises that no request
//! is without a route, unless the same policy governs that.

use crate::attach::Attachments;
use crate::policy::Policy;
use crate::problem::Problems;
use crate::read::{At, Object};

/// What is known of the routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum KnownRoutes {
    #[default]
    Nothing,
    /// This policy, by `namespace/name`, governs all of them.
    All(String),
    /// There is one, of this name.
    Only(String),
}

const KEYS: [&str; 2] = ["allRoutes", "onlyRoute"];

/// What the configuration says; nothing by default.
pub(super) fn read(config: &Object<'_>, problems: &mut Problems) -> Option<KnownRoutes> {
    let Some(at) = config.get("attachment") else {
        return Some(KnownRoutes::Nothing);
    };
    let object = at.object(&KEYS, problems)?;
    let text = |at: At<'_>, problems: &mut Problems| {
        let text = at.string_of(1..=MOST_BYTES, problems)?;
        Some(text.to_owned())
    };
    match KEYS.map(|key| object.get(key)) {
        [Some(at), None] => Some(KnownRoutes::All(text(at, problems)?)),
        [None, Some(at)] => Some(KnownRoutes::Only(text(at, problems)?)),
        _ => {
            at.refuse(problems, "must have either allRoutes or onlyRoute");
            None
        }
    }
}

/// Route names have no bound of their own; this is that of a Kubernetes object's name,
/// several times.
const MOST_BYTES: usize = 4096;

/// Tells the attachments. A policy that is not there cannot govern.
pub(super) fn note(
    known: KnownRoutes,
    policies: &[Policy],
    attachments: &mut Attachments,
    config: &Object<'_>,
    problems: &mut Problems,
) {
    match known {
        KnownRoutes::Nothing => {}
        KnownRoutes::Only(name) => attachments.know_only_route(name),
        KnownRoutes::All(name) => {
            let mut names = policies.iter().map(|policy| policy.name.to_string());
            match names.position(|other| other == name) {
                Some(index) => attachments.know_policy_of_all(index),
                None => refuse(config, problems),
            }
        }
    }
}

fn refuse(config: &Object<'_>, problems: &mut Problems) {
    let Some(attachment) = config.get("attachment") else {
        return;
    };
    if let Some(object) = attachment.object(&KEYS, problems)
        && let Some(at) = object.get("allRoutes")
    {
        at.refuse(
            problems,
            "must be the namespace/name of one of the policies",
        );
    }
}
