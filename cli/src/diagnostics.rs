//! The findings of a command, printed for people or for machines.

pub(crate) mod codes;
mod fold;
mod github;
mod json;
mod levels;
mod sarif;
mod source;
#[cfg(test)]
mod tests;
mod text;
mod work;

use std::fmt::Write as _;

use btp_policy::problem::Problem;
use clap::ValueEnum;

use crate::file_error::FileError;
use crate::{output, terminal};

pub(crate) use levels::{IsError, Levels, code};
pub(crate) use source::Source;

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: the line, with the place marked
    Text,
    /// For programs: a JSON list
    Json,
    /// Annotations for GitHub Actions
    Github,
    /// SARIF 2.1.0, for code scanning and editors
    Sarif,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    /// The input is refused.
    Error,
    /// The input is taken, and something about it is unwise.
    Warning,
}

/// Where a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Location {
    /// In the file with this index.
    File(usize),
    /// Nowhere in particular.
    Nowhere,
}

/// Something a command has to say about its input.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) location: Location,
    pub(crate) problem: Problem,
}

impl Finding {
    pub(crate) fn error(problem: Problem, location: Location) -> Self {
        Self {
            severity: Severity::Error,
            location,
            problem,
        }
    }

    pub(crate) fn warning(problem: Problem, location: Location) -> Self {
        Self {
            severity: Severity::Warning,
            location,
            problem,
        }
    }
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The most findings that are shown to people: each is looked up in its file.
const MOST_SHOWN: usize = 500;

/// Prints all findings; for a machine also if there are none.
///
/// # Errors
/// Those for a machine go to stdout, which cannot be written to.
pub(crate) fn print(
    findings: &[Finding],
    sources: &[Source],
    format: Format,
) -> Result<(), FileError> {
    let text = written(findings, sources, format);
    match format {
        Format::Text => {
            terminal::say(&text);
            Ok(())
        }
        Format::Json | Format::Github | Format::Sarif => output::print(&text),
    }
}

/// The findings in a format.
fn written(findings: &[Finding], sources: &[Source], format: Format) -> String {
    match format {
        Format::Text => for_people(findings, sources),
        Format::Github => {
            let lines = findings.iter().map(|it| github::shown(it, sources) + "\n");
            lines.collect()
        }
        Format::Json => format!("{:#}\n", as_json(findings, sources)),
        Format::Sarif => format!("{:#}\n", sarif::log(findings, sources)),
    }
}

/// All findings as a JSON list.
pub(crate) fn as_json(findings: &[Finding], sources: &[Source]) -> serde_json::Value {
    let shown = findings.iter().map(|it| json::shown(it, sources));
    shown.collect::<Vec<_>>().into()
}

fn for_people(findings: &[Finding], sources: &[Source]) -> String {
    let renderer = text::renderer(terminal::has_colours());
    let mut out = String::new();
    let folded = fold::fold(findings);
    for it in folded.iter().take(MOST_SHOWN) {
        let note = it.note(sources);
        let _ = writeln!(out, "{}", text::shown(it.finding, note, sources, &renderer));
    }
    let more = folded.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        let _ = writeln!(out, "and {more} more; --format json prints all of them");
    }
    let first_error = findings.iter().find(|it| it.severity == Severity::Error);
    if let Some(first) = first_error.or(findings.first()) {
        let code = first.problem.code;
        let _ = writeln!(out, "more about a kind of finding: btp explain {code}");
    }
    out
}

/// Whether nothing was refused.
pub(crate) fn is_fine(findings: &[Finding]) -> bool {
    findings
        .iter()
        .all(|finding| finding.severity != Severity::Error)
}

fn source_of<'a>(finding: &Finding, sources: &'a [Source]) -> Option<&'a Source> {
    match finding.location {
        Location::File(index) => sources.get(index),
        Location::Nowhere => None,
    }
}
