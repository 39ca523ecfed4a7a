//! `btp apply`: policies put into force in a person's own Envoy
//! configuration. Nothing is written unless everything is well.

mod changes;
mod delivery;
mod diff;
mod json;
mod rate_limits;
mod readable;
mod report;

use std::fmt;
use std::path::{Path, PathBuf};

use btp_policy::Code;
use btp_policy::problem::Problem;
use clap::Args;

use super::files::{Files, Summary};
use super::json::{ReportFormat, print};
use super::{Error, Outcome};
use crate::apply::options::{FilterFile, MOUNTED, MOUNTED_MODULE, Options, object_name};
use crate::apply::plan::{self, Plan};
use crate::deliver::{self, Document, Lock};
use crate::diagnostics::{self, Finding, Format, Source};
use crate::envoy::files::Config;
use crate::envoy::plugin::Build;
use crate::file_error::FileError;
use crate::output::{self, Output};
use crate::source_file::is_stdin;
use crate::terminal;
use changes::{Change, changes_of};
use delivery::Delivery;
use json::End;
use rate_limits::RateLimits;

/// The arguments of `btp apply`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The Envoy configuration: YAML, or JSON if its name ends in .json; `-` is stdin
    #[arg(long, value_name = "FILE")]
    bootstrap: PathBuf,
    #[command(flatten)]
    files: Files,
    /// The file to write the configuration to, as JSON if its name ends in .json; stdout by
    /// default, or with `-`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write one configuration, with the listeners, clusters and routes of all files in the
    /// bootstrap: `envoy --mode validate` reads no other files
    #[arg(long, conflicts_with = "out_dir")]
    flat: bool,
    #[command(flatten)]
    delivery: Delivery,
    #[command(flatten)]
    rate_limits: RateLimits,
    /// Show changes as a unified diff, and write nothing; exit codes are those of diff: 0
    /// equal, 1 different, 2 refused or wrong usage
    #[arg(long)]
    diff: bool,
    /// Check and print the report, but write nothing; with --diff the report goes to stderr
    #[arg(long)]
    dry_run: bool,
    /// How to print the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text, conflicts_with = "diff")]
    format: ReportFormat,
    /// The path where the .wasm will be mounted; /etc/envoy/backend_traffic_policy.wasm by
    /// default
    #[arg(long, value_name = "PATH")]
    wasm: Option<String>,
    /// Add the filter as a dynamic module instead of the .wasm; PATH is where it will be
    /// mounted, /etc/envoy/libbackend_traffic_policy.so by default
    #[arg(
        long,
        value_name = "PATH",
        num_args = 0..=1,
        default_missing_value = MOUNTED_MODULE,
        conflicts_with = "wasm"
    )]
    module: Option<String>,
    /// The Gateway that this whole Envoy serves; its listeners are Envoy's listeners or
    /// filter chains of the same names
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    gateway: Option<String>,
    /// The HTTP filter to put faults and overrides directly behind; by default they come
    /// before everything but health checks
    #[arg(long, value_name = "NAME")]
    faults_behind: Option<String>,
    /// The HTTP filter to put limits and retries directly behind; by default they come
    /// after all filters that check or change a request
    #[arg(long, value_name = "NAME")]
    limits_behind: Option<String>,
    /// Let the filter show access logs which policy and rule made which decision:
    /// %FILTER_STATE(wasm.btp_decision:PLAIN)%; the log format is not changed
    #[arg(long)]
    access_log: bool,
    /// For a later version: see `run`.
    #[arg(long, hide = true)]
    watch: bool,
}

impl Arguments {
    /// Refuses options that contradict each other in ways that depend on their values.
    fn check(&self) -> Result<(), Error> {
        self.delivery.check()?;
        let has_folder = self.delivery.folder().is_some();
        if has_folder && is_stdin(&self.bootstrap) {
            return Err(Error::NoName);
        }
        let to_stdout = self.output.as_deref().is_none_or(output::is_stdout);
        if self.format == ReportFormat::Json && !has_folder && !self.dry_run && to_stdout {
            return Err(Error::StdoutTwice);
        }
        Ok(())
    }

    fn options(&self) -> Options {
        Options {
            filter: match &self.module {
                Some(path) => FilterFile {
                    build: Build::Module,
                    path: path.clone(),
                },
                None => FilterFile {
                    build: Build::Wasm,
                    path: self.wasm.clone().unwrap_or_else(|| MOUNTED.to_owned()),
                },
            },
            gateway: self.gateway.as_deref().map(object_name),
            ecds: self.delivery.ecds().map(str::to_owned),
            faults_behind: self.faults_behind.clone(),
            limits_behind: self.limits_behind.clone(),
            access_log: self.access_log,
            rate_limits: self.rate_limits.service(),
        }
    }
}

