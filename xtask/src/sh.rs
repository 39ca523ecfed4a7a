//! Running commands, and telling the reader what runs and how long it took.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The steps so far, and their seconds.
static STEPS: Mutex<Vec<(String, f64)>> = Mutex::new(Vec::new());

/// Does one step of the work under a headline; when it fails, `hint` says
/// what to do.
pub(crate) fn step<T>(name: &str, hint: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    let verdict = if result.is_ok() { "done" } else { "FAILED" };
    println!("== {name}: {verdict} in {seconds:.1} s");
    let mut steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
    steps.push((name.to_owned(), seconds));
    drop(steps);
    result.with_context(|| format!("step \"{name}\" failed; {hint}"))
}

/// A line for each step so far with its minutes.
pub(crate) fn minutes() -> String {
    let steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
    let line = |(name, seconds): &(String, f64)| format!("{:6.1} min  {name}\n", seconds / 60.0);
    steps.iter().map(line).collect()
}

/// Runs a tool. What it prints goes to stderr: our stdout is for results.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    command.stdout(Stdio::from(io::stderr()));
    show(command)
}

/// Runs a command whose output is a result, such as a test.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", line(command));
    io::stdout().flush()?;
    let status = command.status();
    succeeded(command, status)
}

/// Runs a command in the place of this process; returns only if it cannot.
pub(crate) fn replace_this_by(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", line(command));
    io::stdout().flush()?;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", line(command)))
}

/// Like [`show`], and returns what was printed.
pub(crate) fn show_and_read(command: &mut Command) -> Result<String> {
    eprintln!("$ {}", line(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", line(command)))?;
    let mut printed = String::new();
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).lines() {
            let text = text?;
            println!("{text}");
            printed.push_str(&text);
            printed.push('\n');
        }
    }
    succeeded(command, child.wait())?;
    Ok(printed)
}

/// Runs a command silently and returns what it prints.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", line(command)))?;
    if !output.status.success() {
        bail!(
            "{} failed ({}): {}",
            line(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a command can be run and succeeds, silently.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where the PATH has a program of that name.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// Whether `output` exists and is newer than all of `inputs`.
pub(crate) fn is_newer(output: &Path, inputs: &[&Path]) -> Result<bool> {
    let Ok(made) = output.metadata() else {
        return Ok(false);
    };
    let made = made.modified()?;
    for input in inputs {
        let changed = input
            .metadata()
            .with_context(|| format!("cannot read {}", input.display()))?
            .modified()?;
        if changed >= made {
            return Ok(false);
        }
    }
    Ok(true)
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

fn succeeded(command: &Command, status: io::Result<ExitStatus>) -> Result<()> {
    let status = status.with_context(|| format!("cannot run {}", line(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}
