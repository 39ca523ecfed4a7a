//! The machine: which core runs what, and its description.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use btp_tests::{Envoy, repo};

/// Where the load comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generator {
    /// The core that Envoy runs on.
    SameCore,
    /// Another one.
    OtherCore,
}

impl Generator {
    pub(crate) const ALL: [Self; 2] = [Self::SameCore, Self::OtherCore];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SameCore => "same core",
            Self::OtherCore => "other core",
        }
    }
}

/// Keeps Envoy on one core, and the load and the backend on the same or on another.
pub(crate) fn pin(envoy: &Envoy, generator: Generator) -> Result<()> {
    pin_process(envoy.pid(), "0")?;
    let own = match generator {
        Generator::SameCore => "0",
        Generator::OtherCore => "1",
    };
    pin_process(std::process::id(), own)
}

/// Lets the load and the backend run anywhere again.
pub(crate) fn unpin() -> Result<()> {
    let last = std::thread::available_parallelism()?.get().max(2) - 1;
    pin_process(std::process::id(), &format!("0-{last}"))
}

fn pin_process(process: u32, cores: &str) -> Result<()> {
    let pinned = Command::new("taskset")
        .args(["-acp", cores, &process.to_string()])
        .output()
        .context("taskset is needed, of util-linux")?;
    ensure!(pinned.status.success(), "{pinned:?}");
    Ok(())
}

/// Processes that ran or wanted to, on average over the last minute.
pub(crate) fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let first = text.split_whitespace().next().context("no load")?;
    Ok(first.parse()?)
}

/// When and on what was measured, as a sentence.
pub(crate) fn describe(load_before: f64) -> Result<String> {
    let date = Command::new("date")
        .args(["-u", "+%Y-%m-%d %H:%M UTC"])
        .output()?;
    let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    let (major, minor, patch) = repo::envoy_version()?;
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let line = |name: &str| {
        let line = processors.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": "))
            .map_or("unknown", |(_, value)| value)
    };
    let cores = processors.matches("processor\t").count();
    Ok(format!(
        "Measured {date} with Envoy {major}.{minor}.{patch} on {cores} cores ({}); the machine's \
         load was {load_before:.1} before and {:.1} after.",
        line("model name"),
        load()?
    ))
}
