//! What is wrong with an Envoy configuration, and unwise in it under policies.

use std::path::Path;

use btp_policy::Policy;

use crate::apply::attach::attach;
use crate::apply::hcm;
use crate::apply::overlap::overlaps;
use crate::diagnostics::{Finding, Location, Source};
use crate::envoy::capabilities::lacks;
use crate::envoy::files::Config;
use crate::envoy::model::Model;

/// Finds what is wrong with a bootstrap by itself, and what is unwise in it
/// under the policies that are to be applied and those that stand in it; its
/// files are added to `sources`.
pub(super) fn lint(
    bootstrap: &Path,
    policies: &[Policy],
    sources: &mut Vec<Source>,
    findings: &mut Vec<Finding>,
) -> Result<(), String> {
    let mut config = Config::read(bootstrap)?;
    config.follow_extensions()?;
    let mut problems = std::mem::take(&mut config.problems);
    let model = Model::read(&config);
    let found = overlaps(&config, &model).into_iter();
    problems.extend(found.map(|it| (it.address.file, it.problem(&config))));
    let base = sources.len();
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
    if let Ok(attached) = attach(&config, &model, policies, None) {
        let mut more = hcm::hints(&config, &model, policies, &attached);
        more.extend(hcm::hints_of_usual_places(
            &config, &model, policies, &attached,
        ));
        hints.extend(
            more.into_iter()
                .filter(|it| !hints.contains(it))
                .collect::<Vec<_>>(),
        );
    }
    let placed = hints.into_iter();
    findings.extend(placed.map(|(file, it)| Finding::warning(it, Location::File(base + file))));
    sources.extend(config.files.into_iter().map(|file| file.source));
    Ok(())
}
