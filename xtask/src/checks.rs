//! The three ways to check everything: `test`, `check` before a commit, and
//! `ci`.

use std::slice;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::builds::Build;
use crate::compose::{self, Outcome};
use crate::project::Project;
use crate::real_envoy::TestEnv;
use crate::{before, capabilities as list, deny, docs, envoy, fuzz, prometheus, prose};
use crate::{files, rate_limit_service, reproducible, sh, test_files, toolchain, wasm, wasm_tests};

/// The filter must stay small: every worker thread of Envoy compiles it.
/// 200 KiB of it are for regexes (ARCHITECTURE.md, Dependencies of the filter).
const SIZE_LIMIT: u64 = 900 * 1024;

const COMPOSE: &str = "the compose test";
const UPGRADE: &str = "the test of an upgrade";

/// All tests, or only the scenario tables on an Envoy of another release.
pub(crate) fn test(
    project: &Project,
    envoy: Option<&str>,
    build: Option<Build>,
    filter: Option<&str>,
) -> Result<()> {
    let start = Instant::now();
    let mut test_env = prepare(project, envoy.unwrap_or(envoy::DEFAULT_VERSION))?;
    let builds = build.as_ref().map_or(Build::ALL, slice::from_ref);
    if envoy.is_some() {
        for build in builds {
            test_env = test_env.on(*build);
            scenarios(project, &test_env, filter)?;
        }
        return close("test", start, &[]);
    }
    host_tests(project, filter)?;
    service_tests(project, filter)?;
    if filter.is_none() {
        tests_on_wasm32(project)?;
    }
    let upgrade = on_builds(project, test_env, builds, filter)?;
    if filter.is_some() {
        return close("test", start, &[]);
    }
    let compose = compose_test(project)?;
    close("test", start, &[(UPGRADE, upgrade), (COMPOSE, compose)])
}

/// What every commit must pass, in under three minutes.
pub(crate) fn check(project: &Project) -> Result<()> {
    let start = Instant::now();
    format(project)?;
    pages(project)?;
    clippy(project)?;
    english(project)?;
    host_tests(project, None)?;
    sh::step(
        "harness tests",
        "run `cargo test -p btp-tests --lib`",
        || sh::show(&mut project.cargo(["test", "-p", "btp-tests", "--lib"])),
    )?;
    let test_env = prepare(project, envoy::DEFAULT_VERSION)?;
    sh::step(
        "smoke test on a real Envoy",
        "the log of Envoy is above",
        || {
            sh::show(
                test_env
                    .tests(project)?
                    .args(["--test", "smoke", "--test", "scenarios"]),
            )
        },
    )?;
    close("check", start, &[])
}

/// Everything that continuous integration runs.
pub(crate) fn ci(project: &Project) -> Result<()> {
    let start = Instant::now();
    format(project)?;
    pages(project)?;
    clippy(project)?;
    english(project)?;
    let advisories = dependencies(project)?;
    let test_env = prepare(project, envoy::DEFAULT_VERSION)?;
    size(project)?;
    capabilities(project)?;
    reproducible(project)?;
    host_tests(project, None)?;
    service_tests(project, None)?;
    linter_tests(project)?;
    tests_on_wasm32(project)?;
    let upgrade = on_builds(project, test_env, Build::ALL, None)?;
    let compose = compose_test(project)?;
    api_docs(project)?;
    site(project)?;
    fuzz_targets(project)?;
    if !advisories {
        println!("ci: advisories were NOT CHECKED: their database could not be reached");
    }
    close("ci", start, &[(UPGRADE, upgrade), (COMPOSE, compose)])
}

fn format(project: &Project) -> Result<()> {
    sh::step("format", "run `cargo fmt --all`", || {
        toolchain::prepare_lints(project)?;
        sh::run(&mut project.cargo(["fmt", "--all", "--check"]))?;
        for manifest in [
            fuzz::MANIFEST,
            prose::MANIFEST,
            rate_limit_service::MANIFEST,
        ] {
            sh::run(&mut project.cargo(["fmt", "--manifest-path", manifest, "--check"]))?;
        }
        Ok(())
    })
}

