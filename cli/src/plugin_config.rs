//! `btp plugin-config`: the JSON that the filter is given.

use std::path::PathBuf;

use btp_policy::PluginConfig;
use btp_policy::problem::Problem;

use crate::compose::{Instance, compose, in_its_file};
use crate::input::Input;
use crate::report::{self, Finding, Format, Place};

/// Prints the plugin configuration; false if it was refused.
pub(crate) fn run(files: &[PathBuf], instance: &Instance) -> Result<bool, String> {
    let mut input = Input::read(files)?;
    let mut findings = std::mem::take(&mut input.findings);
    if input.policies.is_empty() && input.off.is_empty() && report::is_fine(&findings) {
        let problem = Problem::new("", "holds no BackendTrafficPolicy");
        findings.push(Finding::error(problem, Place::Nowhere));
    }
    let config = compose(&input, instance);
    match PluginConfig::from_node(&config) {
        Ok(read) => findings.extend(read.warnings.into_iter().map(|problem| {
            let (problem, place) = in_its_file(problem, &input);
            Finding::warning(problem, place)
        })),
        Err(problems) => findings.extend(problems.into_iter().map(|problem| {
            let (problem, place) = in_its_file(problem, &input);
            Finding::error(problem, place)
        })),
    }
    report::print(&findings, &input.sources, Format::Text);
    if !report::is_fine(&findings) {
        return Ok(false);
    }
    let text = serde_json::to_string_pretty(&config).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(true)
}
