//! Why policies cannot be applied: errors, each with its place in a file.

use std::collections::BTreeSet;

use btp_policy::Code;
use btp_policy::path::FieldPath;
use btp_policy::problem::Problem;

use crate::diagnostics::{Finding, Location};
use crate::documents::Input;
use crate::envoy::address::{Address, Step};
use crate::envoy::files::{Config, problem_at};
use crate::envoy::tree::WrongKind;

/// What a finding says, and of what.
type Said = (Location, FieldPath, String);

/// The findings so far, errors counted. The files of the configuration come
/// after those of the input.
pub(super) struct Errors<'a> {
    findings: &'a mut Vec<Finding>,
    said: BTreeSet<Said>,
    input: &'a Input,
    count: usize,
}

impl<'a> Errors<'a> {
    pub(super) fn new(findings: &'a mut Vec<Finding>, input: &'a Input) -> Self {
        let said = findings.iter().map(said).collect();
        Self {
            findings,
            said,
            input,
            count: 0,
        }
    }

    /// Whether there are no errors.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The place of a file of the configuration.
    pub(super) fn location(&self, file: usize) -> Location {
        Location::File(self.input.sources.len() + file)
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.count += 1;
        self.said.insert(said(&finding));
        self.findings.push(finding);
    }

    /// Adds what is wrong, unless it has been said.
    pub(super) fn add_once(&mut self, finding: Finding) {
        if !self.said.contains(&said(&finding)) {
            self.add(finding);
        }
    }

    /// Adds a problem with a file of the configuration.
    pub(super) fn file(&mut self, file: usize, problem: Problem) {
        self.add(Finding::error(problem, self.location(file)));
    }

    /// Adds what is unwise about a file of the configuration.
    pub(super) fn warn(&mut self, file: usize, problem: Problem) {
        self.findings
            .push(Finding::warning(problem, self.location(file)));
    }

    /// Adds a finding that is grave or not.
    pub(super) fn weigh(&mut self, finding: Finding, is_grave: bool) {
        self.count += usize::from(is_grave);
        self.findings.push(finding);
    }

    /// Refuses an object of the configuration.
    pub(super) fn refuse(
        &mut self,
        config: &Config,
        address: &Address,
        code: Code,
        reason: impl Into<String>,
    ) {
        self.file(address.file, problem_at(config, address, code, reason));
    }

    /// Refuses a value of the wrong kind in an object of the configuration.
    pub(super) fn wrong_kind(&mut self, config: &Config, object: &Address, wrong: &WrongKind) {
        let mut address = object.clone();
        let steps = wrong.field.split('.').map(|it| Step::Key(it.to_owned()));
        address.path.extend(steps);
        self.refuse(config, &address, Code::WrongShape, wrong.to_string());
    }

    /// Adds what is unwise about a field of a policy.
    pub(super) fn lint(&mut self, policy: usize, path: FieldPath, code: Code, reason: String) {
        let (problem, location) = self.field(policy, path, code, reason);
        self.findings.push(Finding::warning(problem, location));
    }

    /// Refuses a field of a policy, once.
    pub(super) fn refuse_field(
        &mut self,
        policy: usize,
        path: FieldPath,
        code: Code,
        reason: impl Into<String>,
    ) {
        let (problem, location) = self.field(policy, path, code, reason);
        self.add_once(Finding::error(problem, location));
    }

    /// A problem with a field of a policy, and where that is.
    fn field(
        &self,
        policy: usize,
        path: FieldPath,
        code: Code,
        reason: impl Into<String>,
    ) -> (Problem, Location) {
        let object = &self.input.policies[policy];
        let mark = path.closest(&object.node).mark;
        let problem = Problem::new(path, code, reason).at(mark);
        (problem, Location::File(object.source))
    }
}

fn said(finding: &Finding) -> Said {
    let problem = &finding.problem;
    (
        finding.location,
        problem.path.clone(),
        problem.reason.clone(),
    )
}
