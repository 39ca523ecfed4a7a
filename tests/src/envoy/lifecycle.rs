//! How an Envoy ends, and the hot restart: a new process takes the sockets over from
//! one that serves.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Envoy;
use crate::bootstrap::Bootstrap;
use crate::wait;

/// What Envoy writes when it does not end as it should.
const CRASHES: [&str; 4] = ["Caught ", "assert failure", "panicked at", "Backtrace"];

impl Envoy {
    /// Starts an Envoy that [`Envoy::restart`] can take over from. Its listeners need
    /// ports of their own ([`free_port`]): a socket is handed over by its address.
    pub async fn start_restartable(bootstrap: &Bootstrap, arguments: &[&str]) -> Result<Self> {
        let dir = tempfile::TempDir::new()?;
        let file = dir.path().join("base-id");
        let path = file.display().to_string();
        let own = ["--use-dynamic-base-id", "--base-id-path", &path];
        let envoy = Self::start_with(bootstrap, &[&own, arguments].concat()).await?;
        fs::rename(file, base_id_path(envoy.process.dir.path()))?;
        Ok(envoy)
    }

    /// Starts the process that takes over from this one, and waits until it serves.
    pub async fn restart(&self, bootstrap: &Bootstrap, arguments: &[&str]) -> Result<Self> {
        let base_id = fs::read_to_string(base_id_path(self.process.dir.path()))?;
        let own = ["--base-id", base_id.trim(), "--restart-epoch", "1"];
        Self::start_with(bootstrap, &[&own, arguments].concat()).await
    }

    /// Asks it to end, as an operator or a supervisor does (SIGTERM).
    pub fn terminate(&self) -> Result<()> {
        self.signal("TERM")
    }

    /// Sends the process a signal, such as `STOP`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status()?;
        ensure!(status.success(), "kill: {status}");
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        wait::until_async("Envoy to end", within, async || self.process.exited()).await
    }

    /// The same; fails unless Envoy has ended well.
    pub async fn ended_well(&mut self, within: Duration) -> Result<()> {
        let status = self.ended(within).await?;
        ensure!(status.success(), "Envoy has ended with {status}");
        let log = self.log();
        let crash = log.lines().find(|l| CRASHES.iter().any(|c| l.contains(c)));
        ensure!(crash.is_none(), "Envoy has crashed: {crash:?}");
        Ok(())
    }
}

/// A port that nobody listens on just now.
pub fn free_port() -> Result<u16> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(socket.local_addr()?.port())
}

fn base_id_path(dir: &Path) -> PathBuf {
    dir.join("base-id")
}
