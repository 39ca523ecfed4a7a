//! The demo as a process of its own, as people start it: where it listens, and what a test
//! does with it. What READMEs show is tried on it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::envoy::free_port;
use crate::wait;

/// The end of what the demo says when it is ready.
const READY: &str = "Ctrl-C ends it.";

/// Two Envoys start and a tour is made; what leads to it may build the filter before.
const START: Duration = Duration::from_secs(900);

/// Where the demo's Envoy listens, on this machine only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// For requests: `$BTP_PORT`.
    pub traffic: u16,
    /// For the admin interface: `$BTP_ADMIN_PORT`.
    pub admin: u16,
}

/// A running demo; ends when dropped.
#[derive(Debug)]
pub struct Demo {
    child: Child,
    ports: Ports,
    dir: TempDir,
}

impl Ports {
    /// What the READMEs say.
    pub const USUAL: Self = Self {
        traffic: 10_000,
        admin: 9_901,
    };

    /// What the environment says, else the usual ones.
    pub fn from_env() -> Result<Self> {
        let port = |name: &str, usual| match std::env::var(name) {
            Ok(text) if !text.is_empty() => text
                .parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .with_context(|| format!("{name} is {text:?}: it must be a port, 1 to 65535")),
            _ => Ok(usual),
        };
        Ok(Self {
            traffic: port("BTP_PORT", Self::USUAL.traffic)?,
            admin: port("BTP_ADMIN_PORT", Self::USUAL.admin)?,
        })
    }
}

impl Demo {
    /// Starts a program (the demo, or what leads to it) on free ports, and waits until it
    /// is ready.
    pub async fn start(mut command: Command) -> Result<Self> {
        let ports = Ports {
            traffic: free_port()?,
            admin: free_port()?,
        };
        let dir = TempDir::new()?;
        let log = File::create(log_path(dir.path()))?;
        command
            .env("BTP_PORT", ports.traffic.to_string())
            .env("BTP_ADMIN_PORT", ports.admin.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("running {command:?}"))?;
        let mut demo = Self { child, ports, dir };
        wait::until_async("the demo", START, async || {
            let printed = demo.printed();
            if let Some(status) = demo.child.try_wait()? {
                bail!("the demo ended ({status}):\n{printed}");
            }
            Ok(printed.contains(READY).then_some(()))
        })
        .await?;
        Ok(demo)
    }

    /// Everything that it has printed so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(log_path(self.dir.path())).unwrap_or_default()
    }

    /// Where its Envoy's admin interface listens.
    pub fn admin_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.admin).into()
    }

    /// Where its Envoy serves.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.traffic).into()
    }

    /// The processes that it has started and that have not ended.
    pub fn children(&self) -> Result<Vec<u32>> {
        let output = Command::new("ps")
            .args(["-A", "-o", "pid=,ppid="])
            .output()?;
        ensure!(output.status.success(), "ps: {output:?}");
        let own = self.child.id();
        let text = String::from_utf8(output.stdout)?;
        let pairs = text.lines().filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        });
        let found = pairs.filter(|(_, parent)| *parent == own);
        Ok(found.map(|(pid, _)| pid).collect())
    }

    /// Sends it a signal, such as `TERM`, and waits until it has ended.
    pub async fn end_by(&mut self, signal: &str) -> Result<ExitStatus> {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status()?;
        ensure!(status.success(), "kill: {status}");
        let child = &mut self.child;
        wait::until_async("the demo to end", Duration::from_secs(30), async || {
            Ok(child.try_wait()?)
        })
        .await
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // One that has ended already is fine; one that is killed takes its Envoys along on
        // Linux only.
        let pid = self.child.id().to_string();
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
            let asked = Instant::now();
            while matches!(self.child.try_wait(), Ok(None))
                && asked.elapsed() < Duration::from_secs(10)
            {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the demo ---\n{}--- end ---", self.printed());
        }
    }
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("demo.log")
}
