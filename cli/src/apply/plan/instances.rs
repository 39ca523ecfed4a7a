//! The filter's instances: which connection managers need them, and their configuration.

use std::collections::BTreeSet;
use std::rc::Rc;

use btp_policy::node::{Node, Value};
use btp_policy::path::{FieldPath, Step};
use btp_policy::policy::{Namespaces, TargetKind};
use btp_policy::spec::Capability;
use btp_policy::{Code, PluginConfig, Policy};

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use super::perform::Changed;
use super::spots::Spots;
use crate::apply::attach::AttachedPolicies;
use crate::apply::effective::Effective;
use crate::apply::filter::{self, Already, Contents, Instance};
use crate::apply::known_routes::KnownRoutes;
use crate::apply::needs::Needs;
use crate::apply::placement::Object;
use crate::apply::selectors::{Nested, nested, selectors};
use crate::apply::standing::{self, Standing};
use crate::diagnostics::Finding;
use crate::envoy::address::Address;
use crate::envoy::files::Config;
use crate::envoy::json::node;
use crate::envoy::plugin::{Build, NAME};
use crate::envoy::tree::{find, items, text, unplaced};
use crate::plugin_config_builder::in_its_file;

/// What came of it.
#[derive(Default)]
pub(super) struct Inserted {
    /// The first listener that has an instance.
    pub(super) first: Option<Address>,
    /// Name and content of each file with a plugin configuration.
    pub(super) files: Vec<(String, Node)>,
    /// Where the instances stand.
    pub(super) standing: Vec<Standing>,
    /// The connection managers that have one.
    pub(super) managers: Vec<usize>,
    /// Those behind the router, each with its connection manager.
    pub(super) upstream: Vec<(usize, Instance)>,
}

impl Inserted {
    /// What the file holds that a filter in a configuration names.
    pub(super) fn file_of(&self, filter: &Node) -> Option<&Node> {
        let source = ["config_discovery", "config_source", "path_config_source"];
        let path = text(find(filter, &source)?, "path")?;
        let (_, content) = self.files.iter().find(|(name, _)| {
            let folder = path.strip_suffix(name.as_str());
            folder.is_some_and(|it| it.ends_with('/'))
        })?;
        items(content, "resources").first()
    }
}

/// Puts the filter into every connection manager that needs it.
pub(super) fn insert(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
) -> Inserted {
    let mut inserted = Inserted::default();
    for (index, manager) in scene.model.managers.iter().enumerate() {
        let in_force = effective.iter().filter(|it| it.is_in(index));
        let needs = Needs::union(in_force.map(|it| Needs::of(&it.spec)));
        if needs.is_nothing() {
            continue;
        }
        let Some(hcm) = draft.at(&manager.address) else {
            continue;
        };
        let mut already = Already::in_front(hcm);
        if !needs.behind.is_empty() {
            already = already.or_else(|| Already::behind(hcm));
        }
        if let Some(already) = already {
            let reason = already.to_string();
            errors.refuse(
                draft.config(),
                &manager.address,
                Code::FilterIsThere,
                reason,
            );
            continue;
        }
        let mut used = policies_of(&scene.attached[index]);
        let sends = |it: &&Effective| it.sends.iter().any(|(it, _)| *it == index);
        used.extend(effective.iter().filter(sends).map(|it| it.policy));
        used.sort_unstable();
        used.dedup();
        let mut contents = contents(scene, index, &used, &needs);
        contents.attachment = attachment(scene, draft.config(), index);
        let spots = Spots::find(scene, draft.config(), manager, hcm);
        spots.refuse_unknown(&needs.capabilities, errors);
        let spot = |group| spots.of(group);
        let mut instances = filter::instances(&needs.capabilities, spot, &needs.behind, &contents);
        if scene.options.filter.build == Build::Module {
            refuse_unsayable(scene, &used, errors);
            filter::make_room(&mut instances, |it| reads(scene, it, &used));
        } else {
            filter::make_room(&mut instances, |_| Vec::new());
        }
        for instance in &instances {
            check_plugin(scene, instance, &used, errors);
        }
        if scene.options.ecds.is_some() {
            for instance in &mut instances {
                instance.file = file_name(scene, index, instance);
                let file = filter::file(instance, &scene.options.filter);
                inserted.files.push((instance.file.clone(), file));
            }
        }
        if let Some(hcm) = draft.change_in(&manager.listener, &manager.address) {
            if let Err(wrong) = filter::insert(hcm, &instances, scene.options) {
                errors.wrong_kind(draft.config(), &manager.address, &wrong);
                continue;
            }
            let owner = format!("listener {}", scene.places[index]);
            inserted
                .standing
                .extend(standing::all(hcm, &owner, &instances));
            let way = &manager.address.path[manager.listener.path.len()..];
            let entries = standing::record(hcm, way, &instances);
            draft.note(&manager.listener, entries);
        }
        let list = manager.address.key("http_filters");
        for instance in instances.iter().filter(|it| it.place.is_some()) {
            // It holds all policies, and is noted for each of them.
            let filter = Rc::new(filter::filter(instance, scene.options));
            for it in effective.iter_mut().filter(|it| it.is_in(index)) {
                let object = Changed::manager(scene, index).object;
                note(scene, it, instance, &filter, &list, object);
            }
        }
        let upstream = instances.into_iter().filter(|it| it.place.is_none());
        inserted.upstream.extend(upstream.map(|it| (index, it)));
        inserted.first.get_or_insert(manager.listener.clone());
        inserted.managers.push(index);
    }
    inserted
}

