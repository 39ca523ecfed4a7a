//! `cargo xtask …`: the project's own build system.
//!
//! Every command prepares what it needs (the wasm toolchain, Envoy, test
//! tools), so that a fresh clone on a fresh machine needs no other step.

#[cfg(test)]
mod architecture;
mod before;
mod builds;
mod built;
mod capabilities;
mod checks;
mod commit;
mod compose;
mod deny;
mod docs;
mod elf;
mod envoy;
mod exports;
mod files;
mod floors;
mod fuzz;
mod image;
mod module;
mod packages;
mod ports;
mod project;
mod prometheus;
mod prose;
mod rate_limit_service;
mod real_envoy;
mod reproducible;
mod sh;
mod test_files;
mod toolchain;
mod wasm;
mod wasm_tests;
mod wheels;
mod zig;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};

use builds::Build;
use project::Project;

/// Builds, runs and tests BackendTrafficPolicy for stock Envoy.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    /// Install missing distribution packages with sudo (root always may).
    #[arg(long, global = true)]
    install: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build dist/backend_traffic_policy.wasm, dist/libbackend_traffic_policy.so and
    /// dist/btp.
    Build {
        /// Only the filter that runs in Envoy's sandbox.
        #[arg(long)]
        wasm: bool,
        /// Only the filter that Envoy loads as a dynamic module.
        #[arg(long, conflicts_with = "wasm")]
        module: bool,
        /// Only the module, for another machine, such as aarch64-unknown-linux-gnu.
        #[arg(long, value_name = "TRIPLE", conflicts_with = "wasm")]
        target: Option<String>,
        /// Only the copy of the module that panics on command, for the tests.
        #[arg(long, conflicts_with_all = ["wasm", "module", "target"])]
        planted: bool,
    },
    /// Find or fetch Envoy and print where it is.
    Envoy {
        /// The release wanted.
        #[arg(long, default_value = envoy::DEFAULT_VERSION)]
        version: String,
    },
    /// Build, start Envoy with the demo configuration and show the policies at work.
    ///
    /// It serves at localhost:10000, and Envoy's admin interface at localhost:9901: the
    /// variables BTP_PORT and BTP_ADMIN_PORT name other ports.
    Demo {
        /// End after the tour instead of serving until Ctrl-C, on any ports.
        #[arg(long)]
        once: bool,
        /// Serve the configuration of this folder of examples/ instead.
        #[arg(long, value_name = "NAME")]
        example: Option<String>,
        /// The build of the filter that Envoy gets.
        #[arg(long, default_value = "wasm")]
        build: Build,
    },
    /// Run all tests: host, wasm32, real Envoy, containers.
    Test {
        /// Only the scenario tables, on this Envoy release.
        #[arg(long, value_name = "VERSION")]
        envoy: Option<String>,
        /// Run what needs an Envoy on this build of the filter only.
        #[arg(long)]
        build: Option<Build>,
        /// Only host and real-Envoy tests whose name contains this.
        filter: Option<String>,
    },
    /// Measure, and write docs/PERFORMANCE.md (minutes; leave the machine alone).
    Bench {
        /// Measure these parts only.
        parts: Vec<real_envoy::Part>,
        /// How many rounds the parts make that compare CPU; each has a default.
        #[arg(long, value_parser = clap::value_parser!(u64).range(2..=1000))]
        rounds: Option<u64>,
    },
    /// Attack an Envoy with the filter, and write docs/RELIABILITY.md (loopback only).
    Campaign {
        /// How long.
        #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
        minutes: u64,
        /// Draws the same attacks as an earlier run; otherwise the time of day does.
        #[arg(long)]
        seed: Option<u64>,
        /// Only write the page, from the log that is there.
        #[arg(long)]
        page: bool,
    },
    /// Run the scenario tables on several releases of Envoy, and write docs/VERSIONS.md.
    Versions {
        /// Only on this one; what is known of the others stays.
        #[arg(long, value_name = "VERSION", value_parser = releases())]
        release: Option<String>,
    },
    /// Build the filter, and write the list of what Envoy must allow it, with all copies.
    Capabilities,
    /// Check the links of all pages, and make a site of docs/ with search: target/site.
    Docs,
    /// Check licences, bans, sources and advisories of all dependencies (deny.toml).
    Deny,
    /// Build the filter, in both builds, in a second folder and compare: it must not depend
    /// on where.
    Reproducible,
    /// Bring docker-compose.yml up, test it and take it down.
    ComposeTest,
    /// Run a fuzz target of tests/fuzz, or all of them.
    Fuzz {
        /// The target, such as `exchange`.
        target: Option<String>,
        /// How many inputs each target gets.
        #[arg(long, default_value_t = 100_000)]
        runs: u64,
        /// Play scripts that a seed makes, as the engine's test does: exchanges
        /// only, and many times as fast.
        #[arg(long, conflicts_with = "target")]
        seeded: bool,
        /// Write the figures into docs/reliability/fuzz.json.
        #[arg(long)]
        record: bool,
    },
    /// Check the English of pages, messages and comments (tests/prose).
    Prose {
        /// Only these files.
        files: Vec<PathBuf>,
    },
    /// Before each commit: format, clippy, prose, unit tests, build, one smoke test on Envoy.
    Check,
    /// Everything that continuous integration runs.
    Ci,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn releases() -> PossibleValuesParser {
    PossibleValuesParser::new(envoy::VERSIONS.iter().copied())
}

fn run(args: Args) -> Result<()> {
    let project = Project::here(args.install)?;
    match args.command {
        Command::Build { planted: true, .. } => module::planted(&project).map(drop),
        Command::Build { wasm: true, .. } => wasm::filter(&project).map(drop),
        Command::Build { module, target, .. } if module || target.is_some() => {
            let target = target.unwrap_or_else(module::own_target);
            module::build(&project, &target).map(drop)
        }
        Command::Build { .. } => built::build(&project).map(drop),
        Command::Envoy { version } => {
            let envoy = envoy::find(&project, &version)?;
            println!("{}", envoy.path.display());
            Ok(())
        }
        Command::Demo {
            once,
            example,
            build,
        } => real_envoy::demo(&project, build, once, example.as_deref()),
        Command::Test {
            envoy,
            build,
            filter,
        } => checks::test(&project, envoy.as_deref(), build, filter.as_deref()),
        Command::Bench { parts, rounds } => real_envoy::bench(&project, &parts, rounds),
        Command::Campaign { page: true, .. } => real_envoy::campaign_page(&project),
        Command::Campaign { minutes, seed, .. } => real_envoy::campaign(&project, minutes, seed),
        Command::Versions { release } => real_envoy::versions(&project, release.as_deref()),
        Command::Fuzz {
            target,
            runs,
            seeded,
            record,
        } => {
            let target = target.as_deref();
            let wish = fuzz::Wish {
                target,
                runs,
                seeded,
                record,
            };
            fuzz::run(&project, wish)
        }
        Command::Capabilities => capabilities::update(&project),
        Command::Docs => {
            let page = docs::build(&project)?;
            println!("{}", page.display());
            Ok(())
        }
        Command::Deny => deny::check(&project).map(drop),
        Command::Reproducible => reproducible::check(&project),
        Command::Prose { files } => prose::check(&project, &files),
        Command::ComposeTest => compose::test(&project).map(drop),
        Command::Check => checks::check(&project),
        Command::Ci => checks::ci(&project),
    }
}
