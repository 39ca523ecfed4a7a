//! Checks the English of what people read: pages, messages, and comments of Rust items.
//!
//! `btp-prose [--clean LIST] [FILE]…` prints what it finds, and is then of exit code 1. The
//! list has what an earlier run has found in order.

mod clean;
mod files;
mod long;
mod rules;
mod rust;
#[cfg(test)]
mod tests;
mod text;
mod who;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, thread};

use anyhow::{Context, Result, anyhow};

use clean::Clean;
use rules::{Finding, Rules};

/// What came of a file: its key if it is clean.
type Checked = (usize, Option<u64>, Vec<Finding>);

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing was found.
fn run() -> Result<bool> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = folder.ancestors().nth(2).context("no root")?;
    let mut arguments = env::args_os().skip(1).map(PathBuf::from).peekable();
    let list = arguments.next_if(|it| it.as_os_str() == "--clean");
    let list = list.and_then(|_| arguments.next());
    let mut files: Vec<PathBuf> = arguments
        .map(|file| file.strip_prefix(root).map(Path::to_owned).unwrap_or(file))
        .collect();
    let all = files.is_empty();
    if all {
        files = files::all(root)?;
    }
    let clean = Clean::read(list, folder)?;
    let mut checked = check_all(root, folder, &files, &clean)?;
    checked.sort_by_key(|(index, ..)| *index);
    if all {
        clean.keep(&checked.iter().filter_map(|(_, key, _)| *key).collect())?;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, _, findings) in &checked {
        for finding in findings {
            print(&files[*index], finding);
            *counts.entry(&finding.rule).or_default() += 1;
        }
    }
    for (rule, count) in &counts {
        eprintln!("{count:6} {rule}");
    }
    Ok(counts.is_empty())
}

/// Checks files on all processors.
fn check_all(root: &Path, folder: &Path, files: &[PathBuf], clean: &Clean) -> Result<Vec<Checked>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<Checked>> {
        let mut rules = None;
        let mut checked = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else {
                return Ok(checked);
            };
            let content = files::read(root, file)?;
            let key = clean.key(file, &content);
            let mut findings = Vec::new();
            if !clean.has(key) {
                let rules = match &mut rules {
                    Some(rules) => rules,
                    none => none.insert(Rules::read(folder)?),
                };
                for text in files::texts(file, &content)? {
                    findings.extend(rules.check(&text));
                }
            }
            let key = findings.is_empty().then_some(key);
            checked.push((index, key, findings));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            let checked = thread
                .join()
                .map_err(|_| anyhow!("a thread has panicked"))?;
            all.extend(checked?);
        }
        Ok(all)
    })
}

fn print(file: &Path, finding: &Finding) {
    let (line, column) = (finding.place.line, finding.place.column);
    let Finding { rule, words, .. } = finding;
    println!("{}:{line}:{column}: {rule}: \"{words}\"", file.display());
    if finding.sentence != *words {
        println!("    {}", finding.sentence);
    }
    println!("    {}", finding.advice);
}
