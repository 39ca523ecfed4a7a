//! The input files of a command, by either spelling, and its summary line.

use std::path::{Path, PathBuf};

use btp_policy::Code;
use btp_policy::problem::Problem;
use clap::{ArgGroup, Args};

use super::Error;
use crate::diagnostics::{self, Finding, Format, Location, Severity, Source};
use crate::documents::{Input, PassedOver};
use crate::file_error::FileError;
use crate::source_file::is_stdin;
use crate::terminal;

/// The name of `--bootstrap` in messages.
const BOOTSTRAP: &str = "--bootstrap";

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Files {
    /// Files and folders with policies, ConfigMaps and Namespaces; in folders *.yaml, *.yml
    /// and *.json are read; `-` is stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The same as FILE without an option before it
    #[arg(
        short = 'f',
        long = "file",
        visible_alias = "filename",
        value_name = "FILE",
        num_args = 1..
    )]
    named: Vec<PathBuf>,
    /// Accept files without a policy; otherwise that is an error
    #[arg(long)]
    allow_empty: bool,
}

/// What there is to sum up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    policies: usize,
    /// Those that were read for policies.
    files: usize,
    passed_over: PassedOver,
    /// Those of an Envoy configuration, if it is checked as well.
    pub(super) envoy_files: usize,
    /// Whether it is worth a word that there are no problems: what is explained is
    /// not called right by it.
    is_verdict: bool,
}

/// The arguments of which one must be given.
pub(super) fn required(others: &[&'static str]) -> ArgGroup {
    let group = ArgGroup::new("input").args(["files", "named"]);
    group
        .args(others.iter().copied())
        .required(true)
        .multiple(true)
}

impl Files {
    /// Whether there are any.
    pub(super) fn is_given(&self) -> bool {
        !self.files.is_empty() || !self.named.is_empty()
    }

    /// What is given, if it is one thing without an option before it.
    pub(super) fn only(&self) -> Option<&str> {
        match (self.files.as_slice(), self.named.as_slice()) {
            ([only], []) => only.to_str(),
            _ => None,
        }
    }

    /// Reads them; an Envoy configuration is read besides.
    ///
    /// # Errors
    /// A file cannot be read, or stdin is given twice.
    pub(super) fn read(&self, bootstrap: Option<&Path>) -> Result<Input, Error> {
        let mut inputs: Vec<&str> = Vec::new();
        let paths = self.files.iter().chain(&self.named);
        inputs.extend(paths.filter(|it| is_stdin(it)).map(|_| "FILE"));
        inputs.extend(bootstrap.filter(|it| is_stdin(it)).map(|_| BOOTSTRAP));
        if let [first, second, ..] = inputs[..] {
            return Err(Error::StdinTwice(first, second));
        }
        let paths: Vec<PathBuf> = self.files.iter().chain(&self.named).cloned().collect();
        Ok(Input::read(&paths)?)
    }

    /// Refuses files without a policy, unless something else is wrong with them.
    pub(super) fn refuse_none(&self, input: &Input, findings: &mut Vec<Finding>) {
        let is_empty = self.is_given() && input.count() == 0 && !self.allow_empty;
        if is_empty && diagnostics::is_fine(findings) {
            let reason = "the files contain none: is the path right? If it is, give --allow-empty";
            let problem = Problem::new("policies", Code::NoPolicies, reason);
            findings.push(Finding::error(problem, Location::Nowhere));
        }
    }
}

impl Summary {
    /// The summary of the input.
    pub(super) fn of(input: &Input) -> Self {
        Self {
            policies: input.count(),
            files: input.sources.len(),
            passed_over: input.passed_over,
            envoy_files: 0,
            is_verdict: true,
        }
    }

    /// The summary of the input of `explain`.
    pub(super) fn of_explained(input: &Input) -> Self {
        Self {
            is_verdict: false,
            ..Self::of(input)
        }
    }

    /// Prints what was found, and sums it up.
    ///
    /// # Errors
    /// Findings for a machine cannot be written.
    pub(super) fn print(
        self,
        findings: &[Finding],
        sources: &[Source],
        format: Format,
    ) -> Result<(), FileError> {
        diagnostics::print(findings, sources, format)?;
        self.say(findings);
        Ok(())
    }

    /// Sums up what was found.
    pub(super) fn say(self, findings: &[Finding]) {
        terminal::say(&format!("{}\n", self.line(findings)));
    }

    /// The same for programs.
    pub(super) fn as_json(self, findings: &[Finding]) -> serde_json::Value {
        let of = |severity| findings.iter().filter(|it| it.severity == severity).count();
        serde_json::json!({
            "policies": self.policies,
            "files": self.files,
            "passedOver": self.passed_over.files,
            "errors": of(Severity::Error),
            "warnings": of(Severity::Warning),
        })
    }

    fn line(self, findings: &[Finding]) -> String {
        let mut line = match self.files {
            0 => "no policies".to_owned(),
            files => format!(
                "{} in {}",
                counted(self.policies, "policy", "policies"),
                counted(files, "file", "files")
            ),
        };
        if self.envoy_files > 0 {
            let files = counted(self.envoy_files, "file", "files");
            line.push_str(&format!(", an Envoy configuration in {files}"));
        }
        let of = |severity| findings.iter().filter(|it| it.severity == severity).count();
        let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
        let counts = [
            (errors, "error", "errors"),
            (warnings, "warning", "warnings"),
        ];
        let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
        let counts: Vec<String> = counts.map(|(n, one, many)| counted(n, one, many)).collect();
        match counts.is_empty() {
            true if self.is_verdict => line.push_str(": no problems"),
            true => {}
            false => line.push_str(&format!(": {}", counts.join(", "))),
        }
        let PassedOver { files, templates } = self.passed_over;
        if files > 0 {
            let other = counted(files, "other file", "other files");
            line.push_str(&format!("; {other} ignored"));
        }
        if templates > 0 {
            let which = match templates == files {
                true => String::new(),
                false => format!("{templates} of them "),
            };
            let what = if templates == 1 {
                "a Helm template"
            } else {
                "Helm templates"
            };
            line.push_str(&format!(", {which}{what}: {}", PassedOver::ADVICE));
        }
        line
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(policies: usize, files: usize, others: usize, templates: usize) -> Summary {
        Summary {
            policies,
            files,
            passed_over: PassedOver {
                files: others,
                templates,
            },
            envoy_files: 0,
            is_verdict: true,
        }
    }

    #[test]
    fn one_is_told_from_many() {
        let problem = || Problem::new("a", Code::ManyRetries, "b");
        let error = || Finding::error(problem(), Location::Nowhere);
        let warning = || Finding::warning(problem(), Location::Nowhere);
        let line = |summary: Summary, findings: &[Finding]| summary.line(findings);
        assert_eq!(
            line(summary(3, 2, 0, 0), &[]),
            "3 policies in 2 files: no problems"
        );
        assert_eq!(
            line(summary(1, 1, 1, 0), &[error(), warning(), warning()]),
            "1 policy in 1 file: 1 error, 2 warnings; 1 other file ignored"
        );
        assert_eq!(
            line(summary(1, 1, 4, 1), &[]),
            "1 policy in 1 file: no problems; 4 other files ignored, 1 of them a Helm template: \
             render it first (helm template CHART)"
        );
        let with_envoy = Summary {
            envoy_files: 1,
            ..summary(0, 0, 0, 0)
        };
        assert_eq!(
            line(with_envoy, &[warning()]),
            "no policies, an Envoy configuration in 1 file: 1 warning"
        );
    }
}
