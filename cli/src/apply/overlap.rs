//! Instances of the filter that do the same: one chain must not delay, count
//! or answer a request twice.
//!
//! Seen are the instances whose configuration stands in the listener; one that
//! comes by `config_discovery` is not.

use std::path::Path;

use btp_policy::node::Node;
use btp_policy::problem::Problem;
use btp_policy::spec::Capability;
use btp_policy::{Policy, Position};

use super::effective;
use super::govern::{govern, govern_l4};
use super::{hcm, unwise};
use crate::diagnostics::{Finding, Location};
use crate::documents::Input;
use crate::envoy::address::Address;
use crate::envoy::capabilities::lacks;
use crate::envoy::files::{Config, mark_of};
use crate::envoy::model::Model;
use crate::envoy::plugin::configuration_of;
use crate::envoy::tree::{field, items};

/// Two instances in one chain that do the same.
#[derive(Debug)]
pub(crate) struct Overlap {
    /// The second of them.
    pub(crate) address: Address,
    pub(crate) reason: String,
}

impl Overlap {
    /// As a problem of the configuration.
    pub(crate) fn problem(self, config: &Config) -> Problem {
        Problem {
            mark: mark_of(config, &self.address),
            ..Problem::new(self.address.to_string(), self.reason)
        }
    }
}

/// Finds what is wrong with a bootstrap by itself, and what is unwise in it
/// under the policies that are to be applied and those that stand in it; its
/// files are added to `sources`.
pub(crate) fn lint(
    bootstrap: &Path,
    policies: &[Policy],
    input: &mut Input,
    findings: &mut Vec<Finding>,
) -> Result<(), String> {
    let mut config = Config::read(bootstrap)?;
    config.follow_extensions()?;
    let mut problems = std::mem::take(&mut config.problems);
    let model = Model::read(&config);
    let found = overlaps(&config, &model).into_iter();
    problems.extend(found.map(|it| (it.address.file, it.problem(&config))));
    let base = input.sources.len();
    let found = lacks(&config).into_iter();
    findings.extend(found.map(|it| {
        let location = Location::File(base + it.address.file);
        it.finding(&config, location)
    }));
    let placed = problems.into_iter();
    findings.extend(placed.map(|(file, it)| Finding::error(it, Location::File(base + file))));
    let mut hints = hcm::hints_of_instances(&config, &model);
    hints.extend(hcm::hints_of_places(&config, &model, |_| None));
    // Where it cannot be told who governs what, `apply` says so.
    if let (Ok(attached), Ok(l4)) = (
        govern(&config, &model, policies, None),
        govern_l4(&config, &model, policies, None),
    ) {
        let mut more = hcm::hints(&config, &model, policies, &attached);
        more.extend(hcm::hints_of_usual_places(
            &config, &model, policies, &attached,
        ));
        more.retain(|it| !hints.contains(it));
        hints.extend(more);
        let objects = input.policies.iter().take(policies.len());
        let specs: Vec<Option<&Node>> = objects.map(|it| it.node.field("spec")).collect();
        let effective = effective::all(policies, &specs, &model, &attached, &l4);
        let found = unwise::find_all(&config, &model, &effective).into_iter();
        findings.extend(found.map(|it| it.finding(input)));
    }
    let placed = hints.into_iter();
    findings.extend(placed.map(|(file, it)| Finding::warning(it, Location::File(base + file))));
    let files = config.files.into_iter();
    input.sources.extend(files.map(|file| file.source));
    Ok(())
}

/// All of a configuration.
pub(crate) fn overlaps(config: &Config, model: &Model) -> Vec<Overlap> {
    let mut found = Vec::new();
    for manager in &model.managers {
        let Some(hcm) = config.at(&manager.address) else {
            continue;
        };
        let filters = manager.address.key("http_filters");
        let mut known: Vec<(Address, Position, Vec<Capability>)> = Vec::new();
        for (place, filter) in items(hcm, "http_filters").iter().enumerate() {
            let address = filters.item(place);
            let config = address.key("typed_config");
            let behind = config.key("upstream_http_filters");
            let behind_router = field(filter, "typed_config")
                .map_or(&[][..], |it| items(it, "upstream_http_filters"))
                .iter()
                .enumerate();
            let behind_router = behind_router.map(|(place, filter)| (behind.item(place), filter));
            for (address, filter) in std::iter::once((address, filter)).chain(behind_router) {
                let Some((position, enforced)) = enforced(filter) else {
                    continue;
                };
                for (other, there, others) in &known {
                    let both = enforced.iter().filter(|it| others.contains(it));
                    let both: Vec<&str> = both.map(|it| name_of(*it)).collect();
                    if *there == position && !both.is_empty() {
                        let reason = format!(
                            "enforces {} as {other} does: each request would meet it twice; \
                             give each instance in `enforce` what it alone shall do",
                            both.join(", ")
                        );
                        let address = address.clone();
                        found.push(Overlap { address, reason });
                    }
                }
                known.push((address, position, enforced));
            }
        }
    }
    found
}

/// What an instance of the filter does, and where; `None` if it is none, or
/// does nothing.
fn enforced(filter: &Node) -> Option<(Position, Vec<Capability>)> {
    let config = configuration_of(filter)?;
    let all = Capability::ALL.iter().map(|(_, capability)| *capability);
    let enforced = all.filter(|it| config.enforce.has(*it)).collect();
    Some((config.position, enforced))
}

fn name_of(capability: Capability) -> &'static str {
    let all = Capability::ALL.iter();
    let named = all.filter(|(_, it)| *it == capability);
    named.map(|(name, _)| *name).next().unwrap_or_default()
}
