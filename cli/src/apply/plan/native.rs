//! The native fields: translated once per spec and connection manager, then performed on
//! the routes, clusters and connection managers of the spec.

mod around;
mod clusters;
mod copies;
mod l4;
mod own;
mod services;
mod sessions;
mod tries;

use std::borrow::Cow;
use std::collections::BTreeSet;

use btp_policy::path::FieldPath;
use btp_policy::problem::Problem;

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use super::perform::{Changed, perform};
use crate::apply::effective::Effective;
use crate::apply::journal::below_spec;
use crate::apply::services::{SESSION_PERSISTENCE, native_spec};
use crate::apply::uses::Uses;
use crate::diagnostics::{Finding, Location};
use crate::envoy::address::Address;
use crate::envoy::model::{HttpConnectionManager, RouteId};
use crate::envoy::tree::{field, items, text};
use crate::translate::{Change, Context, Target, apply_change, translate};
use l4::OfClusters;

/// Changes by native fields, and what comes of them.
struct Native<'a, 'd, 'e> {
    scene: Scene<'a>,
    draft: &'a mut Draft<'d>,
    effective: &'a mut [Effective],
    errors: &'a mut Errors<'e>,
}

/// Routes that have their changes: the same ones can be reached through several
/// connection managers.
type Done = BTreeSet<RouteId>;

/// Puts the native fields of every policy into force.
pub(super) fn apply(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
) {
    check_alone(scene, errors);
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
    let of_clusters: Vec<OfClusters> = (0..count)
        .map(|index| OfClusters {
            http: native.on_all_but_clusters(index, &mut done),
            l4: native.on_l4_proxies(index),
        })
        .collect();
    native.lift_retries_of_services(&uses);
    native.keep_sessions_of_services(&uses);
    native.on_clusters(&uses, &of_clusters);
}

/// What is wrong with a policy is wrong whether it governs anything or not.
fn check_alone(scene: Scene<'_>, errors: &mut Errors<'_>) {
    let context = alone(scene);
    for object in &scene.input.policies {
        let spec = native_spec(&object.node);
        let found = spec.map(|spec| translate(&spec, &context));
        for mut problem in found.and_then(Result::err).unwrap_or_default() {
            problem.mark = problem.path.closest(&object.node).mark;
            errors.add(Finding::error(problem, Location::File(object.source)));
        }
    }
}

/// What is known without a connection manager.
fn alone<'a>(scene: Scene<'a>) -> Context<'a> {
    Context {
        rate_limits: scene.options.rate_limits.as_ref(),
        ..Context::default()
    }
}

impl Native<'_, '_, '_> {
    /// Makes the changes of one spec, and gives those that are for clusters.
    fn on_all_but_clusters(&mut self, index: usize, done: &mut Done) -> Vec<Change> {
        let mut of_clusters = Vec::new();
        for (number, manager) in self.scene.model.managers.iter().enumerate() {
            let routes = self.effective[index].routes.iter();
            let routes = routes.filter(|(it, _)| *it == number);
            let routes: Vec<RouteId> = routes.map(|(_, id)| *id).collect();
            if routes.is_empty() {
                continue;
            }
            let Some(changes) = self.translate(index, number, &routes) else {
                continue;
            };
            for change in changes {
                match change.target {
                    Target::Route => self.on_routes(index, manager, &routes, &change, done),
                    Target::HttpConnectionManager => {
                        self.perform(index, &change, &Changed::manager(self.scene, number));
                    }
                    Target::Bootstrap => self.on_bootstrap(index, &change),
                    Target::Cluster if of_clusters.contains(&change) => {}
                    Target::Cluster => of_clusters.push(change),
                    // That is translated apart.
                    Target::L4Proxy => {}
                }
            }
            done.extend(routes);
        }
        of_clusters
    }

    fn translate(
        &mut self,
        index: usize,
        number: usize,
        routes: &[RouteId],
    ) -> Option<Vec<Change>> {
        let manager = &self.scene.model.managers[number];
        let hcm = self.draft.at(&manager.address)?;
        let upgrades: Vec<String> = items(hcm, "upgrade_configs")
            .iter()
            .filter_map(|it| text(it, "upgrade_type"))
            .map(str::to_owned)
            .collect();
        let mut routes = routes.iter().map(|id| self.scene.model.route(*id));
        let policy = &self.scene.policies[self.effective[index].policy];
        let targets = policy.targets.iter().filter(|it| it.kind.is_route());
        let targets: Vec<String> = targets.map(|it| it.object.to_string()).collect();
        let namespace = self.scene.attached[number].gateway.name.namespace.clone();
        let context = Context {
            // A copied cluster has a name that no backend knows as a host.
            hostname: routes.find_map(|it| it.host.as_deref()),
            has_stream_idle_timeout: field(hcm, "stream_idle_timeout").is_some(),
            upgrades: &upgrades,
            policy: Some(&policy.name),
            targets: &targets,
            namespace: Some(&namespace),
            ..alone(self.scene)
        };
        let changes = translate(&self.effective[index].spec, &context);
        self.refuse_merged(index, changes)
    }

    /// What a spec is translated to, unless it is wrong as a whole.
    fn refuse_merged(
        &mut self,
        index: usize,
        changes: Result<Vec<Change>, Vec<Problem>>,
    ) -> Option<Vec<Change>> {
        let it = &self.effective[index];
        let problems = match changes {
            Ok(changes) => return Some(changes),
            Err(problems) => problems,
        };
        // Each policy is fine alone: the two together are not.
        let parents = it.parents_in_words(self.scene.policies);
        for problem in problems {
            let reason = match parents.is_empty() {
                false => format!("{} (after the merge with {parents})", problem.reason),
                true => problem.reason,
            };
            self.errors
                .refuse_field(it.policy, problem.path, problem.code, reason);
        }
        None
    }

    fn on_routes(
        &mut self,
        index: usize,
        manager: &HttpConnectionManager,
        routes: &[RouteId],
        change: &Change,
        done: &Done,
    ) {
        for id in routes.iter().filter(|it| !done.contains(it)) {
            if self.yields(index, *id, change) || self.leaves_grpc(index, *id, change) {
                continue;
            }
            self.note_around(index, manager, *id, change);
            let change = match below_spec(&change.field) {
                SESSION_PERSISTENCE => self.with_own_cookie(index, *id, change),
                _ => Cow::Borrowed(change),
            };
            self.perform(index, &change, &Changed::route(self.scene, *id));
        }
        self.note_buckets(index, routes.len(), change);
    }

    fn on_bootstrap(&mut self, index: usize, change: &Change) {
        // Only asked, never changed: nothing would remember what was there.
        let Some(mut bootstrap) = self.draft.at(&Address::root(0)).cloned() else {
            return;
        };
        if let Err(error) = apply_change(&mut bootstrap, change) {
            let reason = format!("{} of the bootstrap {error}", change.path);
            let policy = self.effective[index].policy;
            self.errors.refuse_field(
                policy,
                FieldPath::written(&change.field),
                error.code(),
                reason,
            );
        }
    }

    /// Makes a change of an object for a spec.
    fn perform(&mut self, index: usize, change: &Change, on: &Changed) {
        let it = &mut self.effective[index];
        perform(self.scene, self.draft, it, change, on, self.errors);
    }
}
