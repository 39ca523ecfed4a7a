//! A child process with what it prints in files.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    dir: TempDir,
}

impl Process {
    /// Starts it in an empty folder of its own; `name` is for messages.
    pub(crate) fn spawn(name: &'static str, mut command: Command) -> Result<Self> {
        let dir = TempDir::new()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(dir.path().join("stdout"))?)
            .stderr(File::create(dir.path().join("stderr"))?)
            .current_dir(dir.path())
            .spawn()
            .with_context(|| format!("running {}", command.get_program().display()))?;
        Ok(Self { name, child, dir })
    }

    /// How it ended, if it has.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Kills it, and waits until it is gone.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The whole lines that it has written to stdout.
    pub(crate) fn printed(&self) -> Result<String> {
        let mut text = fs::read_to_string(self.file("stdout"))?;
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        Ok(text)
    }

    /// What it has written to stderr.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.file("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.end();
        let log = self.log();
        if !log.is_empty() {
            eprintln!("--- log of {} ---\n{log}--- end ---", self.name);
        }
    }
}
