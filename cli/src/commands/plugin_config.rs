//! `btp plugin-config`: the JSON that the filter is given.

use btp_policy::path::Path;
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
use btp_policy::{PluginConfig, spec};
use clap::Args;

use super::files::{Files, Summary, required};
use super::{Error, Outcome};
use crate::diagnostics::{self, Finding, Format, Location};
use crate::documents::Input;
use crate::envoy::text::json_out;
use crate::output;
use crate::plugin_config_builder::{Instance, NativeFields, compose, in_its_file};

/// The arguments of `btp plugin-config`.
#[derive(Args, Debug)]
#[command(group = required(&[]))]
pub(super) struct Arguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    instance: Instance,
}

/// Prints the plugin configuration; false if it was refused.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    let Arguments { files, instance } = arguments;
    let mut input = files.read(None)?;
    let summary = Summary::of(&input);
    let mut findings = input.take_findings();
    files.refuse_none(&input, &mut findings);
    let config = compose(&input, instance);
    if instance.native_fields != Some(NativeFields::Applied) {
        lint_by_hand(&input, &mut findings);
    }
    match PluginConfig::from_node(&config) {
        Ok(read) => findings.extend(read.warnings.into_iter().map(|problem| {
            let (problem, location) = in_its_file(problem, &input);
            Finding::warning(problem, location)
        })),
        Err(problems) => findings.extend(problems.into_iter().map(|problem| {
            let (problem, location) = in_its_file(problem, &input);
            Finding::error(problem, location)
        })),
    }
    summary.print(&findings, &input.sources, Format::Text)?;
    if !diagnostics::is_fine(&findings) {
        return Ok(Outcome::Refused);
    }
    output::print(&json_out::indented(&config))?;
    Ok(Outcome::Fine)
}

/// Warns of settings that `btp apply` would set and that are now the user's task.
fn lint_by_hand(input: &Input, findings: &mut Vec<Finding>) {
    for object in &input.policies {
        let mut warnings = Problems::default();
        if let Some(node) = object.node.field("spec") {
            let path = Path::Field(&Path::Root, "spec");
            spec::lint_by_hand(Cursor { node, path }, &mut warnings);
        }
        let location = Location::File(object.source);
        let found = warnings.into_vec().into_iter();
        findings.extend(found.map(|problem| Finding::warning(problem, location)));
    }
}
