//! `btp`: BackendTrafficPolicies for people without Kubernetes.
//!
//! Exit codes: 0 fine, 1 refused, 2 used wrongly. What a command makes goes
//! to stdout, and only if nothing was refused; what it has to say about its
//! input goes to stderr.

mod input;
mod lint;
mod plugin_config;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::Format;

/// BackendTrafficPolicy for stock Envoy
#[derive(Parser)]
#[command(name = "btp", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check policies; says nothing if they are fine
    Lint {
        /// Files and directories (*.yaml, *.yml, *.json); `-` is stdin
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How to print what is found
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Print the filter's configuration for these policies, as JSON
    PluginConfig {
        /// Files and directories with policies and ConfigMaps; `-` is stdin
        #[arg(short, long = "file", required = true, value_name = "FILE", num_args = 1..)]
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Lint { files, format } => lint::run(&files, format),
        Command::PluginConfig { files } => plugin_config::run(&files),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
