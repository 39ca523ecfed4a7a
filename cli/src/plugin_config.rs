//! `btp plugin-config`: the JSON that the filter is given.

use std::path::PathBuf;

use btp_policy::PluginConfig;
use btp_policy::node::{Node, Value};
use btp_policy::problem::Problem;

use crate::input::{Input, Object};
use crate::report::{self, Finding, Format, Place};

/// Prints the plugin configuration; false if it was refused.
pub(crate) fn run(files: &[PathBuf]) -> Result<bool, String> {
    let input = Input::read(files)?;
    let mut findings = input.findings;
    if input.policies.is_empty() && findings.is_empty() {
        let problem = Problem::new("", "holds no BackendTrafficPolicy");
        findings.push(Finding::error(problem, Place::Nowhere));
    }
    let config = compose(&input.policies);
    if let Err(problems) = PluginConfig::from_node(&config) {
        let sources: Vec<usize> = input.policies.iter().map(|policy| policy.source).collect();
        let found = problems
            .into_iter()
            .map(|problem| in_its_file(problem, &sources));
        findings.extend(found);
    }
    report::print(&findings, &input.sources, Format::Text);
    if !report::is_fine(&findings) {
        return Ok(false);
    }
    let text = serde_json::to_string_pretty(&config).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(true)
}

/// The plugin configuration of these policies.
pub(crate) fn compose(policies: &[Object]) -> Node {
    let policies = policies.iter().map(|policy| policy.node.clone()).collect();
    let policies = Node::unplaced(Value::List(policies));
    Node::unplaced(Value::map([("policies", policies)]))
}

/// A problem with `policies[i].spec.…` as one with `spec.…` of the file that
/// holds the policy.
pub(crate) fn in_its_file(mut problem: Problem, sources: &[usize]) -> Finding {
    let inner = problem
        .path
        .strip_prefix("policies[")
        .and_then(|rest| rest.split_once(']'));
    let Some((index, path)) = inner else {
        return Finding::error(problem, Place::Nowhere);
    };
    let source = index
        .parse()
        .ok()
        .and_then(|index: usize| sources.get(index));
    let place = source.map_or(Place::Nowhere, |source| Place::File(*source));
    problem.path = path.trim_start_matches('.').to_owned();
    Finding::error(problem, place)
}
