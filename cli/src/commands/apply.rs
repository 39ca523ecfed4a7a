//! `btp apply`: policies put into force in a person's own Envoy
//! configuration. Nothing is written unless everything is well.

mod diff;
mod report;

use std::fmt;
use std::path::{Path, PathBuf};

use btp_policy::problem::Problem;
use clap::Args;

use crate::apply::options::{MOUNTED, Options, object_name};
use crate::apply::plan::{self, Plan};
use crate::diagnostics::{self, Finding, Format, Source};
use crate::documents::Input;
use crate::envoy::files::{Config, Syntax};
use crate::envoy::text::yaml_out;
use crate::output::{self, Output};

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
    #[arg(short, long, value_name = "FILE", conflicts_with = "out_dir")]
    output: Option<PathBuf>,
    /// The folder for the bootstrap and the files that it names
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Show what would change, as a unified diff, and write nothing
    #[arg(long)]
    diff: bool,
    /// Do everything but write: check, and print the report
    #[arg(long)]
    dry_run: bool,
    /// Where the filter will be mounted
    #[arg(
        long,
        value_name = "PATH",
        default_value = MOUNTED
    )]
    wasm: String,
    /// The Gateway that this Envoy as a whole stands for; its listeners are
    /// known by the names of Envoy's listeners or filter chains
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    gateway: Option<String>,
    /// Keep the filter's configuration in files of its own, which Envoy will
    /// watch in this folder; they are written to --out-dir
    #[arg(long, value_name = "MOUNTED_DIR", requires = "out_dir")]
    ecds: Option<String>,
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
            wasm: self.wasm.clone(),
            gateway: self.gateway.as_deref().map(object_name),
            ecds: self.ecds.clone(),
            faults_behind: self.faults_behind.clone(),
            limits_behind: self.limits_behind.clone(),
        }
    }
}

/// Applies; false if something was refused.
pub(super) fn run(arguments: &Arguments) -> Result<bool, String> {
    if arguments.watch {
        return Err("--watch is not there yet: run btp apply again when a file changes".to_owned());
    }
    let mut input = Input::read(&arguments.files)?;
    let mut found = std::mem::take(&mut input.findings);
    let mut config = Config::read(&arguments.bootstrap)?;
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
    sources.extend(config.files.iter_mut().map(|file| Source {
        name: file.source.name.clone(),
        text: file.source.text.clone(),
    }));
    diagnostics::print(&found, &sources, Format::Text);
    let (Some(plan), true) = (plan, diagnostics::is_fine(&found)) else {
        return Ok(false);
    };
    let report = report::text(&plan);
    if arguments.diff {
        let diffs: String = changes.iter().map(Change::diff).collect();
        output::print(&diffs)?;
        eprint!("{report}");
        return Ok(true);
    }
    if arguments.dry_run {
        output::print(&report)?;
        return Ok(true);
    }
    let outputs: Vec<Output> = changes.into_iter().map(|it| it.output).collect();
    // Asked before, as writing may put another file there.
    let has_stdout = outputs.iter().any(|it| output::is_stdout(&it.path));
    output::write(&outputs)?;
    if has_stdout {
        eprint!("{report}");
    } else {
        output::print(&report)?;
    }
    Ok(true)
}

/// A file to be written.
struct Change {
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
    /// A file cannot be written in its syntax: the reason.
    Unwritable(String),
}

impl fmt::Display for OutputError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOfSeveral(file) => {
                write!(formatter, "is needed instead of -o: {file} changes as well")
            }
            Self::NoFolder(folder) => {
                let folder = folder.display();
                write!(formatter, "must be a folder that is there (got {folder})")
            }
            Self::Unwritable(reason) => formatter.write_str(reason),
        }
    }
}

fn changes_of(
    arguments: &Arguments,
    config: &Config,
    plan: &Plan,
) -> Result<Vec<Change>, OutputError> {
    let mut changes = Vec::new();
    let many = arguments.out_dir.is_some();
    let given = arguments.output.as_deref();
    let given = given.filter(|it| *it != Path::new(STDOUT));
    for (index, file) in config.files.iter().enumerate() {
        if index > 0 && !many {
            if config.is_changed(index) {
                return Err(OutputError::OneOfSeveral(file.source.name.clone()));
            }
            continue;
        }
        let own_name = file.name.file_name().unwrap_or_default();
        let (name, path) = match (&arguments.out_dir, given) {
            (Some(folder), _) => (folder.join(own_name), folder.join(own_name)),
            (None, Some(path)) => (path.to_owned(), path.to_owned()),
            (None, None) => (file.name.clone(), PathBuf::from(STDOUT)),
        };
        changes.push(Change {
            before: (
                file.source.name.clone(),
                config.text_before(index).to_owned(),
            ),
            output: Output {
                text: config
                    .text(index, Syntax::of(&name))
                    .map_err(OutputError::Unwritable)?,
                path,
            },
            name,
        });
    }
    for (name, node) in &plan.plugin_files {
        let folder = arguments.out_dir.as_deref().unwrap_or(Path::new(""));
        let path = folder.join(name);
        changes.push(Change {
            before: ("/dev/null".to_owned(), String::new()),
            name: path.clone(),
            output: Output {
                text: yaml_out::write(node),
                path,
            },
        });
    }
    if let Some(folder) = &arguments.out_dir
        && !folder.is_dir()
    {
        return Err(OutputError::NoFolder(folder.clone()));
    }
    Ok(changes)
}
