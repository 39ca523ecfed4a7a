//! The files written in each phase, for people.

use std::collections::BTreeSet;
use std::fmt;

use super::file::{File, Kind};
use super::plan::Plan;
use crate::output::Output;

/// What was written.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// Whether it would only be written.
    is_rehearsed: bool,
    /// The files of each phase that had any.
    phases: Vec<Vec<String>>,
    /// Clusters of before that are left.
    pub(super) kept: BTreeSet<String>,
    /// Clusters that come with a restart of Envoy, for which the rest waits.
    pub(super) restart: BTreeSet<String>,
    /// Files that were there and could not be read.
    broken: Vec<String>,
}

impl Summary {
    /// The summary of a plan before any write.
    pub(super) fn of(plan: &Plan) -> Self {
        let broken = plan.of(Kind::Clusters).filter(|it| it.is_broken());
        Self {
            is_rehearsed: false,
            phases: Vec::new(),
            kept: BTreeSet::new(),
            restart: BTreeSet::new(),
            broken: broken.map(File::name).collect(),
        }
    }

    /// The summary of a plan that will not be written.
    pub(super) fn rehearsed(plan: &Plan) -> Self {
        Self {
            is_rehearsed: true,
            ..Self::of(plan)
        }
    }

    /// Adds a phase.
    pub(super) fn add(&mut self, plan: &Plan, outputs: &[Output]) {
        let name = |output: &Output| {
            let file = plan.files().iter().find(|it| it.path == output.path)?;
            Some(described(file, &output.text))
        };
        let names: Vec<String> = outputs.iter().filter_map(name).collect();
        if !names.is_empty() {
            self.phases.push(names);
        }
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    /// The files of each phase that had any.
    pub(crate) fn phases(&self) -> &[Vec<String>] {
        &self.phases
    }

    /// The files whose content must change.
    pub(super) fn rest(&self, plan: &Plan) -> Vec<String> {
        let done: BTreeSet<&String> = self.phases.iter().flatten().collect();
        let changed = plan.files().iter().filter(|it| it.is_changed());
        let names = changed.map(|it| described(it, it.text_after()));
        names.filter(|it| !done.contains(it)).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = if self.is_rehearsed {
            "to be written"
        } else {
            "written"
        };
        if self.phases.is_empty() {
            writeln!(formatter, "{begin}: nothing, all files are up to date")?;
        }
        for (index, names) in self.phases.iter().enumerate() {
            let when = if index == 0 { begin } else { "then" };
            writeln!(formatter, "{when}: {}", list(names))?;
        }
        for name in &self.broken {
            writeln!(
                formatter,
                "note: the previous {name} could not be read, so its clusters are not kept"
            )?;
        }
        for name in &self.restart {
            writeln!(
                formatter,
                "note: the rest needs a restart of Envoy, which loads cluster {name}"
            )?;
        }
        for name in &self.kept {
            writeln!(
                formatter,
                "note: cluster {name} is kept for now: connections of an earlier listener, or an \
                 Envoy with the previous bootstrap, may send to it; a later run removes it"
            )?;
        }
        Ok(())
    }
}

/// Names, with commas.
pub(super) fn list(names: &[String]) -> String {
    names.join(", ")
}

fn described(file: &File, text: &str) -> String {
    let name = file.name();
    let is_after = text == file.text_after();
    match file.kind {
        Kind::Clusters if !is_after => format!("{name} (old and new clusters)"),
        Kind::Listeners if !is_after => format!("{name} (as before)"),
        Kind::Bootstrap if file.is_there() => format!("{name} (read when Envoy starts)"),
        _ => name,
    }
}
