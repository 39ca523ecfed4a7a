//! The files that a run will write: the old content, the new content, and the path of each.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use btp_policy::problem::Problem;

use super::readable::readable;
use super::{Arguments, diff};
use crate::apply::plan::Plan;
use crate::envoy::files::{Config, Kind, Syntax};
use crate::envoy::text::yaml_out;
use crate::output::Output;
use crate::source_file::shown_name;

/// The name of stdout among paths.
const STDOUT: &str = "-";

/// A file to be written.
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) output: Output,
    /// What it is written as.
    pub(super) syntax: Syntax,
    /// What the file is called.
    pub(super) name: PathBuf,
    pub(super) before: Before,
}

/// What a file was before.
pub(super) struct Before {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) syntax: Syntax,
}

impl Before {
    /// What is in a file that is written anew.
    pub(super) fn of_result(path: &Path, syntax: Syntax) -> Self {
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
    pub(super) fn diff(&self) -> String {
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
pub(super) enum OutputError {
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
                    "is needed instead of -o, as {file} also changes; or use --flat for one file \
                     with everything"
                )
            }
            Self::NoFolder(folder) => {
                let folder = folder.display();
                write!(formatter, "must be an existing folder (got {folder})")
            }
            Self::SameName(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                write!(
                    formatter,
                    "cannot contain two files named {name}: rename one of them"
                )
            }
            Self::NotFlat(problem) => problem.fmt(formatter),
        }
    }
}

/// The files that change, with their new content.
///
/// # Errors
/// They cannot be written where the person wants them.
pub(super) fn changes_of(
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
