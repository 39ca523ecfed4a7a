//! Puts policies into a configuration.

mod clusters;
mod custom_response;
mod native;

use std::collections::{BTreeMap, BTreeSet};

use btp_policy::node::{Node, Value};
use btp_policy::path::closest;
use btp_policy::policy::TargetKind;
use btp_policy::problem::Problem;
use btp_policy::scalar::ObjectName;
use btp_policy::spec::Capability;
use btp_policy::{PluginConfig, Policy};

use super::effective::{self, Effective};
use super::files::{Config, mark_of, path_of};
use super::filter::{self, Contents, Instance, Needs};
use super::govern::{Governed, govern, missing, sites_of};
use super::model::{Manager, Model};
use super::tree::{Address, field, find, set, string};
use super::undo;
use crate::compose::{self, NativeFields, compose};
use crate::input::Input;
use crate::report::{Finding, Place};

/// What the person said on the command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where the filter will be mounted.
    pub(crate) wasm: String,
    pub(crate) gateway: Option<ObjectName>,
    /// The folder that Envoy will watch plugin configurations in; without it
    /// they stand in the listeners.
    pub(crate) ecds: Option<String>,
}

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
    if listeners_come_from_elsewhere(config) {
        let reason = "are in part not seen: those that a management server sends are not \
                      governed by these policies";
        let problem = Problem::new("dynamic_resources.lds_config: the listeners", reason);
        let place = Place::File(base);
        errors.findings.push(Finding::warning(problem, place));
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
        touched: BTreeSet::new(),
    };
    applier.apply();
    let Applier {
        errors,
        effective,
        plugin_files,
        ..
    } = applier;
    (errors.count == 0).then_some(Plan {
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
    /// Fields of objects that were changed as a whole.
    touched: BTreeSet<String>,
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
        if let Err(why) = manager.table {
            if is_governed && why != "no routes" {
                let reason = format!(
                    "takes its routes from {why}: a policy of its Gateway, or without targets, \
                     cannot be put into force on routes that are not seen here"
                );
                self.refuse(&manager.address, reason);
            }
            return;
        }
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
        let Ok(table) = manager.table else { return };
        let others = self.model.managers[..index].iter().zip(self.governed);
        for (other, governed) in others {
            if other.table.as_ref() == Ok(&table) && governed.routes != it.routes {
                let reason = format!(
                    "has the same routes as listener {}, and other policies for them: give \
                     each listener routes of its own",
                    other.listener_name
                );
                self.refuse(&manager.address, reason);
            }
        }
    }

    /// Lets a route hold bodies as large as its policy gathers.
    fn widen_buffers(&mut self) {
        /// Envoy's `per_connection_buffer_limit_bytes`.
        const USUAL: i64 = 1 << 20;
        let number = |node: Option<&Node>| match node.map(|node| &node.value) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        };
        let model = self.model;
        for index in 0..self.effective.len() {
            let it = &self.effective[index];
            let Some(limit) = Needs::of(&it.spec).gathers else {
                continue;
            };
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            for (manager, place) in it.sites.clone() {
                let manager = &model.managers[manager];
                let listener = self.config.at(&manager.listener);
                let own = listener.and_then(|it| field(it, "per_connection_buffer_limit_bytes"));
                let site = &sites_of(model, manager)[place];
                let route = self.config.at(&site.address);
                let there = route.and_then(|it| field(it, "request_body_buffer_limit"));
                let enough = number(there).unwrap_or(0).max(number(own).unwrap_or(USUAL));
                if limit > enough
                    && let Some(route) = self.change(&site.address)
                {
                    let limit = Node::unplaced(Value::Int(limit));
                    set(route, "request_body_buffer_limit", limit);
                    let home = "Envoy: its routes, request_body_buffer_limit".to_owned();
                    self.effective[index]
                        .native
                        .push(("requestBuffer.limit".to_owned(), home));
                }
            }
        }
    }

    /// The filter remembers routes by their names.
    fn name_routes(&mut self) {
        let model = self.model;
        let mut named = BTreeSet::new();
        for (index, manager) in model.managers.iter().enumerate() {
            let Ok(table) = manager.table else { continue };
            for (place, site) in sites_of(model, manager).iter().enumerate() {
                let is_governed = self.governed[index].routes[place].is_some();
                if !is_governed || !site.name.is_empty() || !named.insert((table, place)) {
                    continue;
                }
                if let Some(route) = self.change(&site.address) {
                    set(route, "name", string(&site.given));
                }
            }
        }
    }

    /// Puts the filter into a connection manager; whether it is needed there.
    fn insert_filter(&mut self, index: usize, manager: &Manager) -> bool {
        let it = &self.governed[index];
        let fallback = it.attachments.fallback();
        let parent = it.attachments.parent();
        let used: BTreeSet<usize> = it
            .routes
            .iter()
            .copied()
            .chain([fallback, parent])
            .flatten()
            .collect();
        let in_force = self.effective.iter().filter(|it| it.is_in(index));
        let needs: Vec<Needs> = in_force.map(|it| Needs::of(&it.spec)).collect();
        let wanted = Capability::ALL.iter().map(|(_, it)| *it);
        let wanted: Vec<Capability> = wanted
            .filter(|it| needs.iter().any(|needs| needs.capabilities.contains(it)))
            .collect();
        let gathers = needs.iter().any(|needs| needs.gathers.is_some());
        if wanted.is_empty() {
            return false;
        }
        let Some(hcm) = self.config.at(&manager.address) else {
            return false;
        };
        if filter::is_there(hcm) {
            let reason = "holds the filter already, and not by btp apply: take it out of \
                          http_filters";
            self.refuse(&manager.address, reason);
            return false;
        }
        let Some(Value::List(all)) = self.documents.field("policies").map(|it| &it.value) else {
            return false;
        };
        let budgets = wanted.contains(&Capability::Retry);
        let documents = used.iter().map(|policy| {
            let document = super::tree::unplaced(&all[*policy]);
            filter::without_native(document, budgets)
        });
        let maps = self
            .documents
            .field("configMaps")
            .map(super::tree::unplaced);
        let speaks_of_gateways = used.iter().any(|policy| {
            let policy = &self.policies[*policy];
            let kinds = policy.targets.iter().map(|it| it.kind);
            let mut kinds = kinds.chain(policy.selectors.iter().map(|it| it.kind));
            kinds.any(|kind| kind == TargetKind::Gateway)
        });
        let gateway = &it.gateway;
        let is_named = speaks_of_gateways || gateway.name.namespace != "default";
        let gateway = is_named.then_some(gateway);
        let contents = Contents {
            policies: documents.collect(),
            config_maps: maps,
            gateway,
            gathers,
        };
        let mut instances = filter::instances(hcm, &wanted, &contents);
        let used: Vec<usize> = used.into_iter().collect();
        // What no instance can do yet has been said of the first one.
        let checked = instances
            .iter()
            .filter(|it| it.place.is_some() || Capability::Retry.is_enforced());
        for instance in checked {
            self.check_plugin(instance, &used);
        }
        let listener = manager.listener_name.as_str();
        for it in self.effective.iter_mut().filter(|it| it.is_in(index)) {
            it.enforced_by(&instances, listener);
        }
        self.write_files(manager, &mut instances);
        if self.change(&manager.listener).is_some()
            && let Some(hcm) = self.config.at_mut(&manager.address)
        {
            filter::insert(hcm, &instances, self.options);
        }
        true
    }

    /// What the filter would refuse is refused here.
    fn check_plugin(&mut self, instance: &Instance, used: &[usize]) {
        let Err(problems) = PluginConfig::from_node(&instance.config) else {
            return;
        };
        for mut problem in problems {
            // The policies of an instance are some of all policies.
            let rest = problem.path.strip_prefix("policies[");
            if let Some((place, path)) = rest.and_then(|rest| rest.split_once(']'))
                && let Some(policy) = place.parse().ok().and_then(|it: usize| used.get(it))
            {
                problem.path = format!("policies[{policy}]{path}");
            }
            let (problem, place) = compose::in_its_file(problem, self.input);
            let is_known = self
                .errors
                .findings
                .iter()
                .any(|known| known.place == place && known.problem == problem);
            if !is_known {
                self.errors.add(Finding::error(problem, place));
            }
        }
    }

    /// Puts the plugin configurations of a connection manager into files, if
    /// that is wanted.
    fn write_files(&mut self, manager: &Manager, instances: &mut [Instance]) {
        if self.options.ecds.is_none() {
            return;
        }
        for instance in instances {
            let mut name = instance.name.clone();
            if self.model.managers.len() > 1 {
                let chain = manager.chain.as_deref().unwrap_or_default();
                let place = format!("{}-{chain}", manager.listener_name);
                name = format!("{name}-{}", place.trim_end_matches('-'));
            }
            let is_usual = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
            let usual = name.chars().map(|it| if is_usual(it) { it } else { '_' });
            instance.file = usual.chain(".yaml".chars()).collect();
            let resources = vec![filter::resource(instance, &self.options.wasm)];
            let file = super::tree::object([("resources", super::tree::list(resources))]);
            self.plugin_files.push((instance.file.clone(), file));
        }
    }
}