fn clippy(project: &Project) -> Result<()> {
    sh::step("clippy", "fix the warnings above", || {
        toolchain::prepare_lints(project)?;
        sh::run(
            project
                .cargo(["clippy", "--workspace", "--exclude", "btp-wasm"])
                .args(["--all-targets", "--", "-D", "warnings"]),
        )?;
        sh::run(
            toolchain::prepare(project, toolchain::WASI)?
                .cargo_analysis(project, "clippy")
                .args(["-p", "btp-wasm", "--", "-D", "warnings"]),
        )?;
        // What the host's tests do not see: two attributes of the name `test`.
        sh::run(
            toolchain::prepare(project, toolchain::BARE)?
                .cargo(project, "check")
                .args(["-p", "btp-policy", "-p", "btp-engine", "--tests"]),
        )?;
        rate_limit_service::clippy(project)
    })
}

fn english(project: &Project) -> Result<()> {
    sh::step(
        "prose",
        "say it in plain English; tests/prose has the rules and the words that it knows",
        || prose::check(project, &[]),
    )
}

fn prepare(project: &Project, version: &str) -> Result<TestEnv> {
    let name = format!("build, and Envoy {version}");
    sh::step(&name, "the lines above say what is missing", || {
        TestEnv::prepare(project, version)
    })
}

fn size(project: &Project) -> Result<()> {
    sh::step(
        "size of the filter",
        "look at what the last change pulled in",
        || {
            let size = files::size(&project.dist(wasm::FILTER))?;
            println!("{}: {}", wasm::FILTER, files::kib(size));
            if size > SIZE_LIMIT {
                bail!("the limit is {}", files::kib(SIZE_LIMIT));
            }
            Ok(())
        },
    )
}

fn capabilities(project: &Project) -> Result<()> {
    sh::step(
        "capabilities of the filter",
        "run `cargo xtask capabilities` and look at what has changed",
        || list::check(project),
    )
}

/// Whether advisories could be checked, too.
fn dependencies(project: &Project) -> Result<bool> {
    sh::step(
        "dependencies: licences, bans, sources, advisories",
        "change what is depended on, or deny.toml with a reason",
        || deny::check(project),
    )
}

fn reproducible(project: &Project) -> Result<()> {
    sh::step(
        "the same filter from another folder",
        "look for paths, times and names of the machine in what is built",
        || reproducible::check(project),
    )
}

fn host_tests(project: &Project, filter: Option<&str>) -> Result<()> {
    sh::step(
        "unit and property tests",
        "run `cargo test` to repeat them",
        || {
            let mut tests = project.cargo(["test", "--workspace"]);
            tests.args(["--exclude", "btp-wasm", "--exclude", "btp-tests"]);
            tests.args(["--exclude", "btp-module"]);
            sh::show(tests.args(filter))
        },
    )
}

fn service_tests(project: &Project, filter: Option<&str>) -> Result<()> {
    sh::step(
        "tests of the rate limit service that tests use",
        "the failing test is named above",
        || rate_limit_service::test(project, filter),
    )
}

/// Not a part of [`check`]: it would compile all that the linter is made of once more.
fn linter_tests(project: &Project) -> Result<()> {
    sh::step(
        "tests of the linter of English",
        "the failing test is named above",
        || {
            prose::clippy(project)?;
            prose::test(project)
        },
    )
}

fn tests_on_wasm32(project: &Project) -> Result<()> {
    sh::step("tests on wasm32", "the failing test is named above", || {
        wasm_tests::run(project)
    })
}

/// Tests on a real Envoy with each of these builds; what became of the test of an
/// upgrade, which is about the .wasm alone.
fn on_builds(
    project: &Project,
    mut test_env: TestEnv,
    builds: &[Build],
    filter: Option<&str>,
) -> Result<Outcome> {
    let mut upgrade = Outcome::Passed;
    for build in builds {
        test_env = test_env.on(*build);
        let outcome = real_envoy_tests(project, &test_env, filter)?;
        if *build == Build::Wasm {
            upgrade = outcome;
        }
    }
    Ok(upgrade)
}