/// The nested values of dynamic metadata that an instance reads.
fn reads(scene: Scene<'_>, instance: &Instance, used: &[usize]) -> Vec<Nested> {
    let specs = used.iter().map(|it| &scene.policies[*it].spec);
    let has = |it| instance.capabilities.contains(&it);
    nested(specs, has, instance.place.is_none())
}

/// Refuses values of dynamic metadata that cannot be put where a module reads them.
fn refuse_unsayable(scene: Scene<'_>, used: &[usize], errors: &mut Errors<'_>) {
    for policy in used {
        for it in selectors(&scene.policies[*policy].spec) {
            for value in Nested::of(it.selector).filter(|it| it.is_needed) {
                let Some(part) = value.unsayable() else {
                    continue;
                };
                let reason = format!(
                    "reads nested dynamic metadata under {part:?}, which a dynamic module cannot \
                     read: btp apply can copy it only if namespace and first key have no :, ) or \
                     line end; use the .wasm, or have another filter write the value one key deep"
                );
                errors.refuse_field(
                    *policy,
                    FieldPath::written(&format!("spec.{}", it.path)),
                    Code::UnsayableMetadata,
                    reason,
                );
            }
        }
    }
}

/// Notes an instance in a list of filters for a spec, if it enforces any of it.
pub(super) fn note(
    scene: Scene<'_>,
    it: &mut Effective,
    instance: &Instance,
    filter: &Rc<Node>,
    list: &Address,
    object: Object,
) {
    let fields = it.enforced_by(instance, scene.policies);
    if !fields.is_empty() {
        it.journal
            .instance(fields, list.clone(), Rc::clone(filter), object);
    }
}

/// The policies that an instance must know to tell which of them applies.
fn policies_of(attached: &AttachedPolicies) -> Vec<usize> {
    let attachments = &attached.attachments;
    let above = [attachments.fallback(), attachments.parent()];
    let used = attached.routes.iter().copied().chain(above).flatten();
    used.collect::<BTreeSet<usize>>().into_iter().collect()
}

