//! Which warnings are errors, and which are not shown: `--deny` and `--allow`.

use std::fmt;

use btp_policy::Code;
use clap::Args;

use super::{Finding, Severity};

/// The options.
#[derive(Args, Debug, Default)]
pub(crate) struct Levels {
    /// Turn the warnings of a code (such as BTP0519) into errors, or all of them: warnings
    #[arg(long, value_name = "CODE|warnings", value_delimiter = ',', value_parser = denied)]
    deny: Vec<Denied>,
    /// Hide the warnings of a code
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = code)]
    allow: Vec<Code>,
}

/// What is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    Code(Code),
    Warnings,
}

/// Errors cannot be allowed. Prints as a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IsError(Code);

impl fmt::Display for IsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.0;
        write!(
            formatter,
            "{code} ({}) is an error here, and only warnings can be allowed: remove --allow {code}",
            code.title()
        )
    }
}

impl Levels {
    /// Makes errors of what is denied, and leaves out what is allowed.
    ///
    /// # Errors
    /// What is allowed is an error without being denied.
    pub(crate) fn set(&self, findings: &mut Vec<Finding>) -> Result<(), IsError> {
        let is_error = |it: &&Finding| it.severity == Severity::Error;
        let mut errors = findings.iter().filter(is_error).map(|it| it.problem.code);
        let wrong = errors.find(|code| self.allow.contains(code));
        findings
            .retain(|it| it.severity == Severity::Error || !self.allow.contains(&it.problem.code));
        for finding in findings {
            let denied = Denied::Code(finding.problem.code);
            if self.deny.contains(&denied) || self.deny.contains(&Denied::Warnings) {
                finding.severity = Severity::Error;
            }
        }
        wrong.map_or(Ok(()), |code| Err(IsError(code)))
    }
}

/// The code that is written as `BTP` and four digits.
///
/// # Errors
/// There is none, with the nearest.
pub(crate) fn code(text: &str) -> Result<Code, String> {
    if let Some(code) = Code::parse(text) {
        return Ok(code);
    }
    let Some(number) = Code::number_in(text) else {
        return Err("a code is BTP and four digits, such as BTP0519".to_owned());
    };
    Err(match Code::nearest(number) {
        Some(near) => format!(
            "there is no such code; the nearest is {near}: {}",
            near.title()
        ),
        None => "there is no such code".to_owned(),
    })
}

fn denied(text: &str) -> Result<Denied, String> {
    match text {
        "warnings" => Ok(Denied::Warnings),
        _ => code(text).map(Denied::Code),
    }
}

#[cfg(test)]
mod tests {
    use btp_policy::problem::Problem;

    use super::*;
    use crate::diagnostics::Location;

    fn findings() -> Vec<Finding> {
        let problem = |code| Problem::new("spec", code, "is so");
        vec![
            Finding::error(problem(Code::UnknownField), Location::Nowhere),
            Finding::warning(problem(Code::ManyRetries), Location::Nowhere),
            Finding::warning(problem(Code::CutShort), Location::Nowhere),
        ]
    }

    fn set(deny: &[Denied], allow: &[Code]) -> (Vec<(Code, Severity)>, Result<(), IsError>) {
        let levels = Levels {
            deny: deny.to_vec(),
            allow: allow.to_vec(),
        };
        let mut findings = findings();
        let done = levels.set(&mut findings);
        let shown = findings.iter().map(|it| (it.problem.code, it.severity));
        (shown.collect(), done)
    }

    #[test]
    fn warnings_are_denied_and_allowed_by_their_codes() {
        let (unknown, many, short) = (Code::UnknownField, Code::ManyRetries, Code::CutShort);
        let (error, warning) = (Severity::Error, Severity::Warning);
        let as_it_is = [(unknown, error), (many, warning), (short, warning)];
        assert_eq!(set(&[], &[]), (as_it_is.to_vec(), Ok(())));
        let (shown, done) = set(&[Denied::Code(many)], &[short]);
        assert_eq!(shown, [(unknown, error), (many, error)]);
        assert_eq!(done, Ok(()));
        let (shown, _) = set(&[Denied::Warnings], &[many]);
        assert_eq!(shown, [(unknown, error), (short, error)]);
    }

    #[test]
    fn errors_stay_and_cannot_be_allowed() {
        let (shown, done) = set(&[], &[Code::UnknownField]);
        assert_eq!(shown.len(), 3);
        let said = done.unwrap_err().to_string();
        assert!(
            said.starts_with("BTP0101 (an unknown field) is an error here"),
            "{said}"
        );
    }

    #[test]
    fn codes_that_are_not_there_are_told_with_the_nearest() {
        assert_eq!(code("btp0519"), Ok(Code::ManyRetries));
        assert!(
            code("BTP0599")
                .unwrap_err()
                .contains("the nearest is BTP0601")
        );
        assert!(code("519").unwrap_err().starts_with("a code is BTP"));
        assert_eq!(denied("warnings"), Ok(Denied::Warnings));
    }
}
