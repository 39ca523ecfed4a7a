//! The native fields: translated once per spec and connection manager, and
//! performed on the routes, clusters and connection managers it governs.

mod clusters;
mod copies;
mod localities;
mod own;
mod perform;
pub(super) mod uses;

use std::collections::BTreeSet;

use btp_policy::path::closest;

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use crate::apply::effective::Effective;
use crate::apply::govern::sites_of;
use crate::apply::placement::Destination;
use crate::diagnostics::{Finding, Place};
use crate::documents::Input;
use crate::envoy::address::Address;
use crate::envoy::model::Manager;
use crate::envoy::tree::{field, items, text};
use crate::translate::{Change, Context, Target, apply_change, translate};
use perform::{field_of, part_of, perform};
use uses::Uses;

/// Changes by native fields, and what comes of them.
struct Native<'a, 'd, 'e> {
    scene: Scene<'a>,
    draft: &'a mut Draft<'d>,
    effective: &'a mut [Effective],
    errors: &'a mut Errors<'e>,
}

/// Routes that have their changes, by table and place: the same table can be
/// seen through several connection managers.
type Done = BTreeSet<(usize, usize)>;

/// Puts the native fields of every policy into force.
pub(super) fn apply(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
) {
    check_alone(scene.input, errors);
    if !errors.is_empty() {
        return;
    }
    let uses = Uses::read(draft.config(), scene.model);
    let mut native = Native {
        scene,
        draft,
        effective,
        errors,
    };
    let mut done = Done::new();
    let count = native.effective.len();
    let of_clusters: Vec<Vec<Change>> = (0..count)
        .map(|index| native.on_all_but_clusters(index, &mut done))
        .collect();
    native.on_clusters(&uses, &of_clusters);
}

/// What is wrong with a policy is wrong whether it governs anything or not.
fn check_alone(input: &Input, errors: &mut Errors<'_>) {
    for object in &input.policies {
        let spec = object.node.field("spec");
        let found = spec.map(|spec| translate(spec, &Context::default()));
        for mut problem in found.and_then(Result::err).unwrap_or_default() {
            problem.mark = closest(&object.node, &problem.path).mark;
            errors.add(Finding::error(problem, Place::File(object.source)));
        }
    }
}

impl Native<'_, '_, '_> {
    /// Makes the changes of one spec, and gives those that are for clusters.
    fn on_all_but_clusters(&mut self, index: usize, done: &mut Done) -> Vec<Change> {
        let mut of_clusters = Vec::new();
        for (number, manager) in self.scene.model.managers.iter().enumerate() {
            let sites = self.effective[index].sites.iter();
            let sites = sites.filter(|(it, _)| *it == number);
            let sites: Vec<usize> = sites.map(|(_, place)| *place).collect();
            if sites.is_empty() {
                continue;
            }
            let Some(changes) = self.translate(index, manager, &sites) else {
                continue;
            };
            for change in changes {
                match change.target {
                    Target::Route => self.on_routes(index, manager, &sites, &change, done),
                    Target::HttpConnectionManager => self.on_manager(index, manager, &change),
                    Target::Bootstrap => self.on_bootstrap(index, &change),
                    Target::Cluster if of_clusters.contains(&change) => {}
                    Target::Cluster => of_clusters.push(change),
                }
            }
            if let Some(table) = manager.routes.table() {
                done.extend(sites.iter().map(|place| (table, *place)));
            }
        }
        of_clusters
    }

    fn translate(
        &mut self,
        index: usize,
        manager: &Manager,
        places: &[usize],
    ) -> Option<Vec<Change>> {
        let hcm = self.draft.at(&manager.address)?;
        let upgrades: Vec<String> = items(hcm, "upgrade_configs")
            .iter()
            .filter_map(|it| text(it, "upgrade_type"))
            .map(str::to_owned)
            .collect();
        let all = sites_of(self.scene.model, manager);
        let mut sites = places.iter().filter_map(|place| all.get(*place));
        let context = Context {
            // A copied cluster has a name that no backend knows as a host.
            hostname: sites.find_map(|site| site.host.as_deref()),
            has_stream_idle_timeout: field(hcm, "stream_idle_timeout").is_some(),
            upgrades: &upgrades,
        };
        let it = &self.effective[index];
        let problems = match translate(&it.spec, &context) {
            Ok(changes) => return Some(changes),
            Err(problems) => problems,
        };
        // Each policy is fine alone: the two together are not.
        let parent = it.parent.map(|parent| &self.scene.policies[parent].name);
        for problem in problems {
            let reason = match parent {
                Some(parent) => format!("{} (after the merge with {parent})", problem.reason),
                None => problem.reason,
            };
            self.errors.refuse_field(it.policy, &problem.path, reason);
        }
        None
    }

    fn on_routes(
        &mut self,
        index: usize,
        manager: &Manager,
        sites: &[usize],
        change: &Change,
        done: &Done,
    ) {
        let Some(table) = manager.routes.table() else {
            return;
        };
        let all = sites_of(self.scene.model, manager);
        for place in sites.iter().filter(|it| !done.contains(&(table, **it))) {
            let site = &all[*place];
            if self.yields(index, site, (table, *place), change) {
                continue;
            }
            let what = format!("route {}", site.title());
            let destination = || Destination::Routes(part_of(change));
            self.on_object(index, change, [&site.address; 2], &what, destination);
        }
    }

    fn on_manager(&mut self, index: usize, manager: &Manager, change: &Change) {
        let listener = &manager.listener_name;
        let destination = || Destination::Hcm {
            listener: listener.clone(),
            part: part_of(change),
        };
        let what = format!("listener {listener}");
        let object = [&manager.listener, &manager.address];
        self.on_object(index, change, object, &what, destination);
    }

    fn on_bootstrap(&mut self, index: usize, change: &Change) {
        // Only asked, never changed: nothing would remember what was there.
        let Some(mut bootstrap) = self.draft.at(&Address::root(0)).cloned() else {
            return;
        };
        if let Err(error) = apply_change(&mut bootstrap, change) {
            let reason = format!("{} of the bootstrap {error}", change.path);
            let policy = self.effective[index].policy;
            self.errors.refuse_field(policy, &change.field, reason);
        }
    }

    /// Performs a change on an object that is called `what`; `[recorded, own]`
    /// are the address of the object that remembers what was, and its own.
    fn on_object(
        &mut self,
        index: usize,
        change: &Change,
        [recorded, own]: [&Address; 2],
        what: &str,
        destination: impl FnOnce() -> Destination,
    ) {
        let Some(object) = self.draft.change_in(recorded, own) else {
            return;
        };
        let it = &mut self.effective[index];
        match perform(object, change, what, it) {
            Ok(true) => it.native.add(field_of(change), destination()),
            Ok(false) => {}
            Err(error) => {
                let path = &change.path;
                let reason = format!("cannot be put into force on {what}: {path} {error}");
                self.errors.refuse_field(it.policy, &change.field, reason);
            }
        }
    }
}