/// What the instances of a connection manager are given of these policies.
fn contents<'a>(scene: Scene<'a>, index: usize, used: &[usize], needs: &Needs) -> Contents<'a> {
    let documents = scene.documents.field("policies").map(|it| &it.value);
    let documents = match documents {
        Some(Value::List(documents)) => documents.as_slice(),
        _ => &[],
    };
    let has_budget = needs.capabilities.contains(&Capability::Retry);
    let policies = used.iter().filter_map(|policy| documents.get(*policy));
    let policies = policies.map(|it| filter::without_native(unplaced(it), has_budget));
    let speaks_of_gateways = used.iter().any(|policy| {
        let mut kinds = scene.policies[*policy].target_kinds();
        kinds.any(|kind| matches!(kind, TargetKind::Gateway | TargetKind::ListenerSet))
    });
    let gateway = &scene.attached[index].gateway;
    let is_named = speaks_of_gateways || gateway.name.namespace != "default";
    let picks = |policy: &usize| picks_namespaces(&scene.policies[*policy]);
    let namespaces = || scene.documents.field("namespaces").map(unplaced);
    Contents {
        policies: policies.collect(),
        namespaces: used.iter().any(picks).then(namespaces).flatten(),
        config_maps: scene.documents.field("configMaps").map(unplaced),
        gateway: is_named.then_some(gateway),
        root_id: root_id(scene, index),
        attachment: None,
        gathers: needs.gathers.is_some(),
        access_log: scene.options.access_log,
    }
}

/// Whether a policy looks into namespaces by their labels.
fn picks_namespaces(policy: &Policy) -> bool {
    let mut selectors = policy.selectors.iter();
    selectors.any(|it| matches!(it.namespaces, Namespaces::Selector(_)))
}

/// What is known beforehand of the routes of a connection manager.
fn attachment(scene: Scene<'_>, config: &Config, index: usize) -> Option<Node> {
    let manager = &scene.model.managers[index];
    let AttachedPolicies {
        attachments,
        routes,
        ..
    } = &scene.attached[index];
    match KnownRoutes::of(config, scene.model, manager, attachments, routes).ok()? {
        KnownRoutes::Only(name) => Some(node!({ "onlyRoute": (name) })),
        KnownRoutes::All(policy) => {
            let name = scene.policies[policy].name.to_string();
            Some(node!({ "allRoutes": (name) }))
        }
    }
}

/// What the filter would refuse is refused here.
fn check_plugin(scene: Scene<'_>, instance: &Instance, used: &[usize], errors: &mut Errors<'_>) {
    let Err(problems) = PluginConfig::from_node(&instance.config) else {
        return;
    };
    for mut problem in problems {
        // The policies of an instance are some of all policies.
        if let [Step::Field(list), Step::Item(place), rest @ ..] = problem.path.steps()
            && **list == *"policies"
            && let Some(policy) = used.get(*place)
        {
            let begin = [Step::Field(list.clone()), Step::Item(*policy)];
            problem.path = begin.into_iter().chain(rest.iter().cloned()).collect();
        }
        let (problem, location) = in_its_file(problem, scene.input);
        errors.add_once(Finding::error(problem, location));
    }
}

/// The root id of the instances in a connection manager. A worker that is
/// short of memory tells by it whose configuration it has.
fn root_id(scene: Scene<'_>, index: usize) -> String {
    match scene.model.managers.len() {
        1 => NAME.to_owned(),
        _ => format!("{NAME}/{}", scene.places[index]),
    }
}

/// The name of the file for the plugin configuration of an instance: of its
/// connection manager, too, if there are several.
///
/// The first of two instances has another file than one that does all by
/// itself, as connections that the listener had before go on with the file
/// that they began with, and would lose what has gone to the second.
fn file_name(scene: Scene<'_>, index: usize, instance: &Instance) -> String {
    let mut name = instance.name.clone();
    if name == NAME && instance.config.field("enforce").is_some() {
        name.push_str("_early");
    }
    // Envoy would refuse the one build in a file that it discovers the other in.
    if scene.options.filter.build == Build::Module {
        name.push_str("_module");
    }
    if scene.model.managers.len() > 1 {
        name = format!("{name}-{}", scene.places[index]);
    }
    let is_usual = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let usual = name.chars().map(|it| if is_usual(it) { it } else { '_' });
    usual.chain(".yaml".chars()).collect()
}
