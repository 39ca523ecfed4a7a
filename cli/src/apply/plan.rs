//! Puts policies into a configuration: first it reads and checks everything, then it
//! changes the parts in order.

mod check;
mod custom_response;
mod draft;
mod errors;
mod global_limits;
mod instances;
mod native;
mod own_filters;
mod perform;
mod route_metadata;
mod routes;
mod settle;
mod spots;

use btp_policy::Code;
use btp_policy::attach::Status;
use btp_policy::node::Node;
use btp_policy::problem::Problem;
use btp_policy::{PluginConfig, Policy};

use super::attach::{Attached, AttachedPolicies, Surroundings, attach, attach_l4};
use super::effective::{self, Effective};
use super::hcm;
use super::options::Options;
use super::services;
use super::standing::{Kept, Standing, moved};
use super::status;
use super::targets::missing;
use super::unwise;
use crate::diagnostics::Finding;
use crate::documents::Input;
use crate::envoy::address::Address;
use crate::envoy::capabilities::lacks;
use crate::envoy::files::Config;
use crate::envoy::model::Model;
use crate::envoy::module::flaws;
use crate::envoy::plugin::Build;
use crate::envoy::runtime;
use crate::plugin_config_builder::{self as builder, NativeFields, compose};
use draft::Draft;
use errors::Errors;
use global_limits::RateLimits;
use instances::Inserted;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) model: Model,
    pub(crate) policies: Vec<Policy>,
    /// What became of each policy.
    pub(crate) statuses: Vec<Status>,
    /// What is in force, and where it went.
    pub(crate) effective: Vec<Effective>,
    /// Name and content of each file with a plugin configuration.
    pub(crate) plugin_files: Vec<(String, Node)>,
    /// What the rate limit service is to read, if there is one.
    pub(crate) rate_limits: Option<String>,
    /// Policies that are switched off, and by whom.
    pub(crate) off: Vec<(String, String)>,
    /// Where the instances of the filter stand.
    pub(crate) standing: Vec<Standing>,
    /// What else is worth a line.
    pub(crate) notes: Vec<String>,
}

/// What is known before anything changes.
#[derive(Clone, Copy)]
struct Scene<'a> {
    model: &'a Model,
    policies: &'a [Policy],
    /// The plugin configuration of all policies.
    documents: &'a Node,
    /// What governs each connection manager of the model.
    attached: &'a [AttachedPolicies],
    input: &'a Input,
    options: &'a Options,
    /// What each connection manager is called, unlike all others.
    places: &'a [String],
    /// Where a person has moved what an earlier run had put in.
    moved: &'a [Kept],
}

/// Changes a configuration so that every field of every policy is in force.
///
/// # Errors
/// All reasons why the policies cannot be applied; the configuration is useless then.
/// Errors in the configuration's files come after those in the policies.
pub(crate) fn apply(
    config: &mut Config,
    input: &Input,
    options: &Options,
    findings: &mut Vec<Finding>,
) -> Option<Plan> {
    let mut errors = Errors::new(findings, input);
    let mut moved_instances = Vec::new();
    if config.problems.is_empty() {
        moved_instances = moved(config);
        config.restore();
    }
    for (file, problem) in std::mem::take(&mut config.problems) {
        errors.file(file, problem);
    }
    let (policies, documents) = read_policies(input, &mut errors)?;
    if !errors.is_empty() {
        return None;
    }
    let model = Model::read(config, options.filter.form());
    check::configuration(config, &model, options, &mut errors);
    let surroundings = Surroundings {
        gateway: options.gateway.as_ref(),
        namespaces: &input.namespaces,
    };
    let attached = attach(config, &model, &policies, surroundings)
        .map_err(|ambiguous| {
            errors.file(
                0,
                Problem::new("", Code::AmbiguousListener, ambiguous.to_string()),
            )
        })
        .ok()?;
    let l4 = attach_l4(config, &model, &policies, surroundings)
        .map_err(|ambiguous| {
            errors.file(
                0,
                Problem::new("", Code::AmbiguousListener, ambiguous.to_string()),
            )
        })
        .ok()?;
    let all = Attached {
        model: &model,
        http: &attached,
        l4: &l4,
        namespaces: &input.namespaces,
    };
    for it in missing(config, all, &policies) {
        errors.refuse_field(it.policy, it.path, it.reason.code(), it.reason.to_string());
    }
    let specs = input.specs();
    let mut effective = effective::all(&policies, &specs, all);
    services::add(config, all, &policies, &specs, &mut effective);
    let scene = Scene {
        model: &model,
        policies: &policies,
        documents: &documents,
        attached: &attached,
        input,
        options,
        places: &model.places(),
        moved: &moved_instances,
    };
    check::routes(scene, config, &mut errors);
    for it in unwise::find_all(config, &model, &effective) {
        errors.lint(it.policy, it.path, it.code, it.reason);
    }
    let (mut inserted, mut rate_limits) = (Inserted::default(), None);
    if errors.is_empty() {
        (inserted, rate_limits) = change(scene, config, &mut effective, &mut errors);
    }
    // With the instances that were added: a person's own may go with them.
    for it in lacks(config).into_iter().chain(flaws(config)) {
        let (location, is_grave) = (errors.location(it.address.file), it.is_grave);
        errors.weigh(it.finding(config, location), is_grave);
    }
    let mut hints = hcm::hints(config, &model, &policies, &attached);
    hints.extend(hcm::hints_of_global_limits(config, &model, &effective));
    hints.extend(hcm::hints_of_places(config, &model, |filter| {
        inserted.file_of(filter)
    }));
    for (file, hint) in hints {
        errors.warn(file, hint);
    }
    let off = input.off.iter();
    errors.is_empty().then_some(Plan {
        off: off.map(|it| (it.name.clone(), it.by.clone())).collect(),
        statuses: status::all(all, &policies),
        effective,
        notes: notes(config, options, rate_limits.as_ref(), &inserted),
        rate_limits: rate_limits.map(|it| it.file),
        plugin_files: inserted.files,
        standing: inserted.standing,
        model,
        policies,
    })
}

