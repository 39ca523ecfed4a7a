//! A real Envoy as a child process: started, watched, asked, ended.

mod admin;
mod lifecycle;
mod same_names;
mod workers;

pub use same_names::SameNames;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::bootstrap::Bootstrap;
use crate::build;
use crate::client::{Request, Response, h1};
use crate::{repo, wait};
pub use lifecycle::free_port;

/// Long enough for a loaded machine to compile the filter.
const START: Duration = Duration::from_secs(90);

/// Long enough for an Envoy whose every instruction is looked at.
const START_UNDER_A_TOOL: Duration = Duration::from_secs(600);

/// The argument of an Envoy that shares nothing with other processes.
pub const NO_HOT_RESTART: &str = "--disable-hot-restart";

/// What either build says is shown: a benchmark has both in one Envoy.
const LOG_LEVELS: &str = "wasm:info,dynamic_modules:info";

/// What a dead plugin writes into Envoy's log, and a module that has panicked.
const VM_DEATH: [&str; 3] = ["panicked at", "in-VM backtrace", "Uncaught RuntimeError"];

/// A running Envoy; killed when dropped. Its log is printed then, which the
/// test runner shows for a failing test only.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    listeners: Vec<(String, SocketAddr)>,
}

/// What `--mode validate` said.
#[derive(Clone, Debug)]
pub struct Validation {
    /// Whether Envoy accepts the configuration.
    pub ok: bool,
    /// Everything it printed.
    pub log: String,
}

#[derive(Debug)]
struct Process {
    child: Child,
    dir: TempDir,
    prints_log: bool,
}

impl Envoy {
    /// Starts Envoy and waits until it serves.
    pub async fn start(bootstrap: &Bootstrap) -> Result<Self> {
        Self::start_with(bootstrap, &[NO_HOT_RESTART]).await
    }

    /// The same with further arguments; without [`NO_HOT_RESTART`] among them it can be
    /// one of several processes.
    pub async fn start_with(bootstrap: &Bootstrap, arguments: &[&str]) -> Result<Self> {
        Self::serve(Process::spawn(bootstrap, arguments)?, START).await
    }

    /// The same under a tool that is given Envoy's command line, such as a profiler.
    pub async fn start_under(tool: Command, bootstrap: &Bootstrap) -> Result<Self> {
        let process = Process::spawn_under(Some(tool), bootstrap, &[NO_HOT_RESTART])?;
        Self::serve(process, START_UNDER_A_TOOL).await
    }

    async fn serve(mut process: Process, within: Duration) -> Result<Self> {
        match process.wait_for_start(within).await? {
            Ok(admin) => {
                let listeners = admin::listeners(admin).await?;
                Ok(Self {
                    process,
                    admin,
                    listeners,
                })
            }
            Err(status) => bail!("Envoy ended ({status}):\n{}", process.log()),
        }
    }

    /// Starts Envoy, which must refuse to; yields its log.
    pub async fn fails_to_start(bootstrap: &Bootstrap) -> Result<String> {
        let mut process = Process::spawn(bootstrap, &[NO_HOT_RESTART])?;
        match process.wait_for_start(START).await? {
            Ok(_) => bail!("Envoy started with a configuration it should refuse"),
            Err(status) => {
                ensure!(!status.success(), "Envoy ended without an error");
                Ok(process.log())
            }
        }
    }

    /// Runs `envoy --mode validate`.
    pub async fn validate(bootstrap: &Bootstrap) -> Result<Validation> {
        let mut process = Process::spawn(bootstrap, &[NO_HOT_RESTART, "--mode", "validate"])?;
        let status =
            wait::until_async("envoy --mode validate", START, async || process.exited()).await?;
        Ok(Validation {
            ok: status.success(),
            log: process.log(),
        })
    }

    /// The address of the first listener.
    pub fn addr(&self) -> SocketAddr {
        self.listeners
            .first()
            .map_or_else(|| panic!("this Envoy has no listener"), |(_, addr)| *addr)
    }

