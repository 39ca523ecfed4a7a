//! Errors that the filter finds only in all documents together: two policies that a merge
//! combines, and ConfigMaps without the key for a body.

use std::collections::BTreeSet;

use btp_policy::{Code, HeldHeaders, PluginConfig};

use crate::diagnostics::{Finding, Location, Severity};
use crate::documents::Input;
use crate::plugin_config_builder::{Instance, NativeFields, compose, in_its_file};

/// Causes that are no mistake in these documents: `btp apply` handles the first, and the
/// other is reported for each policy that loses.
const SAID_ELSEWHERE: [Code; 2] = [Code::InternalRedirect, Code::TwoForEverything];

/// Adds what the filter would refuse of a configuration with all of them.
pub(super) fn check(input: &Input, findings: &mut Vec<Finding>) {
    let instance = Instance {
        native_fields: Some(NativeFields::Applied),
        ..Instance::default()
    };
    let config = compose(input, &instance);
    let Err(problems) = PluginConfig::from_node_with(&config, HeldHeaders::Always) else {
        return;
    };
    let place = |it: &Finding| match it.location {
        Location::File(file) => Some((file, it.problem.path.clone())),
        Location::Nowhere => None,
    };
    let errors = findings.iter().filter(|it| it.severity == Severity::Error);
    let known: BTreeSet<_> = errors.filter_map(place).collect();
    for problem in problems {
        if SAID_ELSEWHERE.contains(&problem.code) {
            continue;
        }
        let (problem, location) = in_its_file(problem, input);
        let finding = match problem.code {
            // Another file may have it, which `btp apply` is given as well.
            Code::ConfigMapNotFound => Finding::warning(problem, location),
            _ => Finding::error(problem, location),
        };
        if place(&finding).is_none_or(|it| !known.contains(&it)) {
            findings.push(finding);
        }
    }
}