/// What a person should know of the rate limit service and of the module's metrics.
fn notes(
    config: &Config,
    options: &Options,
    rate_limits: Option<&RateLimits>,
    inserted: &Inserted,
) -> Vec<String> {
    let is_module = options.filter.build == Build::Module && inserted.first.is_some();
    let bootstrap = config.files.first().filter(|_| is_module);
    let said = bootstrap.and_then(|it| runtime::switch_layer(&it.node));
    let off = said.filter(|it| !it.is_on).into_iter();
    let of_module = off.map(|it| {
        format!(
            "the runtime layer {} disables {}, so the module's metrics are named \
             envoy_dynamicmodulescustom_btp_… in Prometheus",
            it.layer,
            runtime::SWITCH
        )
    });
    let of_service = rate_limits.map_or(&[][..], |it| &it.notes);
    of_service.iter().cloned().chain(of_module).collect()
}

/// Makes all changes, each in the order that the later ones rely on; gives
/// what came of the filter's instances, and what the rate limit service is to read.
fn change(
    scene: Scene<'_>,
    config: &mut Config,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
) -> (Inserted, Option<RateLimits>) {
    let mut draft = Draft::new(config);
    native::apply(scene, &mut draft, effective, errors);
    custom_response::apply(scene, &mut draft, effective, errors);
    routes::widen_buffers(scene, &mut draft, effective, errors);
    check::retry_triggers(scene, draft.config(), effective, errors);
    routes::give_names(scene, &mut draft);
    let rate_limits = global_limits::apply(scene, &mut draft, effective, errors);
    let mut inserted = instances::insert(scene, &mut draft, effective, errors);
    own_filters::insert(scene, &mut draft, effective, errors, &mut inserted);
    let build = scene.options.filter.build;
    if build == Build::Module {
        route_metadata::complete(scene, &mut draft, &inserted.managers, errors);
    }
    if let Some(listener) = &inserted.first
        && let Err(wrong) = draft.add_for_metrics(listener, build)
    {
        errors.wrong_kind(draft.config(), &Address::root(0), &wrong);
    }
    settle::settle(scene, &mut draft, effective, errors);
    for (object, wrong) in draft.record() {
        errors.wrong_kind(config, &object, &wrong);
    }
    (inserted, rate_limits)
}

/// Reads the policies, native fields included; gives them and the documents
/// that the filter would be given.
fn read_policies(input: &Input, errors: &mut Errors<'_>) -> Option<(Vec<Policy>, Node)> {
    let instance = builder::Instance {
        native_fields: Some(NativeFields::Applied),
        enforce: Some(Vec::new()),
        ..builder::Instance::default()
    };
    let node = compose(input, &instance);
    let add_all = |problems: Vec<Problem>, errors: &mut Errors<'_>| {
        for problem in problems {
            let (problem, location) = builder::in_its_file(problem, input);
            errors.add(Finding::error(problem, location));
        }
    };
    let config = PluginConfig::from_node(&node).map_err(|problems| add_all(problems, errors));
    // The specs of a configuration are merged; here each stands for itself.
    let policies = config.ok()?.policies;
    Some((policies, node))
}