/// All that there are for the build at hand; without the history of the repository,
/// all but that of an upgrade.
fn real_envoy_tests(
    project: &Project,
    test_env: &TestEnv,
    filter: Option<&str>,
) -> Result<Outcome> {
    let (version, build) = (&test_env.envoy().version, test_env.build());
    let name = format!("tests on a real Envoy {version} with the {}", build.name());
    sh::step(
        &name,
        "the log of Envoy is above; `cargo xtask test NAME` repeats one test",
        || {
            let mut tests = test_env.tests(project)?;
            rate_limit_service::provide(project, &mut tests)?;
            prometheus::provide(project, &mut tests)?;
            let mut skipped = build.left_out();
            let mut outcome = Outcome::Passed;
            match build {
                Build::Wasm => match before::filter(project)? {
                    Some(before) => {
                        tests.env("BTP_WASM_BEFORE", before);
                    }
                    None => {
                        skipped.push("an_upgrade_under_load");
                        outcome = Outcome::Skipped;
                    }
                },
                Build::Module => {
                    let count = skipped.len();
                    println!("{count} tests are about the sandbox alone: see tests/wasm-only.txt");
                }
            }
            let skips = skipped.iter().flat_map(|name| ["--skip", name]);
            let arguments: Vec<&str> = skips.chain(filter).collect();
            test_files::run(tests, |file| build.runs(file), &arguments)?;
            Ok(outcome)
        },
    )
}

fn scenarios(project: &Project, test_env: &TestEnv, filter: Option<&str>) -> Result<()> {
    let (version, build) = (&test_env.envoy().version, test_env.build().name());
    let name = format!("scenario tables on a real Envoy {version} with the {build}");
    sh::step(&name, "the log of Envoy is above", || {
        let mut tests = test_env.tests(project)?;
        sh::show(tests.args(["--test", "scenarios"]).args(filter))
    })
}

fn compose_test(project: &Project) -> Result<Outcome> {
    sh::step(
        "compose test",
        "run `cargo xtask compose-test` to repeat it",
        || compose::test(project),
    )
}

fn pages(project: &Project) -> Result<()> {
    sh::step("links in Markdown", "correct what is named below", || {
        docs::check(project)
    })
}

fn site(project: &Project) -> Result<()> {
    sh::step(
        "site of docs/",
        "run `cargo xtask docs` to repeat it",
        || docs::build(project).map(drop),
    )
}

fn api_docs(project: &Project) -> Result<()> {
    sh::step(
        "documentation of the code",
        "fix the warnings above",
        || {
            sh::run(
                project
                    .cargo(["doc", "--no-deps", "--workspace", "--exclude", "btp-wasm"])
                    .env("RUSTDOCFLAGS", "-Dwarnings"),
            )?;
            sh::run(
                toolchain::prepare(project, toolchain::WASI)?
                    .cargo_analysis(project, "doc")
                    .args(["--no-deps", "-p", "btp-wasm"])
                    .env("RUSTDOCFLAGS", "-Dwarnings"),
            )
        },
    )
}

fn fuzz_targets(project: &Project) -> Result<()> {
    sh::step(
        "fuzz targets",
        "they must build with the stable compiler",
        || fuzz::build(project),
    )
}

fn close(what: &str, start: Instant, special: &[(&str, Outcome)]) -> Result<()> {
    let skipped = special.iter().filter(|(_, it)| *it == Outcome::Skipped);
    let skipped: Vec<&str> = skipped.map(|(name, _)| *name).collect();
    print!("{}", sh::minutes());
    let seconds = start.elapsed().as_secs();
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let note = match skipped.len() {
        0 => String::new(),
        count => format!(" ({count} skipped: {})", skipped.join(", ")),
    };
    println!("{what}: everything passed in {minutes} min {seconds} s{note}");
    Ok(())
}
