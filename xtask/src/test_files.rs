//! The files of tests on a real Envoy, several at a time: most of them wait for timers,
//! connections and Envoy's start, so that one alone leaves the machine idle.

use std::cmp::Reverse;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// They count what the whole machine does, or need all of it: one after the other, when
/// nothing else runs.
const ALONE: &[&str] = &["regex_cost", "vm_memory"];

/// A file of tests, compiled.
struct TestFile {
    name: String,
    program: PathBuf,
}

/// How a file of tests ended.
struct Ended {
    name: String,
    passed: bool,
    printed: Vec<u8>,
    took: Duration,
}

/// Runs the tests that `cargo` (`cargo test -p …`, with what the tests need in its
/// environment) compiles, those files whose name `wanted` accepts, with arguments for
/// each. All run, though some fail.
pub(crate) fn run(
    mut cargo: Command,
    wanted: impl Fn(&str) -> bool,
    arguments: &[&str],
) -> Result<()> {
    let files = compile(&mut cargo, wanted)?;
    let (alone, together): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| ALONE.contains(&file.name.as_str()));
    let mut ended = run_together(&together, &cargo, arguments, at_once())?;
    ended.extend(run_together(&alone, &cargo, arguments, 1)?);
    ended.sort_by_key(|file| Reverse(file.took));
    for file in &ended {
        println!("{:7.1} s  {}", file.took.as_secs_f64(), file.name);
    }
    let failed = ended.iter().filter(|file| !file.passed);
    let failed: Vec<&str> = failed.map(|file| file.name.as_str()).collect();
    if !failed.is_empty() {
        bail!("tests failed in {}", failed.join(", "));
    }
    Ok(())
}

/// How many files run at once; each runs as many tests at once as there are processors.
fn at_once() -> usize {
    thread::available_parallelism().map_or(2, NonZero::get)
}

/// Compiles the tests that `cargo` (`cargo test -p …`) names, and returns the programs
/// of those whose name `wanted` accepts.
fn compile(cargo: &mut Command, wanted: impl Fn(&str) -> bool) -> Result<Vec<TestFile>> {
    cargo.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let mut child = cargo.stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("no output of cargo")?;
    let mut files = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(&line?)?;
        let name = message["target"]["name"].as_str();
        let program = message["executable"].as_str();
        let is_test = message["profile"]["test"] == true;
        if let (Some(name), Some(program), true) = (name, program, is_test) {
            files.push(TestFile {
                name: name.to_owned(),
                program: program.into(),
            });
        }
    }
    if !child.wait()?.success() {
        bail!("the tests do not compile");
    }
    files.retain(|file| wanted(&file.name));
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn run_together(
    files: &[TestFile],
    cargo: &Command,
    arguments: &[&str],
    at_once: usize,
) -> Result<Vec<Ended>> {
    let waiting = Mutex::new(files.iter());
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once {
            let (sender, waiting) = (sender.clone(), &waiting);
            scope.spawn(move || {
                let next = || {
                    waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .next()
                };
                while let Some(file) = next() {
                    if sender.send(file.run(cargo, arguments)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut all = Vec::new();
        for ended in receiver {
            let ended = ended?;
            let verdict = if ended.passed { "passed" } else { "FAILED" };
            let seconds = ended.took.as_secs_f64();
            println!("-- {}: {verdict} in {seconds:.1} s", ended.name);
            io::stdout().write_all(&ended.printed)?;
            all.push(ended);
        }
        Ok(all)
    })
}

impl TestFile {
    fn run(&self, cargo: &Command, arguments: &[&str]) -> Result<Ended> {
        // No pipe: what a test that failed has left running would keep it open.
        let mut output = tempfile::tempfile()?;
        let mut program = Command::new(&self.program);
        let environment = cargo.get_envs();
        program.envs(environment.filter_map(|(name, value)| Some((name, value?))));
        program.args(arguments).stdin(Stdio::null());
        program
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        let start = Instant::now();
        let status = program
            .status()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        output.rewind()?;
        let mut printed = Vec::new();
        output.read_to_end(&mut printed)?;
        Ok(Ended {
            name: self.name.clone(),
            passed: status.success(),
            printed,
            took: start.elapsed(),
        })
    }
}