    /// The address of a listener by name.
    pub fn listener_addr(&self, name: &str) -> Result<SocketAddr> {
        self.listeners
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, addr)| *addr)
            .with_context(|| format!("no listener {name:?} in {:?}", self.listeners))
    }

    /// The address of the admin interface.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// Sends a request to the first listener by HTTP/1.
    pub async fn send(&self, request: Request) -> Result<Response> {
        h1::send(self.addr(), request).await
    }

    /// GETs a path from the first listener by HTTP/1.
    pub async fn get(&self, path: &str) -> Result<Response> {
        h1::get(self.addr(), path).await
    }

    /// Ends it, and says nothing of its log: all went well.
    pub fn stop(mut self) {
        self.process.prints_log = false;
    }

    /// The process id, for measurements.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Everything Envoy has printed so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until the log contains `needle`; yields its line.
    pub async fn wait_for_log(&self, needle: &str, timeout: Duration) -> Result<String> {
        wait::until(&format!("{needle:?} in Envoy's log"), timeout, || {
            let log = self.log();
            log.lines().find(|l| l.contains(needle)).map(Into::into)
        })
        .await
    }

    /// Fails when the plugin crashed, even if it was reloaded since.
    pub async fn assert_vm_alive(&self) -> Result<()> {
        let reloads = self.stats_matching(r"^wasm\..*\.vm_reload_").await?;
        for (name, value) in reloads {
            ensure!(value == 0, "the plugin's VM died: {name} is {value}");
        }
        let log = self.log();
        let death = log.lines().find(|l| VM_DEATH.iter().any(|d| l.contains(d)));
        ensure!(death.is_none(), "the plugin's VM died: {death:?}");
        Ok(())
    }
}

impl Process {
    fn spawn(bootstrap: &Bootstrap, arguments: &[&str]) -> Result<Self> {
        Self::spawn_under(None, bootstrap, arguments)
    }

    fn spawn_under(
        tool: Option<Command>,
        bootstrap: &Bootstrap,
        arguments: &[&str],
    ) -> Result<Self> {
        let envoy = repo::envoy_binary()?;
        let dir = TempDir::new()?;
        let config = dir.path().join("envoy.json");
        let mut adapted = bootstrap.config().clone();
        build::adapt(&mut adapted)?;
        fs::write(&config, serde_json::to_vec_pretty(&adapted)?)?;
        let log = File::create(log_path(dir.path()))?;
        let mut command = match tool {
            None => Command::new(&envoy),
            Some(mut tool) => {
                tool.arg(&envoy);
                tool
            }
        };
        let child = command
            .arg("--config-path")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(admin_path(dir.path()))
            .args(["--concurrency", &bootstrap.concurrency().to_string()])
            .args(["--log-level", "warning"])
            .args(["--component-log-level", LOG_LEVELS])
            .args(["--file-flush-interval-msec", "10"])
            .args(arguments)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("running {}", envoy.display()))?;
        Ok(Self {
            child,
            dir,
            prints_log: true,
        })
    }

    /// The admin address once Envoy is live, or how it ended before.
    async fn wait_for_start(&mut self, within: Duration) -> Result<Result<SocketAddr, ExitStatus>> {
        wait::until_async("Envoy to start", within, async || {
            if let Some(status) = self.exited()? {
                return Ok(Some(Err(status)));
            }
            let written = fs::read_to_string(admin_path(self.dir.path())).unwrap_or_default();
            let Ok(admin) = written.trim().parse() else {
                return Ok(None);
            };
            let live = admin::is_live(admin).await;
            Ok(live.then_some(Ok(admin)))
        })
        .await
        .with_context(|| self.log())
    }

    fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    fn log(&self) -> String {
        let bytes = fs::read(log_path(self.dir.path())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if self.prints_log && !log.is_empty() {
            eprintln!("--- log of Envoy ---\n{log}--- end ---");
        }
    }
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("envoy.log")
}

fn admin_path(dir: &Path) -> PathBuf {
    dir.join("admin-address")
}
