//! The fuzz targets: built with the stable compiler, run by libFuzzer.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::project::Project;
use crate::{packages, sh};

/// Their workspace.
pub(crate) const MANIFEST: &str = "tests/fuzz/Cargo.toml";

/// What the runs of record came to; docs/RELIABILITY.md cites it.
const RECORD: &str = "docs/reliability/fuzz.json";

/// The program that plays scripts which a seed makes.
const SEEDED: &str = "seeded";

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
    /// Edges of the program that were taken, where that is known.
    edges: Option<u64>,
}

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    /// The target; all of them if there is none.
    pub(crate) target: Option<&'a str>,
    /// Inputs for each target.
    pub(crate) runs: u64,
    /// Scripts that a seed makes instead of those that libFuzzer finds.
    pub(crate) seeded: bool,
    /// The figures are kept.
    pub(crate) record: bool,
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

/// Runs one target, or all of them one after the other.
pub(crate) fn run(project: &Project, wish: Wish<'_>) -> Result<()> {
    packages::need_program(project, "c++", &["g++"])?;
    let dir = project.target.join("fuzz");
    let (chosen, programs) = if wish.seeded {
        (vec![SEEDED.to_owned()], build_seeded(project, &dir)?)
    } else {
        let chosen = targets(project, wish.target)?;
        let programs = build_for_libfuzzer(project, &chosen, &dir)?;
        (chosen, programs)
    };
    let commit = sh::read(
        project
            .command("git")
            .args(["rev-parse", "--short=7", "HEAD"]),
    )?;
    for target in chosen {
        let mut command = project.command(&programs.join(&target).to_string_lossy());
        let corpus = dir.join("corpus").join(&target);
        let artifacts = dir.join("artifacts");
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&artifacts)?;
        if wish.seeded {
            command.args(["0", &wish.runs.to_string()]);
        } else {
            command
                .arg(format!("-runs={}", wish.runs))
                .arg(format!("-seed={SEED}"))
                .arg(format!("-max_len={LONGEST}"))
                .arg(format!(
                    "-artifact_prefix={}/{target}-",
                    artifacts.display()
                ))
                .arg(&corpus);
        }
        let start = Instant::now();
        let figures = run_one(&mut command, &dir.join(format!("{target}.log")))?;
        let seconds = start.elapsed().as_secs();
        println!("{target}: {figures:?} in {seconds} s");
        if wish.record {
            write_record(project, &target, &figures, (seconds, commit.trim()))?;
        }
    }
    Ok(())
}

/// Builds targets for libFuzzer; where they are.
fn build_for_libfuzzer(project: &Project, targets: &[String], dir: &Path) -> Result<PathBuf> {
    // With a target of its own the flags do not reach build scripts.
    let host = host(project)?;
    sh::run(
        project
            .cargo(["build", "--release", "--manifest-path", MANIFEST])
            .args(targets.iter().flat_map(|target| ["--bin", target]))
            .args(["--target", &host, "--target-dir"])
            .arg(dir)
            .env("RUSTFLAGS", format!("{} --cfg fuzzing", COVERAGE.join(" "))),
    )?;
    Ok(dir.join(host).join("release"))
}

/// The player of scripts that a seed makes; where it is.
fn build_seeded(project: &Project, dir: &Path) -> Result<PathBuf> {
    let dir = dir.join(SEEDED);
    sh::run(
        project
            .cargo(["build", "--release", "--manifest-path", MANIFEST])
            .args(["--bin", SEEDED, "--target-dir"])
            .arg(&dir),
    )?;
    Ok(dir.join("release"))
}

/// What this machine is called as a target.
fn host(project: &Project) -> Result<String> {
    let said = sh::read(project.command("rustc").arg("-vV"))?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}

/// The wanted target, or all there are.
fn targets(project: &Project, wanted: Option<&str>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(project.root.join("tests/fuzz/targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|it| it.to_string_lossy().into_owned()));
    }
    names.sort();
    let Some(wanted) = wanted else {
        return Ok(names);
    };
    if !names.iter().any(|name| name == wanted) {
        bail!(
            "there is no target {wanted}; there are {}",
            names.join(", ")
        );
    }
    Ok(vec![wanted.to_owned()])
}

/// A crash of libFuzzer's leaves its input in target/fuzz/artifacts.
fn run_one(command: &mut Command, log: &Path) -> Result<Figures> {
    let errors = fs::File::create(log).with_context(|| format!("no {}", log.display()))?;
    let mut child = command
        .stderr(errors)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let mut figures = Figures::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            figures.read(&line?);
        }
    }
    let status = child.wait()?;
    let said = fs::read_to_string(log)?;
    said.lines().for_each(|line| figures.read(line));
    if !status.success() {
        bail!(
            "something was found ({status}): see the end of {}",
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
            self.runs = after("scripts: ").unwrap_or(self.runs);
            self.events = after("events: ").or(self.events);
        } else if line.starts_with("Done ") {
            self.runs = after("Done ").unwrap_or(self.runs);
        } else if line.starts_with('#') {
            self.edges = after(" cov: ").or(self.edges);
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
            edges: Some(2541),
        };
        assert_eq!(figures, wanted);
    }
}
