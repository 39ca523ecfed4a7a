//! The filter's instances, and what they need of routes: names, and room for
//! the bodies that are gathered.

use std::collections::BTreeSet;

use btp_policy::PluginConfig;
use btp_policy::node::{Node, Value};
use btp_policy::policy::TargetKind;
use btp_policy::spec::Capability;

use super::Applier;
use crate::apply::filter::{self, Contents, Instance};
use crate::apply::govern::sites_of;
use crate::apply::model::Manager;
use crate::apply::needs::Needs;
use crate::apply::placement::Destination;
use crate::compose;
use crate::envoy::address::Address;
use crate::envoy::json::node;
use crate::envoy::tree::{field, find, set, text, unplaced};
use crate::report::Finding;

impl Applier<'_> {
    /// Lets a route hold bodies as large as its policy gathers.
    pub(super) fn widen_buffers(&mut self) {
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
                    set(route, "request_body_buffer_limit", node!(limit));
                    let part = "request_body_buffer_limit".to_owned();
                    let native = &mut self.effective[index].native;
                    native.add("requestBuffer.limit", Destination::Routes(part));
                }
            }
        }
    }

    /// A budget stops the router by `x-envoy-ratelimited`, which this trigger
    /// turns into the opposite.
    fn refuse_inverted_marker(&mut self, place: &Address) {
        const TRIGGER: &str = "envoy-ratelimited";
        let retry_on = |node: &Node, path: &[&str]| {
            let policy = find(node, path)?;
            let retry_on = text(policy, "retry_on")?;
            Some(retry_on.split(',').any(|it| it.trim() == TRIGGER))
        };
        let Some(node) = self.config.at(place) else {
            return;
        };
        let paths = [&["route", "retry_policy"][..], &["retry_policy"]];
        if paths.iter().any(|path| retry_on(node, path) == Some(true)) {
            let reason = "retries on envoy-ratelimited, by which a retryConstraint stops \
                          retries: take it out of retry_on";
            self.refuse(place, reason);
        }
    }

    /// See [`Self::refuse_inverted_marker`]; of the routes under a budget, and
    /// their virtual hosts.
    pub(super) fn refuse_inverted_markers(&mut self) {
        let model = self.model;
        let mut places: Vec<Address> = Vec::new();
        for it in &self.effective {
            if !Needs::of(&it.spec).behind.contains(&Capability::Retry) {
                continue;
            }
            for (manager, place) in &it.sites {
                let site = &sites_of(model, &model.managers[*manager])[*place];
                let mut host = site.address.clone();
                host.path.truncate(host.path.len().saturating_sub(2));
                for place in [site.address.clone(), host] {
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
        }
        for place in &places {
            self.refuse_inverted_marker(place);
        }
    }

    /// The filter remembers routes by their names.
    pub(super) fn name_routes(&mut self) {
        let model = self.model;
        let mut named = BTreeSet::new();
        for (index, manager) in model.managers.iter().enumerate() {
            let Some(table) = manager.routes.table() else {
                continue;
            };
            for (place, site) in sites_of(model, manager).iter().enumerate() {
                let is_governed = self.governed[index].routes[place].is_some();
                if !is_governed || !site.name.is_empty() || !named.insert((table, place)) {
                    continue;
                }
                if let Some(route) = self.change(&site.address) {
                    set(route, "name", node!(&site.given));
                }
            }
        }
    }

    /// Puts the filter into a connection manager; whether it is needed there.
    pub(super) fn insert_filter(&mut self, index: usize, manager: &Manager) -> bool {
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
        let union = |of: fn(&Needs) -> &Vec<Capability>| -> Vec<Capability> {
            let all = Capability::ALL.iter().map(|(_, it)| *it);
            all.filter(|it| needs.iter().any(|needs| of(needs).contains(it)))
                .collect()
        };
        let wanted = union(|needs| &needs.capabilities);
        let behind = union(|needs| &needs.behind);
        let gathers = needs.iter().any(|needs| needs.gathers.is_some());
        if wanted.is_empty() && behind.is_empty() {
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
            let document = unplaced(&all[*policy]);
            filter::without_native(document, budgets)
        });
        let maps = self.documents.field("configMaps").map(unplaced);
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
        let mut instances = filter::instances(hcm, &wanted, &behind, &contents);
        let used: Vec<usize> = used.into_iter().collect();
        for instance in &instances {
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
            let file = filter::file(instance, &self.options.wasm);
            self.plugin_files.push((instance.file.clone(), file));
        }
    }
}
