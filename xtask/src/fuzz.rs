//! The fuzz targets: built with the stable compiler, run by libFuzzer.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::project::Project;
use crate::{packages, sh};

/// Their workspace.
pub(crate) const MANIFEST: &str = "tests/fuzz/Cargo.toml";

/// What the runs of record came to; docs/RELIABILITY.md cites it.
const RECORD: &str = "docs/reliability/fuzz.json";

/// What lets libFuzzer see which branches an input takes.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// Where the drawing of inputs begins.
const SEED: u32 = 14;
/// The longest input, in bytes.
const LONGEST: u32 = 512;

/// What a run printed of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    runs: u64,
    /// Events of all scripts, where inputs are scripts.
    events: Option<u64>,
    /// Edges of the program that were taken.
    edges: u64,
}

/// Builds all targets.
pub(crate) fn build(project: &Project) -> Result<()> {
    packages::need_program(project, "c++", &["g++"])?;
    sh::run(
        project
            .cargo([
                "build",
                "--manifest-path",
                MANIFEST,
                "--bins",
                "--target-dir",
            ])
            .arg(project.target.join("fuzz")),
    )
}

/// Runs one target, or all of them one after the other, for so many inputs
/// each.
pub(crate) fn run(project: &Project, target: Option<&str>, runs: u64, record: bool) -> Result<()> {
    let known = targets(project)?;
    let chosen: Vec<&str> = match target {
        None => known.iter().map(String::as_str).collect(),
        Some(target) if known.iter().any(|it| it == target) => vec![target],
        Some(target) => bail!(
            "there is no target {target}; there are {}",
            known.join(", ")
        ),
    };
    packages::need_program(project, "c++", &["g++"])?;
    let dir = project.target.join("fuzz");
    // With a target of its own the flags do not reach build scripts.
    let host = host(project)?;
    sh::run(
        project
            .cargo(["build", "--release", "--manifest-path", MANIFEST])
            .args(["--bins", "--target", &host, "--target-dir"])
            .arg(&dir)
            .env("RUSTFLAGS", format!("{} --cfg fuzzing", COVERAGE.join(" "))),
    )?;
    let commit = sh::read(
        project
            .command("git")
            .args(["rev-parse", "--short=7", "HEAD"]),
    )?;
    for target in chosen {
        let start = Instant::now();
        let figures = run_one(
            project,
            &dir,
            &dir.join(&host).join("release").join(target),
            target,
            runs,
        )?;
        let seconds = start.elapsed().as_secs();
        println!("{target}: {figures:?} in {seconds} s");
        if record {
            write_record(project, target, &figures, (seconds, commit.trim()))?;
        }
    }
    Ok(())
}

/// What this machine is called as a target.
fn host(project: &Project) -> Result<String> {
    let said = sh::read(project.command("rustc").arg("-vV"))?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}

/// The names of the targets.
fn targets(project: &Project) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(project.root.join("tests/fuzz/targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|it| it.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// A crash leaves its input in target/fuzz/artifacts.
fn run_one(
    project: &Project,
    dir: &Path,
    program: &Path,
    target: &str,
    runs: u64,
) -> Result<Figures> {
    let corpus = dir.join("corpus").join(target);
    let artifacts = dir.join("artifacts");
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let log = dir.join(format!("{target}.log"));
    let mut command = project.command(&program.to_string_lossy());
    command
        .arg(format!("-runs={runs}"))
        .arg(format!("-seed={SEED}"))
        .arg(format!("-max_len={LONGEST}"))
        .arg(format!(
            "-artifact_prefix={}/{target}-",
            artifacts.display()
        ))
        .arg(&corpus)
        .stderr(fs::File::create(&log).with_context(|| format!("no {}", log.display()))?)
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let mut figures = Figures::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            figures.read(&line?);
        }
    }
    let status = child.wait()?;
    let said = fs::read_to_string(&log)?;
    said.lines().for_each(|line| figures.read(line));
    if !status.success() {
        bail!(
            "{target} has found something ({status}): see the end of {}",
            log.display()
        );
    }
    Ok(figures)
}

impl Figures {
    /// Takes what a line of a target or of libFuzzer says.
    fn read(&mut self, line: &str) {
        let after = |word: &str| -> Option<u64> {
            let (_, rest) = line.split_once(word)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        if line.starts_with("scripts: ") {
            self.events = after("events: ").or(self.events);
        } else if line.starts_with("Done ") {
            self.runs = after("Done ").unwrap_or(self.runs);
        } else if line.starts_with('#') {
            self.edges = after(" cov: ").unwrap_or(self.edges);
        }
    }
}

/// Replaces the target's entry. What was found is written there by hand, and
/// stays.
fn write_record(
    project: &Project,
    target: &str,
    figures: &Figures,
    (seconds, commit): (u64, &str),
) -> Result<()> {
    let path = project.root.join(RECORD);
    let mut entries: Vec<Value> = match fs::read_to_string(&path) {
        Ok(text) => {
            serde_json::from_str(&text).with_context(|| format!("{} is no list", path.display()))?
        }
        Err(_) => Vec::new(),
    };
    let date = sh::read(project.command("date").args(["-u", "+%Y-%m-%d"]))?;
    let found = entries.iter().position(|entry| entry["target"] == target);
    let findings = found.map_or(json!([]), |at| entries.remove(at)["findings"].take());
    entries.push(json!({
        "target": target,
        "runs": figures.runs,
        "events": figures.events,
        "edges": figures.edges,
        "seconds": seconds,
        "seed": SEED,
        "date": date.trim(),
        "commit": commit,
        "findings": findings,
    }));
    entries.sort_by_key(|entry| entry["target"].to_string());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(&path, serde_json::to_string_pretty(&entries)? + "\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn figures_are_read_from_what_libfuzzer_prints() {
        let mut figures = Figures::default();
        for line in [
            "INFO: seed corpus: files: 3 min: 1b max: 512b total: 900b rss: 40Mb",
            "#4\tINITED cov: 12 ft: 20 corp: 3/12b exec/s: 0 rss: 40Mb",
            "#20000\tpulse  cov: 2541 ft: 9000 corp: 312/40Kb exec/s: 10000 rss: 90Mb",
            "scripts: 10000 events: 612345",
            "Done 20000 runs in 2 second(s)",
        ] {
            figures.read(line);
        }
        let wanted = Figures {
            runs: 20_000,
            events: Some(612_345),
            edges: 2541,
        };
        assert_eq!(figures, wanted);
    }
}
