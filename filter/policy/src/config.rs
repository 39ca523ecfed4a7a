//! The plugin configuration: the JSON that Envoy hands to the filter.

mod attachment;
mod config_maps;
mod enforce;
mod footprint;
pub(crate) mod limits;
mod names;
mod place;
mod schema;
mod stop_iteration;
mod unenforced;

use std::collections::BTreeSet;

pub use enforce::{Enforce, NativeFields};
pub use footprint::Footprint;
pub use limits::Limits;
pub use schema::CONFIG;
#[cfg(feature = "schema")]
pub use schema::json_schema;
pub use stop_iteration::HeldHeaders;

use crate::attach::{Attachments, Environment};
use crate::code::Code;
use crate::json;
use crate::merge;
use crate::node::{Mark, Node};
use crate::path::Path;
use crate::policy::Policy;
use crate::position::Position;
use crate::problem::{Problem, Problems};
use crate::protobuf;
use crate::read::{Cursor, Object};
use crate::regex::Regexes;
use crate::spec::Spec;

use config_maps::ConfigMaps;

/// A plugin configuration in which nothing is wrong.
#[derive(Debug)]
pub struct PluginConfig {
    /// The policies, in document order. Their specs are the effective ones:
    /// merged, and with the bodies that they take from ConfigMaps.
    pub policies: Vec<Policy>,
    /// Which of them governs which route.
    pub attachments: Attachments,
    /// The administrator's switch: nothing is enforced.
    pub disabled: bool,
    /// Where this instance stands.
    pub position: Position,
    /// The capabilities this instance enforces.
    pub enforce: Enforce,
    /// What has become of the fields that Envoy enforces itself.
    pub native_fields: NativeFields,
    /// Access logs are told what policies decide.
    pub access_log: bool,
    /// Bounds on what the filter remembers.
    pub limits: Limits,
    /// What it takes in a worker's memory, at most.
    pub footprint: Footprint,
    /// What is accepted, and yet worth a line in the log.
    pub warnings: Vec<Problem>,
}

impl PluginConfig {
    /// Reads the plugin configuration of a WebAssembly plugin: JSON text, or what Envoy
    /// makes of a `google.protobuf.Struct`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at least one problem.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<Problem>> {
        Self::parse_with(text, HeldHeaders::AsConfigured)
    }

    /// Reads a plugin configuration for a host of this kind.
    ///
    /// # Errors
    /// As [`PluginConfig::parse`].
    pub fn parse_with(text: &[u8], held: HeldHeaders) -> Result<Self, Vec<Problem>> {
        footprint::check_text(text).map_err(|problem| vec![problem])?;
        let node = json::parse(text)
            .or_else(|problem| protobuf::parse_struct(text).ok_or(problem))
            .map_err(|problem| vec![problem])?;
        Self::from_node_with(&node, held)
    }

    /// Reads the configuration of a WebAssembly plugin that has been parsed already.
    ///
    /// # Errors
    /// As [`PluginConfig::parse`].
    pub fn from_node(node: &Node) -> Result<Self, Vec<Problem>> {
        Self::from_node_with(node, HeldHeaders::AsConfigured)
    }

    /// Reads a plugin configuration that has been parsed already, for a host of this
    /// kind.
    ///
    /// # Errors
    /// As [`PluginConfig::parse`].
    pub fn from_node_with(node: &Node, held: HeldHeaders) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let config = Self::read(Cursor::root(node), held, &mut problems);
        match (config, problems.into_vec()) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(problems),
        }
    }

    fn read(at: Cursor<'_>, held: HeldHeaders, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::CONFIG, problems)?;
        let limits = Limits::read(&object, problems);
        let regexes = Regexes::up_to(limits.unwrap_or_default().regex_bytes);
        let policies = object.required("policies", problems).and_then(|at| {
            at.list(0..=usize::MAX, problems, |at, problems| {
                // A policy that could not be read must not shift the others.
                Some(Policy::read(at, &regexes, problems))
            })
        });
        let disabled = object.or_default("disabled", problems, Cursor::boolean);
        let position = object.or_default("position", problems, Position::read);
        let enforce = Enforce::read(&object, position.unwrap_or_default(), problems);
        let native = NativeFields::read(&object, problems);
        let environment = place::read(&object, problems);
        let config_maps = ConfigMaps::read(&object, problems);
        let may_hold_headers = stop_iteration::read(&object, problems);
        let access_log = object.or_default("accessLog", problems, Cursor::boolean);

        let policies: Option<Vec<Policy>> = policies?.into_iter().collect();
        let (mut policies, environment) = (policies?, environment?);
        let mut warnings = Vec::new();
        unenforced::check_native_fields(&object, native?, problems, &mut warnings);
        let mut attachments = Attachments::resolve(&policies, &environment);
        attachment::read(&object, &policies, &environment, &mut attachments, problems);
        names::refuse_twice(&policies, problems);
        refuse_two_untargeted(&policies, &environment, problems);
        let (limits, config_maps) = (limits?, config_maps?);
        let parent = attachments.parent();
        let mut footprint =
            Footprint::of(&object, &policies, parent, &config_maps, regexes.bytes());
        let refuse = |(code, reason): (Code, String), problems: &mut Problems| {
            let path = Path::Field(&Path::Root, "policies");
            problems.note(&path, at.node.mark, code, reason);
        };
        if let Err(reason) = footprint.check(limits.configuration_bytes) {
            refuse(reason, problems);
            return None;
        }
        merge_policies(&mut policies, &attachments, &object, &regexes, problems);
        config_maps.fill_in(&mut policies, problems);
        let tables = footprint.add_tables(&policies);
        if let Err(reason) = tables.and_then(|()| footprint.check(limits.configuration_bytes)) {
            refuse(reason, problems);
        }
        unenforced::refuse_capabilities(&policies, enforce?, problems);
        note_faults_elsewhere(&policies, position?, enforce?, &mut warnings);
        note_old_targets(&object, &mut warnings);
        let may_hold_headers = may_hold_headers? || held == HeldHeaders::Always;
        stop_iteration::check(&policies, enforce?, may_hold_headers, problems);
        Some(Self {
            policies,
            attachments,
            disabled: disabled?,
            position: position?,
            enforce: enforce?,
            native_fields: native?,
            access_log: access_log?,
            limits,
            footprint,
            warnings,
        })
    }
}

