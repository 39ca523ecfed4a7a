//! `btp lint`: everything that is wrong with some policies.

use std::path::PathBuf;

use btp_policy::Policy;
use btp_policy::problem::Problems;
use btp_policy::read::At;

use crate::input::Input;
use crate::report::{self, Finding, Format, Place};

/// Prints what is wrong; false if anything is.
pub(crate) fn run(files: &[PathBuf], format: Format) -> Result<bool, String> {
    let input = Input::read(files)?;
    let mut findings = input.findings;
    for policy in &input.policies {
        let mut problems = Problems::default();
        Policy::read(At::root(&policy.node), &mut problems);
        let found = problems.into_vec().into_iter();
        findings.extend(found.map(|problem| Finding::error(problem, Place::File(policy.source))));
    }
    report::print(&findings, &input.sources, format);
    Ok(report::is_fine(&findings))
}
