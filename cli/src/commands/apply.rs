//! `btp apply`: policies put into force in a person's own Envoy
//! configuration. Nothing is written unless everything is well.

mod delivery;
mod diff;
mod rate_limits;
mod readable;
mod report;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use btp_policy::problem::Problem;
use clap::Args;

use super::files::{Files, Summary};
use super::{Error, Outcome};
use crate::apply::options::{FilterFile, MOUNTED, MOUNTED_MODULE, Options, object_name};
use crate::apply::plan::{self, Plan};
use crate::deliver::{self, Document, Lock};
use crate::diagnostics::{self, Finding, Format};
use crate::envoy::files::{Config, Kind, Syntax};
use crate::envoy::plugin::Build;
use crate::envoy::text::yaml_out;
use crate::output::{self, Output};
use crate::source_file::{is_stdin, shown_name};
use crate::terminal;
use delivery::Delivery;
use rate_limits::RateLimits;
use readable::readable;

/// The name of stdout among paths.
const STDOUT: &str = "-";

/// The arguments of `btp apply`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The Envoy configuration: YAML, or JSON if it ends in .json; `-` is stdin
    #[arg(long, value_name = "FILE")]
    bootstrap: PathBuf,
    #[command(flatten)]
    files: Files,
    /// Where the configuration is written, as JSON if it ends in .json;
    /// without it, or with `-`: stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write one configuration: with the listeners, clusters and routes of all
    /// files in the bootstrap, as `envoy --mode validate` looks into no other
    #[arg(long, conflicts_with = "out_dir")]
    flat: bool,
    #[command(flatten)]
    delivery: Delivery,
    #[command(flatten)]
    rate_limits: RateLimits,
    /// Show what would change, as a unified diff, and write nothing; exit codes are those
    /// of diff: 0 equal, 1 different, 2 refused or wrong usage
    #[arg(long)]
    diff: bool,
    /// Do everything but write: check, and print the report; with --diff the report goes
    /// to stderr
    #[arg(long)]
    dry_run: bool,
    /// Where the .wasm will be mounted; without it:
    /// /etc/envoy/backend_traffic_policy.wasm
    #[arg(long, value_name = "PATH")]
    wasm: Option<String>,
    /// Put the filter in as a dynamic module, in place of the .wasm, and where it will
    /// be mounted; without PATH: /etc/envoy/libbackend_traffic_policy.so
    #[arg(
        long,
        value_name = "PATH",
        num_args = 0..=1,
        default_missing_value = MOUNTED_MODULE,
        conflicts_with = "wasm"
    )]
    module: Option<String>,
    /// The Gateway that this Envoy as a whole stands for; its listeners are
    /// known by the names of Envoy's listeners or filter chains
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    gateway: Option<String>,
    /// The HTTP filter that faults and overrides come right behind; without
    /// it they come before everything but health checks
    #[arg(long, value_name = "NAME")]
    faults_behind: Option<String>,
    /// The HTTP filter that limits and retries come right behind; without it
    /// they come after everything that judges or prepares a request
    #[arg(long, value_name = "NAME")]
    limits_behind: Option<String>,
    /// For a later version: see `run`.
    #[arg(long, hide = true)]
    watch: bool,
}

impl Arguments {
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
            rate_limits: self.rate_limits.service(),
        }
    }
}

/// Applies.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    if arguments.watch {
        return Err(Error::NoWatch);
    }
    arguments.delivery.check()?;
    if arguments.delivery.folder().is_some() && is_stdin(&arguments.bootstrap) {
        return Err(Error::NoName);
    }
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
                Problem::new("--out-dir", error.to_string()),
                diagnostics::Location::Nowhere,
            )),
        }
    }
    let mut sources = std::mem::take(&mut input.sources);
    sources.extend(config.files.iter().map(|file| file.source.clone()));
    summary.print(&found, &sources, Format::Text)?;
    let (Some(mut plan), true) = (plan, diagnostics::is_fine(&found)) else {
        return Ok(match arguments.diff {
            true => Outcome::Incomparable,
            false => Outcome::Refused,
        });
    };
    plan.notes.extend(notes(arguments, &plan));
    let report = report::text(&plan);
    if arguments.diff {
        if arguments.dry_run {
            terminal::say(&report);
        }
        let diffs: String = changes.iter().map(Change::diff).collect();
        output::print(&diffs)?;
        return Ok(match diffs.is_empty() {
            true => Outcome::Fine,
            false => Outcome::Different,
        });
    }
    if folder.is_some() {
        return deliver(arguments, changes, &report);
    }
    if arguments.dry_run {
        output::print(&report)?;
        return Ok(Outcome::Fine);
    }
    let outputs: Vec<Output> = changes.into_iter().map(|it| it.output).collect();
    // Asked before, as writing may put another file there.
    let has_stdout = outputs.iter().any(|it| output::is_stdout(&it.path));
    output::write(&outputs)?;
    if has_stdout {
        terminal::say(&report);
    } else {
        output::print(&report)?;
    }
    Ok(Outcome::Fine)
}

