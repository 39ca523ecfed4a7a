//! Writes the files of a configuration while an Envoy may be watching them: in phases, so
//! that no request is lost, and only those that change.
//!
//! Envoy loads each file by itself. Of two files that belong together, it has for a moment
//! the old one and the new one, and a route whose cluster does not exist answers 503.
//! [`plan`] finds an order in which that never happens, and a [`Witness`] tells when a
//! phase has arrived.

mod admin;
mod clock;
mod error;
mod file;
mod lock;
mod plan;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use error::Error;
pub(crate) use lock::Lock;
pub(crate) use summary::Summary;

use crate::envoy::files::Kind;
use crate::file_error::FileError;
use crate::host_port::HostPort;
use crate::output::{self, Output};
use error::{Cause, Unfinished};
use file::File;
use plan::Plan;

/// A file to be delivered.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// See [`Output::in_place`].
    pub(crate) in_place: bool,
}

/// When the next phase may be written.
#[derive(Debug)]
pub(crate) enum Pace {
    /// At once: no Envoy is running.
    AtOnce,
    /// After so long a time.
    After(Duration),
    /// When these admin interfaces say that the last one has been taken, which
    /// may take so long.
    Asking(Vec<HostPort>, Duration),
}

/// Tells when a phase has arrived.
trait Witness {
    /// Looks at how things are before a phase.
    fn look(&mut self, plan: &Plan) -> Result<(), Cause>;

    /// Waits until all clusters are there that the second phase needs;
    /// `written` are the files of the first.
    fn clusters(&mut self, plan: &Plan, written: &[PathBuf]) -> Result<(), Cause>;

    /// Waits until routes and listeners are those of after, and gives the
    /// clusters of before that something still may send to; `written` are the
    /// files of the second phase.
    fn routes(&mut self, plan: &Plan, written: &[PathBuf]) -> Result<BTreeSet<String>, Cause>;

    /// Waits until the files of the last phase have been taken.
    fn end(&mut self, plan: &Plan, written: &[PathBuf]) -> Result<(), Cause>;
}

/// Writes all files that change; none of them if one cannot be written.
///
/// # Errors
/// Nothing is written, or what is written serves as it is.
pub(crate) fn deliver(documents: Vec<Document>, pace: &Pace) -> Result<Summary, Error> {
    let plan = read(documents)?;
    let all = plan.at_once();
    output::check(&all).map_err(Error::Unwritten)?;
    let mut run = Run::new(&plan, &output::replace);
    match pace {
        Pace::After(wait) if plan.is_watched() => run.phases(&mut clock::Clock::new(*wait))?,
        Pace::Asking(addresses, patience) if plan.is_watched() => {
            run.phases(&mut admin::Envoys::new(addresses, *patience))?;
        }
        _ => {
            run.write(&all)?;
        }
    }
    Ok(run.summary)
}

/// What would be written, and in which phases.
pub(crate) fn rehearse(documents: Vec<Document>, pace: &Pace) -> Result<Summary, Error> {
    Ok(rehearsed(&read(documents)?, pace))
}

fn rehearsed(plan: &Plan, pace: &Pace) -> Summary {
    let mut summary = Summary::rehearsed(plan);
    if !plan.is_watched() || matches!(pace, Pace::AtOnce) {
        summary.add(plan, &plan.at_once());
        return summary;
    }
    summary.add(plan, &plan.prepare());
    summary.restart = plan.only_by_restart();
    if !summary.restart.is_empty() {
        summary.add(plan, &plan.for_restart());
        return summary;
    }
    summary.add(plan, &plan.switch());
    let kept = clock::kept(plan);
    summary.add(plan, &plan.finish(&kept));
    summary.kept = kept;
    summary
}

fn read(documents: Vec<Document>) -> Result<Plan, Error> {
    let mut files = Vec::new();
    for document in documents {
        let path = document.path.clone();
        let file = File::read(document);
        let failed = |error| Error::Unwritten(FileError::unreadable(&path, error));
        files.push(file.map_err(failed)?);
    }
    Ok(Plan::new(files))
}

/// Writes files, or says which it cannot write.
type Writer<'a> = &'a dyn Fn(&[Output]) -> Result<(), FileError>;

/// A delivery under way.
struct Run<'a> {
    plan: &'a Plan,
    writer: Writer<'a>,
    summary: Summary,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, writer: Writer<'a>) -> Self {
        Self {
            plan,
            writer,
            summary: Summary::of(plan),
        }
    }

    fn phases(&mut self, witness: &mut dyn Witness) -> Result<(), Error> {
        let plan = self.plan;
        if plan.is_empty() {
            return Ok(());
        }
        let prepare = plan.prepare();
        let switch = plan.switch();
        self.at(witness.look(plan))?;
        let written = self.write(&prepare)?;
        if !(prepare.is_empty() && switch.is_empty()) {
            let arrived = witness.clusters(plan, &written);
            if let Err(Cause::Restart(_)) = arrived {
                self.write(&plan.for_restart())?;
            }
            self.at(arrived)?;
        }
        self.at(witness.look(plan))?;
        let written = self.write(&switch)?;
        let kept = witness.routes(plan, &written);
        if kept.as_ref().is_err_and(Cause::is_outage) {
            self.write(&plan.listeners_back())?;
        }
        let kept = self.at(kept)?;
        let finish = plan.finish(&kept);
        self.summary.kept = kept;
        self.at(witness.look(plan))?;
        let written = self.write(&finish)?;
        self.at(witness.end(plan, &written))
    }

    /// Writes files of one phase.
    fn write(&mut self, outputs: &[Output]) -> Result<Vec<PathBuf>, Error> {
        if let Err(error) = (self.writer)(outputs) {
            return Err(match self.summary.is_empty() {
                true => Error::Unwritten(error),
                false => self.stopped(Cause::Unwritten(error)),
            });
        }
        self.summary.add(self.plan, outputs);
        Ok(outputs.iter().map(|it| it.path.clone()).collect())
    }

    fn at<T>(&self, done: Result<T, Cause>) -> Result<T, Error> {
        done.map_err(|cause| self.stopped(cause))
    }

    fn stopped(&self, cause: Cause) -> Error {
        match self.summary.is_empty() {
            true => Error::NotBegun(cause),
            false => Error::Unfinished(Box::new(Unfinished {
                cause,
                written: self.summary.clone(),
                rest: self.summary.rest(self.plan),
            })),
        }
    }
}
