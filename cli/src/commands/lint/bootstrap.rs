//! What is wrong with an Envoy configuration, and unwise in it under policies.

use std::collections::HashSet;
use std::path::Path;

use btp_policy::Policy;
use btp_policy::problem::Problem;
use btp_policy::scalar::ObjectName;

use crate::apply::attach::{Attached, Surroundings, attach, attach_l4};
use crate::apply::overlap::overlaps;
use crate::apply::targets::missing;
use crate::apply::{buffers, effective, hcm, known_routes, services, unwise};
use crate::diagnostics::{Finding, Location};
use crate::documents::Input;
use crate::envoy::capabilities::lacks;
use crate::envoy::files::Config;
use crate::envoy::model::Model;
use crate::envoy::module::flaws;
use crate::envoy::route_metadata::Form;
use crate::file_error::FileError;

/// Finds errors in a bootstrap, and warnings about it under the given policies and those
/// that it contains. Adds its files to those of the input.
pub(super) fn lint(
    bootstrap: &Path,
    gateway: Option<ObjectName>,
    policies: &[Policy],
    input: &mut Input,
    findings: &mut Vec<Finding>,
) -> Result<(), FileError> {
    let mut config = Config::read(bootstrap)?;
    config.follow_extensions()?;
    let mut problems = std::mem::take(&mut config.problems);
    let model = Model::read(&config, Form::Nested);
    let found = overlaps(&config, &model).into_iter();
    problems.extend(found.map(|it| (it.address.file, it.problem(&config))));
    problems.extend(known_routes::wrong(&config, &model));
    let base = input.sources.len();
    let found = lacks(&config).into_iter().chain(flaws(&config));
    findings.extend(found.map(|it| {
        let location = Location::File(base + it.address.file);
        it.finding(&config, location)
    }));
    let placed = problems.into_iter();
    findings.extend(placed.map(|(file, it)| Finding::error(it, Location::File(base + file))));
    let mut hints = hcm::hints_of_instances(&config, &model);
    hints.extend(hcm::hints_of_places(&config, &model, |_| None));
    hints.extend(hcm::hints_of_modules(&config, &model));
    hints.extend(hcm::hints_of_labels(&config, &model));
    let surroundings = Surroundings {
        gateway: gateway.as_ref(),
        namespaces: &input.namespaces,
    };
    // Where it cannot be told who governs what, `apply` says so.
    if let (Ok(attached), Ok(l4)) = (
        attach(&config, &model, policies, surroundings),
        attach_l4(&config, &model, policies, surroundings),
    ) {
        let mut more = hcm::hints(&config, &model, policies, &attached);
        more.extend(hcm::hints_of_usual_places(
            &config, &model, policies, &attached,
        ));
        let known: HashSet<(usize, String)> = hints.iter().map(said).collect();
        more.retain(|it| !known.contains(&said(it)));
        hints.extend(more);
        let all = Attached {
            model: &model,
            http: &attached,
            l4: &l4,
            namespaces: &input.namespaces,
        };
        // Without policies that are right there are none.
        let specs = &input.specs()[..policies.len()];
        let mut effective = effective::all(policies, specs, all);
        services::add(&config, all, policies, specs, &mut effective);
        findings.extend(missing(&config, all, policies).into_iter().map(|it| {
            let object = &input.policies[it.policy];
            let mark = it.path.closest(&object.node).mark;
            let problem = Problem::new(it.path, it.reason.code(), it.reason.to_string()).at(mark);
            Finding::warning(problem, Location::File(object.source))
        }));
        hints.extend(hcm::hints_of_global_limits(&config, &model, &effective));
        let mut found = unwise::find_all(&config, &model, &effective);
        found.extend(buffers::too_small(&config, &model, &effective));
        findings.extend(found.into_iter().map(|it| it.finding(input)));
    }
    let placed = hints.into_iter();
    findings.extend(placed.map(|(file, it)| Finding::warning(it, Location::File(base + file))));
    let files = config.files.into_iter();
    input.sources.extend(files.map(|file| file.source));
    Ok(())
}

/// What a hint says, and of what in which file.
fn said((file, problem): &(usize, Problem)) -> (usize, String) {
    (*file, problem.to_string())
}
