//! `btp`: BackendTrafficPolicies for people without Kubernetes.
//!
//! Exit codes: 0 fine, 1 refused, 2 used wrongly. What a command makes goes
//! to stdout, and only if nothing was refused; what it has to say about its
//! input goes to stderr.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::apply::{self, Question};
use crate::compose::Instance;
use crate::lint::{self, Profile};
use crate::report::Format;
use crate::{explain, plugin_config};

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
        #[arg(required_unless_present = "bootstrap", value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Also check an Envoy configuration: whether instances of the filter
        /// in it do the same, and whether it is set up for what policies go by
        #[arg(long, value_name = "FILE")]
        bootstrap: Option<PathBuf>,
        /// Which rules apply
        #[arg(long, value_enum, default_value_t = Profile::Btp)]
        profile: Profile,
        /// Also refuse what Envoy Gateway's CRD does not know: our extensions
        #[arg(long)]
        portable: bool,
        /// How to print what is found
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Put policies into force in an Envoy configuration
    Apply(apply::Arguments),
    /// Say which policy governs which route, and what is in force there
    Explain {
        /// Files and directories with policies; `-` is stdin
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Name of an Envoy route; without it: every route that is targeted
        #[arg(long, value_name = "NAME")]
        route: Option<String>,
        /// The Envoy configuration that the policies are for: says of its
        /// routes where each field is enforced
        #[arg(long, value_name = "FILE", conflicts_with_all = ["listener", "native_fields", "enforce"])]
        bootstrap: Option<PathBuf>,
        /// Which route takes this request, such as "POST https://shop/api"
        #[arg(
            long,
            value_name = "REQUEST",
            requires = "bootstrap",
            conflicts_with = "route"
        )]
        request: Option<String>,
        #[command(flatten)]
        instance: Instance,
    },
    /// Print the filter's configuration for these policies, as JSON
    PluginConfig {
        /// Files and directories with policies and ConfigMaps; `-` is stdin
        #[arg(short, long = "file", required = true, value_name = "FILE", num_args = 1..)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        instance: Instance,
    },
    /// Print the JSON Schema of the filter's configuration
    Schema,
}

/// Runs the command line.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Lint {
            files,
            bootstrap,
            profile,
            portable,
            format,
        } => lint::run(&files, bootstrap.as_deref(), profile, portable, format),
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Explain {
            files,
            route,
            bootstrap: Some(bootstrap),
            request,
            instance,
        } => {
            let question = match (&route, &request) {
                (_, Some(request)) => Question::Request(request),
                (Some(route), None) => Question::Route(route),
                (None, None) => Question::All,
            };
            apply::explain(&bootstrap, &files, instance.gateway.as_deref(), question)
        }
        Command::Explain {
            files,
            route,
            instance,
            ..
        } => explain::run(&files, route.as_deref(), &instance),
        Command::PluginConfig { files, instance } => plugin_config::run(&files, &instance),
        Command::Schema => {
            println!("{:#}", btp_policy::schema::json_schema());
            Ok(true)
        }
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
