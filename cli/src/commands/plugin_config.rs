//! `btp plugin-config`: the JSON that the filter is given.

use std::path::PathBuf;

use btp_policy::Code;
use btp_policy::path::Path;
use btp_policy::problem::{Problem, Problems};
use btp_policy::read::At;
use btp_policy::{PluginConfig, advice};
use clap::Args;

use super::{Error, Outcome};
use crate::diagnostics::{self, Finding, Format, Location};
use crate::documents::Input;
use crate::envoy::text::json_out;
use crate::output;
use crate::plugin_config_builder::{Instance, NativeFields, compose, in_its_file};

/// The arguments of `btp plugin-config`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Files and directories with policies and ConfigMaps; `-` is stdin
    #[arg(short, long = "file", required = true, value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    instance: Instance,
}

/// Prints the plugin configuration; false if it was refused.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    let Arguments { files, instance } = arguments;
    let mut input = Input::read(files)?;
    let mut findings = input.take_findings();
    if input.policies.is_empty() && input.off.is_empty() && diagnostics::is_fine(&findings) {
        let problem = Problem::new("", Code::NoPolicies, "holds no BackendTrafficPolicy");
        findings.push(Finding::error(problem, Location::Nowhere));
    }
    let config = compose(&input, instance);
    if instance.native_fields != Some(NativeFields::Applied) {
        advise_by_hand(&input, &mut findings);
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
    diagnostics::print(&findings, &input.sources, Format::Text)?;
    if !diagnostics::is_fine(&findings) {
        return Ok(Outcome::Refused);
    }
    output::print(&json_out::indented(&config))?;
    Ok(Outcome::Fine)
}

/// Warns of what nobody sees to where `btp apply` does not set the filter up.
fn advise_by_hand(input: &Input, findings: &mut Vec<Finding>) {
    for object in &input.policies {
        let mut warnings = Problems::default();
        if let Some(node) = object.node.field("spec") {
            let path = Path::Field(&Path::Root, "spec");
            advice::advise_by_hand(At { node, path }, &mut warnings);
        }
        let location = Location::File(object.source);
        let found = warnings.into_vec().into_iter();
        findings.extend(found.map(|problem| Finding::warning(problem, location)));
    }
}
