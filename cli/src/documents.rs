//! The files a command works on, and the objects in them.

mod kubelb;
mod twice;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use btp_policy::compat;
use btp_policy::document::{self, Document};
use btp_policy::node::Node;
use btp_policy::problem::Problems;

use crate::diagnostics::{Finding, Location, Source};
use crate::file_error::FileError;

pub(crate) use kubelb::Off;
use kubelb::switch_off;
pub(crate) use twice::Twice;

/// An object and the file it stands in.
#[derive(Debug)]
pub(crate) struct Object {
    /// Index of the file.
    pub(crate) source: usize,
    /// The object, old spellings put right.
    pub(crate) node: Node,
    /// The object as it was written.
    pub(crate) written: Node,
}

impl Object {
    fn new(source: usize, node: Node) -> Self {
        Self {
            source,
            written: node.clone(),
            node,
        }
    }
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) sources: Vec<Source>,
    pub(crate) policies: Vec<Object>,
    pub(crate) config_maps: Vec<Object>,
    /// Policies that KubeLB's administrators switch off.
    pub(crate) off: Vec<Off>,
    /// Policies that are there already.
    pub(crate) twice: Twice,
    /// What is wrong with the files as such, and what is spelt in an old way.
    pub(crate) findings: Vec<Finding>,
}

impl Input {
    /// Reads files, directories and stdin (`-`).
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, FileError> {
        let mut input = Self::default();
        let mut of_kubelb = Vec::new();
        for path in paths {
            for file in files_of(path)? {
                input.add(&file, &mut of_kubelb)?;
            }
        }
        input.twice = Twice::take_out(&mut input.policies, &mut input.config_maps, &input.sources);
        input.off = switch_off(&of_kubelb, &mut input.policies, &mut input.findings);
        Ok(input)
    }

    /// What is wrong with the files, and with all objects together.
    pub(crate) fn take_findings(&mut self) -> Vec<Finding> {
        let mut findings = std::mem::take(&mut self.findings);
        findings.append(&mut self.twice.findings);
        findings
    }

    /// The `spec` of each policy, if it has one.
    pub(crate) fn specs(&self) -> Vec<Option<&Node>> {
        let policies = self.policies.iter();
        policies.map(|it| it.node.field("spec")).collect()
    }

    fn add(&mut self, file: &Path, of_kubelb: &mut Vec<Object>) -> Result<(), FileError> {
        let name = if is_stdin(file) {
            "<stdin>".to_owned()
        } else {
            file.display().to_string()
        };
        let bytes = if is_stdin(file) {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        } else {
            fs::read(file)
        };
        let read = Source::of(name, bytes)?;
        let source = self.sources.len();
        match document::read(&read.text) {
            Ok(documents) => self.sort(source, documents, of_kubelb),
            Err(problems) => {
                let found = problems
                    .into_iter()
                    .map(|problem| Finding::error(problem, Location::File(source)));
                self.findings.extend(found);
            }
        }
        self.sources.push(read);
        Ok(())
    }

    fn sort(&mut self, source: usize, documents: Vec<Document>, of_kubelb: &mut Vec<Object>) {
        for document in documents {
            match document {
                Document::Policy(written) => {
                    let mut node = written.clone();
                    let mut warnings = Problems::default();
                    compat::modernise(&mut node, &mut warnings);
                    let found = warnings.into_vec().into_iter();
                    let location = Location::File(source);
                    self.findings
                        .extend(found.map(|it| Finding::warning(it, location)));
                    self.policies.push(Object {
                        source,
                        node,
                        written,
                    });
                }
                Document::ConfigMap(node) => self.config_maps.push(Object::new(source, node)),
                Document::KubeLb(node) => of_kubelb.push(Object::new(source, node)),
                Document::Other => {}
            }
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The manifests in a directory, sorted; a file is itself.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    if is_stdin(path) || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let fail = |error: io::Error| FileError::unreadable(path, error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        entries.push(entry.map_err(fail)?.path());
    }
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        let extension = entry.extension().and_then(|extension| extension.to_str());
        if entry.is_dir() {
            files.extend(files_of(&entry)?);
        } else if matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(entry);
        }
    }
    Ok(files)
}
