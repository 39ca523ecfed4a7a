//! What the fuzz targets came to, as a part of docs/RELIABILITY.md.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::measure::thousands;
use crate::repo;

/// What `cargo xtask fuzz --record` writes. The findings are written by hand.
const RECORD: &str = "docs/reliability/fuzz.json";

/// The runs of one target.
#[derive(Debug, Deserialize)]
struct Runs {
    target: String,
    runs: u64,
    events: Option<u64>,
    seconds: u64,
    date: String,
    commit: String,
    findings: Vec<String>,
}

/// The part of the page that tells of them.
pub(super) fn section() -> Result<String> {
    let text = fs::read_to_string(repo::path(RECORD)).with_context(|| format!("no {RECORD}"))?;
    let all: Vec<Runs> = serde_json::from_str(&text).with_context(|| RECORD.to_owned())?;
    Ok(told(&all))
}

fn told(all: &[Runs]) -> String {
    let mut section = String::from(
        "\n## Fuzzing\n\n\
         From [reliability/fuzz.json](reliability/fuzz.json), which `cargo xtask fuzz --record`\n\
         writes. `exchange` and `seeded` play scripts: any event in any order, on several workers,\n\
         with updates and dead machines, against all capabilities at once. Each decision of the engine\n\
         must be valid at that moment, and in the end every account must be zero\n\
         (`filter/engine/src/testing/script.rs`). The other targets feed a parser.\n\n\
         | target | inputs | events | seconds | day | commit |\n|---|---|---|---|---|---|\n",
    );
    for run in all {
        let events = run.events.map_or_else(|| "–".to_owned(), thousands);
        let _ = writeln!(
            section,
            "| {} | {} | {events} | {} | {} | {} |",
            run.target,
            thousands(run.runs),
            thousands(run.seconds),
            run.date,
            run.commit,
        );
    }
    section.push_str("\nFound by these runs, and fixed:\n\n");
    let found = all.iter().flat_map(|run| &run.findings);
    found.for_each(|finding| {
        let _ = writeln!(section, "- {finding}");
    });
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_findings_stand_on_the_page() {
        let runs = Runs {
            target: "exchange".to_owned(),
            runs: 10_000_000,
            events: Some(1234),
            seconds: 5,
            date: "2026-11-28".to_owned(),
            commit: "abc".to_owned(),
            findings: vec!["A thing.".to_owned()],
        };
        let told = told(&[runs]);
        assert!(told.contains("| exchange | 10,000,000 | 1,234 | 5 | 2026-11-28 | abc |\n"));
        assert!(told.ends_with("- A thing.\n"));
    }
}