/// Applies.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    if arguments.watch {
        return Err(Error::NoWatch);
    }
    arguments.check()?;
    let folder = arguments.delivery.folder();
    let writes = !arguments.diff && !arguments.dry_run;
    // Before anything is read: what is there is to stay so until it is ours.
    let _lock = match folder.filter(|_| writes) {
        Some(folder) => Some(Lock::take(folder)?),
        None => None,
    };
    let files = &arguments.files;
    let mut input = files.read(Some(&arguments.bootstrap))?;
    let summary = Summary::of(&input);
    let mut found = input.take_findings();
    files.refuse_none(&input, &mut found);
    let mut config = Config::read_for(&arguments.bootstrap, folder)?;
    let options = arguments.options();
    let plan = plan::apply(&mut config, &input, &options, &mut found);
    let mut changes = Vec::new();
    if let Some(plan) = plan.as_ref().filter(|_| diagnostics::is_fine(&found)) {
        match changes_of(arguments, &config, plan) {
            Ok(made) => changes = made,
            Err(error) => found.push(Finding::error(
                Problem::new("--out-dir", Code::NotDelivered, error.to_string()),
                diagnostics::Location::Nowhere,
            )),
        }
    }
    let mut sources = std::mem::take(&mut input.sources);
    sources.extend(config.files.iter().map(|file| file.source.clone()));
    let speaker = Speaker {
        format: arguments.format,
        summary,
        found: &found,
        sources: &sources,
    };
    let (Some(mut plan), true) = (plan, diagnostics::is_fine(&found)) else {
        speaker.refuse()?;
        return Ok(match arguments.diff {
            true => Outcome::Incomparable,
            false => Outcome::Refused,
        });
    };
    plan.notes.extend(notes(arguments, &plan));
    speaker.say_findings()?;
    if arguments.diff {
        return show_diff(arguments, &changes, &plan);
    }
    match folder {
        Some(_) => deliver(arguments, changes, &plan, speaker),
        None => write(arguments, changes, &plan, speaker),
    }
}

/// Reports findings and results, in one format or the other.
#[derive(Clone, Copy)]
struct Speaker<'a> {
    format: ReportFormat,
    summary: Summary,
    found: &'a [Finding],
    sources: &'a [Source],
}

impl Speaker<'_> {
    /// Says what was found, unless it comes with the report.
    fn say_findings(self) -> Result<(), FileError> {
        match self.format {
            ReportFormat::Text => self.summary.print(self.found, self.sources, Format::Text),
            ReportFormat::Json => Ok(()),
        }
    }

    /// Says why nothing was done.
    fn refuse(self) -> Result<(), FileError> {
        self.say_findings()?;
        match self.format {
            ReportFormat::Text => Ok(()),
            ReportFormat::Json => self.print(json::refused()),
        }
    }

    /// Prints what was done, and what was written in which phase, or to be written.
    fn report(
        self,
        plan: &Plan,
        end: End,
        phases: &[Vec<String>],
        more: &dyn fmt::Display,
    ) -> Result<(), FileError> {
        match self.format {
            ReportFormat::Text => output::print(&format!("{}{more}", report::text(plan))),
            ReportFormat::Json => {
                let mut report = json::report(plan, end);
                report["phases"] = phases.into();
                self.print(report)
            }
        }
    }

    fn print(self, report: serde_json::Value) -> Result<(), FileError> {
        print(report, self.summary, self.found, self.sources)
    }
}

/// Shows what would change.
fn show_diff(arguments: &Arguments, changes: &[Change], plan: &Plan) -> Result<Outcome, Error> {
    if arguments.dry_run {
        terminal::say(&report::text(plan));
    }
    let diffs: String = changes.iter().map(Change::diff).collect();
    output::print(&diffs)?;
    Ok(match diffs.is_empty() {
        true => Outcome::Fine,
        false => Outcome::Different,
    })
}

/// Writes one configuration, and what goes beside it.
fn write(
    arguments: &Arguments,
    changes: Vec<Change>,
    plan: &Plan,
    speaker: Speaker<'_>,
) -> Result<Outcome, Error> {
    let outputs: Vec<Output> = changes.into_iter().map(|it| it.output).collect();
    let names = outputs.iter().map(|it| it.path.display().to_string());
    let phases = [names.collect()];
    if arguments.dry_run {
        speaker.report(plan, End::DryRun, &phases, &"")?;
        return Ok(Outcome::Fine);
    }
    // Asked before, as writing may put another file there.
    let has_stdout = outputs.iter().any(|it| output::is_stdout(&it.path));
    output::write(&outputs)?;
    if has_stdout {
        terminal::say(&report::text(plan));
    } else {
        speaker.report(plan, End::Written, &phases, &"")?;
    }
    Ok(Outcome::Fine)
}

/// What only the command line knows.
fn notes(arguments: &Arguments, plan: &Plan) -> Vec<String> {
    let mut notes = Vec::new();
    if !arguments.files.is_given() {
        notes.push("no policies are given: what an earlier run added is removed".to_owned());
    }
    let given = arguments.module.as_deref().or(arguments.wasm.as_deref());
    // The usual place is one where Envoy runs, and hardly ever here.
    let usual = [MOUNTED, MOUNTED_MODULE];
    let doubted = given.filter(|it| !usual.contains(it) && !Path::new(it).exists());
    if let Some(path) = doubted.filter(|_| !plan.standing.is_empty()) {
        notes.push(format!(
            "there is no {path} on this machine; it must be there where Envoy runs"
        ));
    }
    notes
}

/// Writes to a folder that an Envoy may be watching, or says what would be
/// written.
fn deliver(
    arguments: &Arguments,
    changes: Vec<Change>,
    plan: &Plan,
    speaker: Speaker<'_>,
) -> Result<Outcome, Error> {
    let documents = changes.into_iter().map(|it| Document {
        kind: it.kind,
        path: it.output.path,
        text: it.output.text,
        in_place: it.output.in_place,
    });
    let pace = arguments.delivery.pace();
    if arguments.dry_run {
        let summary = deliver::rehearse(documents.collect(), &pace)?;
        speaker.report(plan, End::DryRun, summary.phases(), &summary)?;
        return Ok(Outcome::Fine);
    }
    match deliver::deliver(documents.collect(), &pace) {
        Ok(summary) => {
            speaker.report(plan, End::Written, summary.phases(), &summary)?;
            Ok(Outcome::Fine)
        }
        Err(error) if error.is_unfinished() => {
            if speaker.format == ReportFormat::Json {
                speaker.report(plan, End::Unfinished, error.phases(), &"")?;
            }
            terminal::say_error(None, &error);
            Ok(Outcome::Unfinished)
        }
        Err(error) => Err(error.into()),
    }
}