/// What only the command line knows.
fn notes(arguments: &Arguments, plan: &Plan) -> Vec<String> {
    let mut notes = Vec::new();
    if !arguments.files.is_given() {
        notes.push("no policies are given: what an earlier run has added is taken out".to_owned());
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
fn deliver(arguments: &Arguments, changes: Vec<Change>, report: &str) -> Result<Outcome, Error> {
    let documents = changes.into_iter().map(|it| Document {
        kind: it.kind,
        path: it.output.path,
        text: it.output.text,
        in_place: it.output.in_place,
    });
    let pace = arguments.delivery.pace();
    if arguments.dry_run {
        let summary = deliver::rehearse(documents.collect(), &pace)?;
        output::print(&format!("{report}{summary}"))?;
        return Ok(Outcome::Fine);
    }
    match deliver::deliver(documents.collect(), &pace) {
        Ok(summary) => {
            output::print(&format!("{report}{summary}"))?;
            Ok(Outcome::Fine)
        }
        Err(error) if error.is_unfinished() => {
            terminal::say_error(&error);
            Ok(Outcome::Unfinished)
        }
        Err(error) => Err(error.into()),
    }
}

/// A file to be written.
struct Change {
    kind: Kind,
    output: Output,
    /// What it is written as.
    syntax: Syntax,
    /// What the file is called.
    name: PathBuf,
    before: Before,
}

/// What a file was before.
struct Before {
    name: String,
    text: String,
    syntax: Syntax,
}

impl Before {
    /// What is in a file that is written anew.
    fn of_result(path: &Path, syntax: Syntax) -> Self {
        let is_file = fs::metadata(path).is_ok_and(|it| it.is_file());
        let (name, text) = match is_file.then(|| fs::read(path)) {
            Some(Ok(bytes)) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (path.display().to_string(), text)
            }
            _ => ("/dev/null".to_owned(), String::new()),
        };
        Self { name, text, syntax }
    }
}

impl Change {
    /// What changes, readable if that shows it; nothing if nothing does.
    fn diff(&self) -> String {
        let Before { name, text, syntax } = &self.before;
        let new = &self.output.text;
        let new_name = shown_name(&self.name);
        let shown = match text == new {
            true => String::new(),
            false => {
                let (old, new) = (readable(text, *syntax), readable(new, self.syntax));
                diff::unified(&old, &new, name, &new_name)
            }
        };
        match shown.is_empty() {
            true => diff::unified(text, new, name, &new_name),
            false => shown,
        }
    }
}

/// Why changes cannot be written where the person wants them. Prints as a
/// predicate whose subject is `--out-dir`.
enum OutputError {
    /// The configuration has several files that change, and there is one `-o`.
    OneOfSeveral(String),
    /// There is no such folder.
    NoFolder(PathBuf),
    /// Two files would have this name there.
    SameName(PathBuf),
    /// The files cannot be one.
    NotFlat(Problem),
}

impl fmt::Display for OutputError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOfSeveral(file) => {
                write!(
                    formatter,
                    "is needed instead of -o: {file} changes as well; or --flat, for one file with \
                     everything"
                )
            }
            Self::NoFolder(folder) => {
                let folder = folder.display();
                write!(formatter, "must be a folder that is there (got {folder})")
            }
            Self::SameName(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                write!(
                    formatter,
                    "cannot hold two files named {name}: rename one of them"
                )
            }
            Self::NotFlat(problem) => problem.fmt(formatter),
        }
    }
}

fn changes_of(
    arguments: &Arguments,
    config: &Config,
    plan: &Plan,
) -> Result<Vec<Change>, OutputError> {
    let mut changes = Vec::new();
    let many = arguments.delivery.folder().is_some();
    let given = arguments.output.as_deref();
    let given = given.filter(|it| *it != Path::new(STDOUT));
    for (index, file) in config.files.iter().enumerate() {
        if index > 0 && !many {
            if config.is_changed(index) && !arguments.flat {
                return Err(OutputError::OneOfSeveral(file.source.name.clone()));
            }
            continue;
        }
        let own_name = file.name.file_name().unwrap_or_default();
        let (name, path) = match (arguments.delivery.folder(), given) {
            (Some(folder), _) => (folder.join(own_name), folder.join(own_name)),
            (None, Some(path)) => (path.to_owned(), path.to_owned()),
            (None, None) => (file.name.clone(), PathBuf::from(STDOUT)),
        };
        let syntax = match (many, given) {
            (false, None) => file.syntax,
            _ => Syntax::of(&name),
        };
        changes.push(Change {
            kind: file.kind,
            syntax,
            before: Before {
                name: file.source.name.clone(),
                text: config.text_before(index).to_owned(),
                syntax: file.syntax,
            },
            output: Output {
                text: match arguments.flat {
                    true => config.flat_text(syntax).map_err(OutputError::NotFlat)?,
                    false => config.text(index, syntax),
                },
                path,
                in_place: false,
            },
            name,
        });
    }
    changes.extend(arguments.rate_limits.change(plan.rate_limits.as_deref()));
    for (name, node) in &plan.plugin_files {
        let folder = arguments.delivery.folder().unwrap_or(Path::new(""));
        let path = folder.join(name);
        changes.push(Change {
            kind: Kind::Extension,
            syntax: Syntax::Yaml,
            before: Before::of_result(&path, Syntax::Yaml),
            name: path.clone(),
            output: Output {
                text: yaml_out::write(node),
                path,
                in_place: false,
            },
        });
    }
    if let Some(folder) = arguments.delivery.folder()
        && !folder.is_dir()
    {
        return Err(OutputError::NoFolder(folder.to_owned()));
    }
    let mut names = BTreeSet::new();
    match changes.iter().find(|it| !names.insert(&it.output.path)) {
        Some(twice) => Err(OutputError::SameName(twice.name.clone())),
        None => Ok(changes),
    }
}
