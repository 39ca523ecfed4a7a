//! The list of tests that are about the sandbox alone, compared with the sources.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::repo;

/// A line of tests/wasm-only.txt.
struct Entry<'a> {
    file: &'a str,
    test: &'a str,
    reason: &'a str,
}

impl<'a> Entry<'a> {
    fn read(line: &'a str) -> Result<Self> {
        let (place, reason) = line.split_once("  ").context("no reason")?;
        let (file, test) = place.split_once("::").context("no file")?;
        Ok(Self { file, test, reason })
    }
}

/// Names are skipped wherever they are part of another's.
#[test]
fn each_test_that_is_left_out_is_there_once_and_takes_no_other_with_it() -> Result<()> {
    let list = fs::read_to_string(repo::path("tests/wasm-only.txt"))?;
    let lines = list
        .lines()
        .filter(|it| !it.is_empty() && !it.starts_with('#'));
    let mut sources = Vec::new();
    for file in fs::read_dir(repo::path("tests/tests"))? {
        let path = file?.path();
        let name = path.file_stem().and_then(|it| it.to_str());
        let name = name.context("a file without a name")?.to_owned();
        if path.is_file() {
            sources.push((name, fs::read_to_string(&path)?));
        }
    }
    let mut listed = BTreeSet::new();
    for line in lines {
        let entry = Entry::read(line).with_context(|| line.to_owned())?;
        ensure!(!entry.reason.trim().is_empty(), "no reason: {line}");
        ensure!(listed.insert(entry.test), "twice: {line}");
        let holders = sources.iter().flat_map(|(file, text)| {
            let names = text
                .lines()
                .filter_map(|it| it.split_once("fn ")?.1.split_once('('));
            let names = names
                .map(|(name, _)| name)
                .filter(|it| it.contains(entry.test));
            names.map(move |name| (file.as_str(), name))
        });
        let holders: Vec<_> = holders.collect();
        ensure!(holders == [(entry.file, entry.test)], "{line}: {holders:?}");
    }
    ensure!(!listed.is_empty());
    Ok(())
}