/// Faults behind the router need a second instance there: a policy must not
/// lie idle without a word.
fn note_faults_elsewhere(
    policies: &[Policy],
    position: Position,
    enforce: Enforce,
    warnings: &mut Vec<Problem>,
) {
    let root = Path::Root;
    let list = Path::Field(&root, "policies");
    for (index, policy) in policies.iter().enumerate() {
        let fault = policy.spec.fault_injection.as_ref();
        let is_elsewhere = fault.is_some_and(|it| it.position == Position::Upstream);
        if is_elsewhere && position == Position::Downstream && enforce.fault_injection {
            let item = Path::Item(&list, index);
            let spec = Path::Field(&item, "spec");
            let fault = Path::Field(&spec, "faultInjection");
            let path = Path::Field(&fault, "position");
            let reason = "is Upstream: an instance with position: Upstream among the upstream \
                filters injects these faults, not this one";
            warnings.push(Problem::new(path, Code::FaultsElsewhere, reason));
        }
    }
}

/// The CRD still has the one target that is no list.
fn note_old_targets(config: &Object<'_>, warnings: &mut Vec<Problem>) {
    let Some(list) = config.get("policies") else {
        return;
    };
    for (index, policy) in list.items().iter().enumerate() {
        let spec = policy.field("spec");
        if let Some(target) = spec.and_then(|spec| spec.field("targetRef")) {
            let item = Path::Item(&list.path, index);
            let path = Path::Field(&item, "spec");
            let path = Path::Field(&path, "targetRef");
            let reason = "is deprecated: write targetRefs, a list";
            warnings.push(Problem::new(path, Code::OldSpelling, reason).at(target.mark));
        }
    }
}

/// A policy without targets governs everything; two cannot.
fn refuse_two_untargeted(policies: &[Policy], environment: &Environment, problems: &mut Problems) {
    let in_force = |policy: &Policy| {
        let namespace = environment.namespaces.get(&policy.name.namespace);
        policy.is_untargeted() && !namespace.is_some_and(|namespace| namespace.disabled)
    };
    let untargeted = policies
        .iter()
        .enumerate()
        .filter(|(_, policy)| in_force(policy));
    let mut first: Option<(usize, &Policy)> = None;
    for (index, policy) in untargeted {
        let Some((place, other)) = first else {
            first = Some((index, policy));
            continue;
        };
        let root = Path::Root;
        let list = Path::Field(&root, "policies");
        let reason = format!(
            "applies to everything, and so does {} (policies[{place}]): keep one, or give one of \
             them targets",
            other.name
        );
        problems.note(
            &Path::Item(&list, index),
            Mark::UNKNOWN,
            Code::TwoForEverything,
            reason,
        );
    }
}

/// Gives every policy with a `mergeType` the spec that results.
fn merge_policies(
    policies: &mut [Policy],
    attachments: &Attachments,
    config: &Object<'_>,
    regexes: &Regexes,
    problems: &mut Problems,
) {
    let Some(list) = config.get("policies") else {
        return;
    };
    let Some((index, parent)) = attachments
        .parent()
        .and_then(|index| Some((index, policies.get(index)?.clone())))
    else {
        return;
    };
    let Some(above) = spec_node(list.node, index) else {
        return;
    };
    for (index, policy) in policies.iter_mut().enumerate() {
        let (Some(how), Some(below)) = (policy.merge, spec_node(list.node, index)) else {
            continue;
        };
        let item = Path::Item(&list.path, index);
        let node = merge::merge(above, below, how);
        let at = Cursor {
            node: &node,
            path: Path::Field(&item, "spec"),
        };
        // Each side has been read on its own, so what is wrong now is wrong
        // with the two together.
        let read = |problems: &mut Problems| Spec::read(at, &policy.name, regexes, problems);
        let (merged, found) = problems.capture(read);
        let known = if found.is_empty() {
            BTreeSet::new()
        } else {
            problems.paths()
        };
        for mut problem in found {
            if !known.contains(&problem.path) {
                problem.reason =
                    format!("{} (after the merge with {})", problem.reason, parent.name);
                problems.push(problem);
            }
        }
        if let Some(mut merged) = merged {
            merge::restore_origins(&mut merged, &parent.spec, &policy.spec, how);
            policy.spec = merged;
        }
    }
}

/// The `spec` of the policy at `index`.
fn spec_node(policies: &Node, index: usize) -> Option<&Node> {
    match &policies.value {
        crate::node::Value::List(items) => items.get(index)?.field("spec"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
