//! Where things are in this repository, and what this run may do to the machine.

use std::env;
use std::path::{self, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::commit;

/// The repository and the permissions of this run.
pub(crate) struct Project {
    /// The root of the repository.
    pub(crate) root: PathBuf,
    /// Cargo's target directory; downloads and tools are kept there, too.
    pub(crate) target: PathBuf,
    /// The commit that it is at, for what is built of it.
    pub(crate) commit: String,
    /// The user allowed distribution packages to be installed (`--install`).
    pub(crate) install: bool,
}

impl Project {
    /// The repository that this program was built from.
    pub(crate) fn here(install: bool) -> Result<Project> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in the root of the repository")?
            .to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => path::absolute(dir)?,
            None => root.join("target"),
        };
        Ok(Project {
            commit: commit::of(&root),
            root,
            target,
            install,
        })
    }

    /// A file that `cargo xtask build` makes.
    pub(crate) fn dist(&self, file: &str) -> PathBuf {
        self.root.join("dist").join(file)
    }

    /// `program`, to be run at the root of the repository.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The cargo that runs this program, with its arguments.
    pub(crate) fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = self.command(&cargo);
        command.args(args);
        // Told to this program only, or to nobody: a copy of the sources has
        // its own.
        if self.target != self.root.join("target") {
            command.env("CARGO_TARGET_DIR", &self.target);
        }
        command
    }
}
