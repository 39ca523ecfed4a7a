//! Equal findings at several places: many of them are shown as one, with a count.

use std::collections::HashMap;

use btp_policy::path::Step;
use btp_policy::{Code, presentable};

use super::{Finding, Severity, Source, source_of, work};

/// So many that say the same are shown one by one.
const FEW: usize = 3;
/// The most places that are named of others.
const PLACES: usize = 5;

/// A finding, and those that say the same of other places.
#[derive(Debug)]
pub(super) struct Folded<'a> {
    pub(super) finding: &'a Finding,
    others: Vec<&'a Finding>,
}

/// The common parts of findings with the same message: the fields of the path, without the
/// items of lists.
#[derive(PartialEq, Eq, Hash)]
struct Wording<'a> {
    severity: Severity,
    code: Code,
    reason: &'a str,
    fields: Vec<&'a str>,
}

/// The findings in order, with equal ones at the place of the first.
pub(super) fn fold(findings: &[Finding]) -> Vec<Folded<'_>> {
    let mut all: HashMap<Wording<'_>, Vec<&Finding>> = HashMap::new();
    for finding in findings {
        work::done(1);
        all.entry(Wording::of(finding)).or_default().push(finding);
    }
    let mut folded = Vec::new();
    for finding in findings {
        work::done(1);
        let others = match all.get_mut(&Wording::of(finding)) {
            Some(same) if same.len() > FEW => std::mem::take(same).split_off(1),
            // Those of which the first one has been here.
            Some(same) if same.is_empty() => continue,
            _ => Vec::new(),
        };
        folded.push(Folded { finding, others });
    }
    folded
}

impl Folded<'_> {
    /// How many more there are, and where.
    pub(super) fn note(&self, sources: &[Source]) -> Option<String> {
        let place = |finding: &&Finding| {
            let mark = finding.problem.mark;
            let name = presentable(&source_of(finding, sources)?.name);
            match mark.is_known() {
                true => Some(format!("{name}:{}:{}", mark.line, mark.column)),
                false => Some(name.into_owned()),
            }
        };
        let count = self.others.len();
        if count == 0 {
            return None;
        }
        let mut places: Vec<String> = self.others.iter().take(PLACES).filter_map(place).collect();
        if count > PLACES && !places.is_empty() {
            places.push("…".to_owned());
        }
        let places = match places.is_empty() {
            true => String::new(),
            false => format!(": {}", places.join(", ")),
        };
        Some(format!("the same applies in {count} other places{places}"))
    }
}

impl<'a> Wording<'a> {
    fn of(finding: &'a Finding) -> Self {
        let problem = &finding.problem;
        let fields = problem.path.steps().iter();
        Self {
            severity: finding.severity,
            code: problem.code,
            reason: &problem.reason,
            fields: fields
                .filter_map(|step| match step {
                    Step::Field(name) => Some(&**name),
                    Step::Item(_) => None,
                })
                .collect(),
        }
    }
}
