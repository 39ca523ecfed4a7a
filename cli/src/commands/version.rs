//! `btp version`: the version of btp, or of a built filter.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::json::ReportFormat;
use super::{Error, Outcome};
use crate::build_info::{self, BuildInfo};
use crate::output;
use crate::terminal;

/// The arguments of `btp version`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// A built filter, the .wasm or the .so, to print the version of; by default btp's own
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

/// Prints it; a file that says nothing is refused.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    let info = match &arguments.file {
        None => own(),
        Some(file) => match build_info::read(file) {
            Ok(info) => info,
            Err(reason) => {
                let name = btp_policy::presentable(&file.display().to_string()).to_string();
                terminal::say_error(None, &format!("{name} {reason}"));
                return Ok(Outcome::Refused);
            }
        },
    };
    let BuildInfo {
        name,
        version,
        commit,
        build,
    } = &info;
    output::print(&match arguments.format {
        ReportFormat::Text => format!("{name} {version} ({build}, commit {commit})\n"),
        ReportFormat::Json => {
            let report = json!({
                "name": name, "version": version, "commit": commit, "build": build,
            });
            format!("{report:#}\n")
        }
    })?;
    Ok(Outcome::Fine)
}

fn own() -> BuildInfo {
    BuildInfo {
        name: "btp".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("BTP_COMMIT").unwrap_or("unknown").to_owned(),
        build: "command line".to_owned(),
    }
}
