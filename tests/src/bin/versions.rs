//! Runs the scenario tables on the Envoy at hand, keeps what came of it in
//! docs/versions, and writes docs/VERSIONS.md from all that is kept there.

use std::fs;

use anyhow::{Context, Result};
use btp_tests::scenario::{self, Table};
use btp_tests::versions::{self, Failed, Run, TableRun};
use btp_tests::{Build, Envoy, repo};

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
    run.tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(run)
}

/// Why Envoy did not start: the first that its log says of the filter's build.
fn reason(log: &str) -> Result<String> {
    let component = format!("][{}]", Build::under_test()?.log_component());
    let mut lines = log.lines().filter(|line| line.contains(&component));
    let line = lines.next().with_context(|| log.to_owned())?;
    let (_, said) = line.rsplit_once("] ").with_context(|| line.to_owned())?;
    Ok(said.to_owned())
}
