//! `btp`: BackendTrafficPolicies for people without Kubernetes.
//!
//! Exit codes: 0 success, 1 invalid input, 2 usage error, 3 begun and not
//! ended: run it again; `apply --diff` ends as `diff` does: 0 equal, 1
//! different, 2 invalid input or usage error. What a command makes goes to
//! stdout, and only if nothing was refused; what it has to say about its input
//! goes to stderr, and ends with a line that sums it up.

mod apply;
mod completions;
mod error;
mod explain;
mod fields;
mod files;
mod json;
mod lint;
mod man;
mod plugin_config;
mod schema;
#[cfg(test)]
mod tests;
mod top;
mod version;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::terminal;
use error::Error;

/// BackendTrafficPolicy for stock Envoy
#[derive(Parser)]
#[command(name = "btp", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check policies for errors and for unwise settings
    Lint(lint::Arguments),
    /// Put policies into force in an Envoy configuration
    Apply(Box<apply::Arguments>),
    /// Show which policy applies to which route, and what is in force there; or explain a
    /// code such as BTP0101
    Explain(explain::Arguments),
    /// Print the filter's configuration for these policies, as JSON
    PluginConfig(plugin_config::Arguments),
    /// Show the filter at work in a running Envoy: policies and rules by rate of decisions,
    /// retry budgets, and whether policies are in force
    Top(top::Arguments),
    Fields(fields::Arguments),
    Schema(schema::Arguments),
    /// Print a script that lets a shell complete btp's commands and options
    Completions(completions::Arguments),
    /// Write manual pages for btp and its commands to a folder
    Man(man::Arguments),
    /// Print the version of btp, or of a built filter
    Version(version::Arguments),
}

/// How a command ended that was used rightly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Fine,
    Refused,
    /// The user requested a comparison, and there are differences.
    Different,
    /// Nothing can be compared.
    Incomparable,
    /// Some of it is done, and the same command does the rest.
    Unfinished,
}

/// Runs the command line.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Lint(arguments) => lint::run(&arguments),
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::PluginConfig(arguments) => plugin_config::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Fields(arguments) => fields::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, &Cli::command()),
        Command::Man(arguments) => man::run(&arguments, Cli::command()),
        Command::Version(arguments) => version::run(&arguments),
    };
    match done {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Refused | Outcome::Different) => ExitCode::from(1),
        Ok(Outcome::Incomparable) => ExitCode::from(2),
        Ok(Outcome::Unfinished) => ExitCode::from(3),
        Err(error) => {
            terminal::say_error(error.code(), &error);
            ExitCode::from(2)
        }
    }
}
