//! How results are delivered to a folder: the options, and the invalid combinations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use btp_policy::scalar;
use clap::Args;

use crate::commands::error::Error;
use crate::deliver::Pace;
use crate::host_port::HostPort;

/// How long a phase is given, unless Envoy says when it has arrived.
const WAIT: Duration = Duration::from_millis(500);

/// How long Envoy may take for a phase.
const PATIENCE: Duration = Duration::from_secs(60);

/// The options.
#[derive(Args, Debug)]
pub(super) struct Delivery {
    /// The folder for the bootstrap and the files that it names. Changes are written in
    /// phases, so that an Envoy that watches the files loses no request
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    out_dir: Option<PathBuf>,
    /// The admin interface of the Envoy that watches --out-dir, to check when a phase has
    /// arrived. Give it once for each Envoy
    #[arg(long, value_name = "HOST:PORT")]
    admin: Vec<HostPort>,
    /// How long to wait after each phase, 500ms by default; with --admin, how long
    /// Envoy may take for one, 60s by default
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait: Option<Duration>,
    /// Write all files of --out-dir at once, for when no Envoy is running
    #[arg(long, conflicts_with_all = ["admin", "wait"])]
    at_once: bool,
    /// Write the filter's configuration to separate files in --out-dir, which Envoy will
    /// watch in this folder
    #[arg(long, value_name = "MOUNTED_DIR")]
    ecds: Option<String>,
}

impl Delivery {
    /// Refuses options that are for a folder where there is none.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.out_dir.is_some() {
            return Ok(());
        }
        let needs = |option, why| Err(Error::NeedsFolder { option, why });
        let phases = "phases are for files that Envoy watches, and -o writes a single file";
        if self.ecds.is_some() {
            return needs(
                "--ecds",
                "the filter's configuration is then a separate file",
            );
        }
        for (is_given, option) in [
            (!self.admin.is_empty(), "--admin"),
            (self.wait.is_some(), "--wait"),
            (self.at_once, "--at-once"),
        ] {
            if is_given {
                return needs(option, phases);
            }
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        self.out_dir.as_deref()
    }

    pub(super) fn ecds(&self) -> Option<&str> {
        self.ecds.as_deref()
    }

    pub(super) fn pace(&self) -> Pace {
        if self.at_once {
            Pace::AtOnce
        } else if self.admin.is_empty() {
            Pace::After(self.wait.unwrap_or(WAIT))
        } else {
            Pace::Asking(self.admin.clone(), self.wait.unwrap_or(PATIENCE))
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = scalar::Duration::parse(text);
    let duration = duration.map(|it| Duration::from_nanos(it.as_nanos()));
    duration.ok_or_else(|| "must be a duration such as 500ms, 10s or 1m30s".to_owned())
}
