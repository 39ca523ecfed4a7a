//! Puts policies into a configuration.

mod clusters;
mod custom_response;
mod instances;
mod native;

use std::collections::BTreeMap;

use btp_policy::node::Node;
use btp_policy::path::closest;
use btp_policy::problem::Problem;
use btp_policy::{PluginConfig, Policy};

use super::capabilities::lacks;
use super::effective::{self, Effective};
use super::files::{Config, mark_of, path_of};
use super::govern::{Governed, govern, missing, sites_of};
use super::hcm;
use super::model::{Manager, Model, RouteSource};
use super::options::Options;
use super::overlap::overlaps;
use super::undo;
use crate::compose::{self, NativeFields, compose};
use crate::envoy::address::Address;
use crate::envoy::tree::find;
use crate::input::Input;
use crate::report::{Finding, Place};

/// What came of it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) model: Model,
    pub(crate) policies: Vec<Policy>,
    /// What is in force, and where it went.
    pub(crate) effective: Vec<Effective>,
    /// Name and content of each file with a plugin configuration.
    pub(crate) plugin_files: Vec<(String, Node)>,
}

/// Changes a configuration so that every field of every policy is in force.
///
/// # Errors
/// Everything that stands in the way; the configuration is useless then.
/// Files of the configuration come after those of the policies.
pub(crate) fn apply(
    config: &mut Config,
    input: &Input,
    options: &Options,
    findings: &mut Vec<Finding>,
) -> Option<Plan> {
    let base = input.sources.len();
    let mut errors = Errors {
        findings,
        base,
        count: 0,
    };
    for (file, problem) in std::mem::take(&mut config.problems) {
        errors.file(file, problem);
    }
    let (policies, documents) = read_policies(input, &mut errors)?;
    if errors.count > 0 {
        return None;
    }
    let model = Model::read(config);
    if model.managers.is_empty() {
        let reason = "holds no HTTP connection manager that policies could govern";
        errors.file(0, Problem::new("", reason));
    }
    for it in overlaps(config, &model) {
        errors.file(it.address.file, it.problem(config));
    }
    if listeners_come_from_elsewhere(config) {
        let reason = "are in part not seen: those that a management server sends are not \
                      governed by these policies";
        let problem = Problem::new("dynamic_resources.lds_config: the listeners", reason);
        let place = Place::File(base);
        errors.findings.push(Finding::warning(problem, place));
    }
    let root = config.files.first().map(|file| &file.node);
    let is_known = |name| root.is_some_and(|it| find(it, &["node", name]).is_some());
    if options.ecds.is_some() && !(is_known("id") && is_known("cluster")) {
        let reason = "must have id and cluster: Envoy watches files (--ecds) with these alone";
        errors.file(0, Problem::new("node", reason));
    }
    let governed = govern(config, &model, &policies, options.gateway.as_ref())
        .map_err(|reason| errors.file(0, Problem::new("", reason)))
        .ok()?;
    for it in missing(&model, &policies, &governed) {
        let object = &input.policies[it.policy];
        let problem = Problem {
            mark: closest(&object.node, &it.path).mark,
            ..Problem::new(it.path, it.reason)
        };
        errors.add(Finding::error(problem, Place::File(object.source)));
    }
    let specs: Vec<Option<&Node>> = input
        .policies
        .iter()
        .map(|it| it.node.field("spec"))
        .collect();
    let effective = effective::all(&policies, &specs, &governed);
    let mut applier = Applier {
        config,
        model: &model,
        policies: &policies,
        documents: &documents,
        governed: &governed,
        input,
        options,
        errors,
        effective,
        plugin_files: Vec::new(),
        before: BTreeMap::new(),
    };
    applier.apply();
    let Applier {
        config,
        mut errors,
        effective,
        plugin_files,
        ..
    } = applier;
    // With the instances that were added: a person's own may go with them.
    for it in lacks(config) {
        let place = Place::File(base + it.address.file);
        errors.count += usize::from(it.is_grave);
        errors.findings.push(it.finding(config, place));
    }
    let is_fine = errors.count == 0;
    for (file, hint) in hcm::hints(config, &model, &policies, &governed) {
        findings.push(Finding::warning(hint, Place::File(base + file)));
    }
    is_fine.then_some(Plan {
        effective,
        plugin_files,
        model,
        policies,
    })
}

fn listeners_come_from_elsewhere(config: &Config) -> bool {
    let root = config.files.first().map(|file| &file.node);
    let source = root.and_then(|it| find(it, &["dynamic_resources", "lds_config"]));
    source.is_some_and(|source| path_of(source).is_none())
}

/// What stands in the way, found so far.
struct Errors<'a> {
    findings: &'a mut Vec<Finding>,
    /// Number of the files before those of the configuration.
    base: usize,
    count: usize,
}

impl Errors<'_> {
    fn add(&mut self, finding: Finding) {
        self.count += 1;
        self.findings.push(finding);
    }

    /// Adds a problem with a file of the configuration.
    fn file(&mut self, file: usize, problem: Problem) {
        self.add(Finding::error(problem, Place::File(self.base + file)));
    }
}

