//! `btp apply`: policies put into force in a person's own Envoy
//! configuration. Nothing is written unless everything is well.

mod delivery;
mod diff;
mod rate_limits;
mod report;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use btp_policy::Code;
use btp_policy::problem::Problem;
use clap::Args;

use super::{Error, Outcome};
use crate::apply::options::{FilterFile, MOUNTED, MOUNTED_MODULE, Options, object_name};
use crate::apply::plan::{self, Plan};
use crate::deliver::{self, Document, Lock};
use crate::diagnostics::{self, Finding, Format};
use crate::documents::Input;
use crate::envoy::files::{Config, Kind, Syntax};
use crate::envoy::plugin::Build;
use crate::envoy::text::yaml_out;
use crate::output::{self, Output};
use crate::terminal;
use delivery::Delivery;
use rate_limits::RateLimits;

/// The name of stdout among paths.
const STDOUT: &str = "-";

/// The arguments of `btp apply`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The Envoy configuration: YAML, or JSON if it ends in .json
    #[arg(long, value_name = "FILE")]
    bootstrap: PathBuf,
    /// Files and directories with policies and ConfigMaps; `-` is stdin
    #[arg(short, long = "file", value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
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
    /// Show what would change, as a unified diff, and write nothing
    #[arg(long)]
    diff: bool,
    /// Do everything but write: check, and print the report
    #[arg(long)]
    dry_run: bool,
    /// Where the .wasm will be mounted
    #[arg(
        long,
        value_name = "PATH",
        default_value = MOUNTED
    )]
    wasm: String,
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
                    path: self.wasm.clone(),
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
    let folder = arguments.delivery.folder();
    let writes = !arguments.diff && !arguments.dry_run;
    // Before anything is read: what is there is to stay so until it is ours.
    let _lock = match folder.filter(|_| writes) {
        Some(folder) => Some(Lock::take(folder)?),
        None => None,
    };
    let mut input = Input::read(&arguments.files)?;
    let mut found = input.take_findings();
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
    diagnostics::print(&found, &sources, Format::Text)?;
    let (Some(plan), true) = (plan, diagnostics::is_fine(&found)) else {
        return Ok(Outcome::Refused);
    };
    let report = report::text(&plan);
    if arguments.diff {
        let diffs: String = changes.iter().map(Change::diff).collect();
        output::print(&diffs)?;
        terminal::say(&report);
        return Ok(Outcome::Fine);
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
            terminal::say_error(None, &error);
            Ok(Outcome::Unfinished)
        }
        Err(error) => Err(error.into()),
    }
}

/// A file to be written.
struct Change {
    kind: Kind,
    output: Output,
    /// What the file is called.
    name: PathBuf,
    /// What it was before: name and text.
    before: (String, String),
}

impl Change {
    fn diff(&self) -> String {
        let name = self.name.display().to_string();
        diff::unified(&self.before.1, &self.output.text, &self.before.0, &name)
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
        changes.push(Change {
            kind: file.kind,
            before: (
                file.source.name.clone(),
                config.text_before(index).to_owned(),
            ),
            output: Output {
                text: match arguments.flat {
                    true => config
                        .flat_text(Syntax::of(&name))
                        .map_err(OutputError::NotFlat)?,
                    false => config.text(index, Syntax::of(&name)),
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
            before: ("/dev/null".to_owned(), String::new()),
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
