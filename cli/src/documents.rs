//! The files a command works on, and the objects in them.

mod config_maps;
mod files;
mod kubelb;
mod namespaces;
mod template;
mod twice;

use std::path::PathBuf;

use btp_policy::document::{self, Document};
use btp_policy::legacy;
use btp_policy::node::Node;
use btp_policy::problem::{Problem, Problems};

use crate::diagnostics::{Finding, Location, Source};
use crate::file_error::FileError;
use crate::source_file;

use config_maps::keep_used;
use files::{InputFile, files_of};
pub(crate) use kubelb::Off;
use kubelb::switch_off;
pub(crate) use namespaces::Namespaces;
pub(crate) use twice::Twice;

/// An object and its file.
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
    /// What is known of namespaces.
    pub(crate) namespaces: Namespaces,
    /// Policies that KubeLB's administrators switch off.
    pub(crate) off: Vec<Off>,
    /// Policies that are there already.
    pub(crate) twice: Twice,
    /// Files of folders that hold something else.
    pub(crate) passed_over: PassedOver,
    /// What is wrong with the files as such, and what is spelt in an old way.
    pub(crate) findings: Vec<Finding>,
}

/// Files of folders that hold no Kubernetes objects.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PassedOver {
    pub(crate) files: usize,
    /// Those of them that a Helm chart makes manifests of.
    pub(crate) templates: usize,
}

impl PassedOver {
    /// What to do with templates.
    pub(crate) const ADVICE: &str = template::ADVICE;
}

/// Objects that others speak of, or switch off.
#[derive(Default)]
struct Others {
    namespaces: Vec<Object>,
    of_kubelb: Vec<Object>,
}

impl Input {
    /// Reads files, directories and stdin (`-`).
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, FileError> {
        let mut input = Self::default();
        let mut others = Others::default();
        for file in files_of(paths)? {
            input.add(&file, &mut others)?;
        }
        input.twice = Twice::take_out(
            &mut input.policies,
            &mut input.config_maps,
            &mut others.namespaces,
            &input.sources,
        );
        input.namespaces = namespaces::read(&others.namespaces, &mut input.findings);
        input.off = switch_off(&others.of_kubelb, &mut input.policies, &mut input.findings);
        keep_used(&mut input.config_maps, &input.policies);
        Ok(input)
    }

    /// What is wrong with the files, and with all objects together.
    pub(crate) fn take_findings(&mut self) -> Vec<Finding> {
        let mut findings = std::mem::take(&mut self.findings);
        findings.append(&mut self.twice.findings);
        findings
    }

    /// How many policies there are, in force or not.
    pub(crate) fn count(&self) -> usize {
        self.policies.len() + self.off.len() + self.twice.policies.len()
    }

    /// The `spec` of each policy, if it has one.
    pub(crate) fn specs(&self) -> Vec<Option<&Node>> {
        let policies = self.policies.iter();
        policies.map(|it| it.node.field("spec")).collect()
    }

    fn add(&mut self, file: &InputFile, others: &mut Others) -> Result<(), FileError> {
        let read = match source_file::read(&file.path) {
            // No manifest: those are UTF-8.
            Err(FileError::NoText { .. }) if file.is_found => {
                self.passed_over.files += 1;
                return Ok(());
            }
            read => read?,
        };
        let source = self.sources.len();
        match document::read(&read.text) {
            Ok(documents) if file.is_found && is_foreign(&documents) => self.passed_over.files += 1,
            Ok(documents) => {
                self.sort(source, documents, others);
                self.sources.push(read);
            }
            Err(problem) => {
                let is_template = template::is_template(&read.text);
                if file.is_found && (is_template || !read.text.contains("apiVersion")) {
                    self.passed_over.files += 1;
                    self.passed_over.templates += usize::from(is_template);
                    return Ok(());
                }
                let problem = match is_template {
                    true => Problem {
                        reason: format!(
                            "{}; this is a Helm template: {}",
                            problem.reason,
                            template::ADVICE
                        ),
                        ..problem
                    },
                    false => problem,
                };
                self.add_finding(Finding::error, problem, source);
                self.sources.push(read);
            }
        }
        Ok(())
    }

    fn sort(&mut self, source: usize, documents: Vec<Document>, others: &mut Others) {
        for document in documents {
            match document {
                Document::Policy(written) => {
                    let mut node = written.clone();
                    let mut warnings = Problems::default();
                    legacy::upgrade_spelling(&mut node, &mut warnings);
                    for warning in warnings.into_vec() {
                        self.add_finding(Finding::warning, warning, source);
                    }
                    self.policies.push(Object {
                        source,
                        node,
                        written,
                    });
                }
                Document::ConfigMap(node) => self.config_maps.push(Object::new(source, node)),
                Document::Namespace(node) => others.namespaces.push(Object::new(source, node)),
                Document::KubeLb(node) => others.of_kubelb.push(Object::new(source, node)),
                Document::Mistaken(problem) | Document::Foreign(problem) => {
                    self.add_finding(Finding::error, problem, source);
                }
                Document::Other => {}
            }
        }
    }

    fn add_finding(
        &mut self,
        kind: fn(Problem, Location) -> Finding,
        problem: Problem,
        source: usize,
    ) {
        self.findings.push(kind(problem, Location::File(source)));
    }
}

/// Whether nothing in a file is a Kubernetes object, and something is there.
fn is_foreign(documents: &[Document]) -> bool {
    let is_foreign = |it: &Document| matches!(it, Document::Foreign(_));
    !documents.is_empty() && documents.iter().all(is_foreign)
}