/// Reads the policies, native fields included; gives them and the documents
/// that the filter would be given.
fn read_policies(input: &Input, errors: &mut Errors<'_>) -> Option<(Vec<Policy>, Node)> {
    let instance = compose::Instance {
        native_fields: Some(NativeFields::Applied),
        enforce: Some(Vec::new()),
        ..compose::Instance::default()
    };
    let node = compose(input, &instance);
    let add_all = |problems: Vec<Problem>, errors: &mut Errors<'_>| {
        for problem in problems {
            let (problem, place) = compose::in_its_file(problem, input);
            errors.add(Finding::error(problem, place));
        }
    };
    let config = PluginConfig::from_node(&node).map_err(|problems| add_all(problems, errors));
    // The specs of a configuration are merged; here each stands for itself.
    let policies = config.ok()?.policies;
    Some((policies, node))
}

/// Changes a configuration.
struct Applier<'a> {
    config: &'a mut Config,
    model: &'a Model,
    policies: &'a [Policy],
    /// The plugin configuration of everything.
    documents: &'a Node,
    governed: &'a [Governed],
    input: &'a Input,
    options: &'a Options,
    errors: Errors<'a>,
    effective: Vec<Effective>,
    plugin_files: Vec<(String, Node)>,
    /// The objects that were changed, as they were.
    before: BTreeMap<(usize, String), (Address, Node)>,
}

impl Applier<'_> {
    fn apply(&mut self) {
        let model = self.model;
        for (index, manager) in model.managers.iter().enumerate() {
            self.check_routes(index, manager);
        }
        if self.errors.count > 0 {
            return;
        }
        self.apply_native();
        self.apply_redirects();
        self.widen_buffers();
        self.refuse_inverted_markers();
        self.name_routes();
        let mut has_filter = false;
        for (index, manager) in model.managers.iter().enumerate() {
            has_filter |= self.insert_filter(index, manager);
        }
        if has_filter {
            super::stats::add(&mut self.config.files[0].node);
        }
        self.record();
    }

    /// The object at an address, which will be changed.
    fn change(&mut self, address: &Address) -> Option<&mut Node> {
        let key = (address.file, address.to_string());
        if !self.before.contains_key(&key) {
            let node = self.config.at(address)?.clone();
            self.before.insert(key, (address.clone(), node));
        }
        self.config.at_mut(address)
    }

    /// Notes in each changed object what it was.
    fn record(&mut self) {
        for (address, before) in std::mem::take(&mut self.before).into_values() {
            if let Some(node) = self.config.at_mut(&address) {
                undo::record(&before, node);
            }
        }
    }

    fn refuse(&mut self, address: &Address, reason: impl Into<String>) {
        let mark = mark_of(self.config, address);
        let problem = Problem {
            mark,
            ..Problem::new(address.to_string(), reason)
        };
        self.errors.file(address.file, problem);
    }

    /// Refuses what cannot be seen, or not be told apart.
    fn check_routes(&mut self, index: usize, manager: &Manager) {
        let it = &self.governed[index];
        let is_governed = it.attachments.fallback().is_some();
        let table = match manager.routes {
            RouteSource::Table(table) => table,
            RouteSource::Unseen(what) if is_governed => {
                let reason = format!(
                    "takes its routes from {what}: a policy of its Gateway, or without targets, \
                     cannot be put into force on routes that are not seen here"
                );
                return self.refuse(&manager.address, reason);
            }
            RouteSource::Unseen(_) | RouteSource::Nowhere => return,
        };
        let sites = sites_of(self.model, manager);
        let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, site) in sites.iter().enumerate() {
            if site.name.is_empty() {
                continue;
            }
            let first = *by_name.entry(&site.name).or_insert(place);
            if it.routes[first] != it.routes[place] {
                let name = |policy: Option<usize>| match policy {
                    Some(policy) => self.policies[policy].name.to_string(),
                    None => "no policy".to_owned(),
                };
                let reason = format!(
                    "has the name {:?}, as {} has, and another policy ({} here, {} there): the \
                     filter tells routes apart by their names, so give one of them another name",
                    site.name,
                    sites[first].address,
                    name(it.routes[place]),
                    name(it.routes[first]),
                );
                self.refuse(&site.address, reason);
            }
        }
        let others = self.model.managers[..index].iter().zip(self.governed);
        for (other, governed) in others {
            let merges = it.routes.iter().flatten();
            let mut merges = merges.map(|policy| self.policies[*policy].merge.is_some());
            let is_same = governed.routes == it.routes
                && (governed.attachments.parent() == it.attachments.parent()
                    || !merges.any(|merges| merges));
            if other.routes == RouteSource::Table(table) && !is_same {
                let reason = format!(
                    "has the same routes as listener {}, and other policies for them: give \
                     each listener routes of its own",
                    other.listener_name
                );
                self.refuse(&manager.address, reason);
            }
        }
    }
}
