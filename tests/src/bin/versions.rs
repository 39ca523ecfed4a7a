//! Runs the scenario tables on the Envoy at hand, keeps what came of it in
//! docs/versions, and writes docs/VERSIONS.md from all that is kept there.

use std::fs;

use anyhow::{Context, Result};
use btp_tests::bootstrap::MOUNTED_MODULE;
use btp_tests::scenario::{self, Table};
use btp_tests::series::Place;
use btp_tests::versions::{self, Failed, Run, TableRun};
use btp_tests::{Build, Envoy, repo};

/// Of a reason on the page, in characters.
const LONGEST: usize = 400;

#[tokio::main]
async fn main() -> Result<()> {
    let run = run().await?;
    let file = repo::path(versions::DIR).join(format!("{}-{}.json", run.version, run.build));
    fs::create_dir_all(repo::path(versions::DIR))?;
    fs::write(&file, serde_json::to_string_pretty(&run)? + "\n")?;
    fs::write(
        repo::path(versions::PAGE),
        versions::page(&versions::kept()?),
    )?;
    Ok(())
}

async fn run() -> Result<Run> {
    let (major, minor, patch) = repo::envoy_version()?;
    let mut run = Run {
        version: format!("{major}.{minor}.{patch}"),
        build: Build::under_test()?.name().to_owned(),
        refused: None,
        tables: Vec::new(),
    };
    let plain = btp_tests::Builder::new().plugin(&serde_json::json!({"policies": []}));
    if let Err(error) = Envoy::start(&plain.build()?).await {
        run.refused = Some(reason(&format!("{error:#}"))?);
        return Ok(run);
    }
    for file in fs::read_dir(repo::path("tests/scenarios"))? {
        let file = file?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let table = Table::load(&file)?;
        let tried = scenario::try_table_on_envoy(&table).await;
        let (refused, failures) = match tried {
            Ok(failures) => (None, failures.rows),
            Err(error) => (Some(reason(&format!("{error:#}"))?), Vec::new()),
        };
        let failed = failures.into_iter();
        run.tables.push(TableRun {
            name: name.into_owned(),
            rows: table.scenarios.len(),
            refused,
            failed: failed.map(|(row, wrong)| Failed { row, wrong }).collect(),
        });
    }
    run.tables.push(metrics().await);
    run.tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(run)
}

/// A row for each place of the filter: the names of its series are the same.
async fn metrics() -> TableRun {
    let mut failed = Vec::new();
    for place in Place::ALL {
        if let Err(error) = place.check().await {
            failed.push(Failed {
                row: format!("{place:?}"),
                wrong: vec![format!("{error:#}").chars().take(LONGEST).collect()],
            });
        }
    }
    TableRun {
        name: "metrics".to_owned(),
        rows: Place::ALL.len(),
        refused: None,
        failed,
    }
}

/// Why Envoy did not start: the first error that its log has of the filter's build, or
/// else of the configuration as a whole.
fn reason(log: &str) -> Result<String> {
    let own = format!("][{}]", Build::under_test()?.log_component());
    let find = |component: &str| {
        let is_error = |line: &&str| ["[error]", "[critical]"].iter().any(|it| line.contains(it));
        let mut lines = log.lines().filter(is_error);
        lines.find(|line| line.contains(component))
    };
    let line = find(&own).or_else(|| find("][main]"));
    let line = line.with_context(|| log.to_owned())?;
    let (_, said) = line
        .split_once("] [")
        .and_then(|(_, it)| it.split_once("] "))
        .with_context(|| line.to_owned())?;
    let said = said.strip_prefix("error `").unwrap_or(said);
    let (said, _) = said
        .split_once("` initializing config")
        .unwrap_or((said, ""));
    let said = said.replace(&repo::module()?.display().to_string(), MOUNTED_MODULE);
    // Envoy puts blanks at random places of some messages.
    let words: Vec<&str> = said.split_whitespace().collect();
    Ok(words.join(" ").chars().take(LONGEST).collect())
}
