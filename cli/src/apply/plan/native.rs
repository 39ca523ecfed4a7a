//! The native fields: translated once per spec and connection manager, and
//! performed on the routes, clusters and connection managers it governs.

use std::collections::BTreeSet;

use btp_policy::path::closest;
use btp_policy::problem::Problem;

use super::Applier;
use super::clusters::Uses;
use crate::apply::govern::sites_of;
use crate::apply::placement::Destination;
use crate::envoy::address::Address;
use crate::envoy::tree::{field, items, text};
use crate::report::{Finding, Place};
use crate::translate::{Change, Context, How, Outcome, Place as Home, apply_change, translate};

impl Applier<'_> {
    /// Puts the native fields of every policy into force.
    pub(super) fn apply_native(&mut self) {
        self.check_alone();
        if self.errors.count > 0 {
            return;
        }
        let uses = Uses::read(self.config, self.model);
        let mut of_clusters: Vec<Vec<Change>> = vec![Vec::new(); self.effective.len()];
        let mut done: BTreeSet<(usize, usize)> = BTreeSet::new();
        for (index, of_clusters) in of_clusters.iter_mut().enumerate() {
            for manager in 0..self.model.managers.len() {
                let sites = self.effective[index].sites.iter();
                let sites: Vec<usize> = sites
                    .filter(|(it, _)| *it == manager)
                    .map(|(_, place)| *place)
                    .collect();
                if sites.is_empty() {
                    continue;
                }
                let Some(changes) = self.translate(index, manager, &sites) else {
                    continue;
                };
                for change in &changes {
                    match change.place {
                        Home::Route => self.on_routes(index, manager, &sites, change, &mut done),
                        Home::Cluster => {
                            if !of_clusters.contains(change) {
                                of_clusters.push(change.clone());
                            }
                        }
                        Home::HttpConnectionManager => self.on_manager(index, manager, change),
                        Home::Bootstrap => self.on_bootstrap(index, change),
                    }
                }
                if let Some(table) = self.model.managers[manager].routes.table() {
                    done.extend(sites.iter().map(|place| (table, *place)));
                }
            }
        }
        self.on_clusters(&uses, &of_clusters);
    }

    /// What is wrong with a policy is wrong whether it governs anything or
    /// not.
    fn check_alone(&mut self) {
        for object in &self.input.policies {
            let spec = object.node.field("spec");
            let found = spec.map(|spec| translate(spec, &Context::default()));
            if let Some(Err(problems)) = found {
                for mut problem in problems {
                    problem.mark = closest(&object.node, &problem.path).mark;
                    self.errors
                        .add(Finding::error(problem, Place::File(object.source)));
                }
            }
        }
    }

    fn translate(&mut self, index: usize, manager: usize, places: &[usize]) -> Option<Vec<Change>> {
        let hcm = self.config.at(&self.model.managers[manager].address)?;
        let upgrades: Vec<String> = items(hcm, "upgrade_configs")
            .iter()
            .filter_map(|it| text(it, "upgrade_type"))
            .map(str::to_owned)
            .collect();
        let all = sites_of(self.model, &self.model.managers[manager]);
        let sites: Vec<_> = places.iter().filter_map(|place| all.get(*place)).collect();
        let context = Context {
            // A copied cluster has a name that no backend knows as a host.
            hostname: sites.iter().find_map(|site| site.host.as_deref()),
            has_stream_idle_timeout: field(hcm, "stream_idle_timeout").is_some(),
            upgrades: &upgrades,
        };
        let it = &self.effective[index];
        match translate(&it.spec, &context) {
            Ok(changes) => Some(changes),
            Err(problems) => {
                // Each policy is fine alone: the two together are not.
                let policy = it.policy;
                let parent = it
                    .parent
                    .map(|parent| self.policies[parent].name.to_string());
                for mut problem in problems {
                    if let Some(parent) = &parent {
                        problem.reason =
                            format!("{} (after the merge with {parent})", problem.reason);
                    }
                    self.refuse_field(policy, &problem.path, problem.reason);
                }
                None
            }
        }
    }

    fn on_routes(
        &mut self,
        index: usize,
        manager: usize,
        sites: &[usize],
        change: &Change,
        done: &mut BTreeSet<(usize, usize)>,
    ) {
        let model = self.model;
        let Some(table) = model.managers[manager].routes.table() else {
            return;
        };
        let all = sites_of(model, &model.managers[manager]);
        for place in sites {
            if done.contains(&(table, *place)) {
                continue;
            }
            let site = &all[*place];
            self.change(&site.address);
            let what = format!("route {}", site.title());
            if self.perform(index, change, &site.address, &what) {
                self.went_to(index, change, Destination::Routes(part_of(change)));
            }
        }
    }

    fn on_manager(&mut self, index: usize, manager: usize, change: &Change) {
        let manager = &self.model.managers[manager];
        let what = format!("listener {}", manager.listener_name);
        self.change(&manager.listener);
        if !self.perform(index, change, &manager.address, &what) {
            return;
        }
        let destination = Destination::Hcm {
            listener: manager.listener_name.clone(),
            part: part_of(change),
        };
        self.went_to(index, change, destination);
    }

    fn on_bootstrap(&mut self, index: usize, change: &Change) {
        let root = Address::root(0);
        // Only asked, never changed: nothing would remember what was there.
        let Some(mut bootstrap) = self.config.at(&root).cloned() else {
            return;
        };
        if let Err(reason) = apply_change(&mut bootstrap, change) {
            let policy = self.effective[index].policy;
            let reason = format!("{} of the bootstrap {reason}", change.path);
            self.refuse_field(policy, &change.field, reason);
        }
    }

    /// Performs a change on an object, which is called `what` and remembered
    /// as it was.
    /// Gives whether that has a home there.
    pub(super) fn perform(
        &mut self,
        index: usize,
        change: &Change,
        address: &Address,
        what: &str,
    ) -> bool {
        let Some(object) = self.config.at_mut(address) else {
            return false;
        };
        match apply_change(object, change) {
            Ok(Outcome::Replaced(values)) => {
                for value in values {
                    let line = format!("{what}: {value}");
                    let replaced = &mut self.effective[index].replaced;
                    if !replaced.contains(&line) {
                        replaced.push(line);
                    }
                }
                !matches!(change.how, How::Remove)
            }
            Ok(Outcome::Idle(reason)) => {
                self.went_to(index, change, Destination::Nothing(reason));
                false
            }
            Ok(Outcome::Added) => true,
            Ok(Outcome::Same) => !matches!(
                change.how,
                How::Forbid(..)
                    | How::Require(_)
                    | How::Remove
                    | How::ProxyProtocol(_)
                    | How::ZoneWeights(_)
            ),
            Err(reason) => {
                let policy = self.effective[index].policy;
                let reason = format!(
                    "cannot be put into force on {what}: {} {reason}",
                    change.path
                );
                self.refuse_field(policy, &change.field, reason);
                false
            }
        }
    }

    /// Notes where a field went.
    pub(super) fn went_to(&mut self, index: usize, change: &Change, destination: Destination) {
        let field = change.field.strip_prefix("spec.").unwrap_or(&change.field);
        self.effective[index].native.add(field, destination);
    }

    /// Refuses a field of a policy.
    pub(super) fn refuse_field(&mut self, policy: usize, path: &str, reason: String) {
        let object = &self.input.policies[policy];
        let problem = Problem {
            mark: closest(&object.node, path).mark,
            ..Problem::new(path, reason)
        };
        let finding = Finding::error(problem, Place::File(object.source));
        let is_known = self
            .errors
            .findings
            .iter()
            .any(|known| known.place == finding.place && known.problem == finding.problem);
        if !is_known {
            self.errors.add(finding);
        }
    }
}

/// The part of its object that a change goes to.
pub(super) fn part_of(change: &Change) -> String {
    match &change.how {
        How::HttpFilter(filter) => {
            let name = text(filter, "name").unwrap_or_default();
            format!("http_filters {name}")
        }
        How::HttpOptions(_) => "HttpProtocolOptions".to_owned(),
        How::HealthCheck(_) => "health_checks".to_owned(),
        How::Dns(_) => "the settings of its DNS".to_owned(),
        _ => change.path.to_string(),
    }
}
