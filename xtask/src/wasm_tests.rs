//! The tests of the host-free crates, compiled to WebAssembly and run on Node.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::{packages, sh, toolchain};

/// Runs the wasm tests of the policy and the engine.
pub(crate) fn run(project: &Project) -> Result<()> {
    packages::need_program(project, "node", &["nodejs"])?;
    let toolchain = toolchain::prepare(project, toolchain::BARE)?;
    let runner = runner(project)?;
    for package in ["btp-policy", "btp-engine"] {
        let printed = sh::show_and_read(
            toolchain
                .cargo(project, "test")
                .args(["--profile", "wasm-tests", "-p", package, "--tests"])
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", &runner),
        )?;
        if passed(&printed) == 0 {
            bail!("{package} has no wasm tests: mark some with #[wasm_bindgen_test]");
        }
    }
    Ok(())
}

/// The test runner of exactly the version that the tests are linked with.
fn runner(project: &Project) -> Result<PathBuf> {
    let lock = fs::read_to_string(project.root.join("Cargo.lock"))?;
    let version = locked(&lock, "wasm-bindgen").context("no wasm-bindgen in Cargo.lock")?;
    let root = project
        .target
        .join("tools")
        .join(format!("wasm-bindgen-{version}"));
    let runner = root.join("bin").join(format!(
        "wasm-bindgen-test-runner{}",
        env::consts::EXE_SUFFIX
    ));
    if !runner.is_file() {
        eprintln!("building wasm-bindgen-test-runner {version} (once, two to three minutes)");
        let install = |locked: &[&str]| {
            let mut command = project.cargo(["install", "wasm-bindgen-cli", "--version", version]);
            command.args(["--debug", "--bin", "wasm-bindgen-test-runner"]);
            command.args(locked).arg("--root").arg(&root);
            command
        };
        // A mirror of the registry may lack what the lock file asks for: no reason to alarm
        // anybody before the second try.
        if let Err(error) = sh::read(&mut install(&["--locked"])) {
            eprintln!("trying without --locked");
            sh::run(&mut install(&[])).with_context(|| format!("with --locked: {error}"))?;
        }
    }
    Ok(runner)
}

/// The version of a package in Cargo.lock.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines
        .nth(1)?
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}

/// How many tests passed, by the summaries that the runner prints.
fn passed(printed: &str) -> u64 {
    printed
        .lines()
        .filter_map(|line| {
            let summary = line.strip_prefix("test result: ok. ")?;
            summary.split(' ').next()?.parse::<u64>().ok()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.100\"\n\n\
                    [[package]]\nname = \"wasm-bindgen-test\"\nversion = \"0.3.50\"\n";
        assert_eq!(locked(lock, "wasm-bindgen"), Some("0.2.100"));
        assert_eq!(locked(lock, "wasm-bindgen-test"), Some("0.3.50"));
        assert_eq!(locked(lock, "wasm"), None);
    }

    #[test]
    fn passed_tests_are_added_up() {
        let printed = "running 2 tests\ntest result: ok. 2 passed; 0 failed\n\
                       no tests to run!\ntest result: ok. 3 passed; 0 failed; 1 ignored\n";
        assert_eq!(passed(printed), 5);
        assert_eq!(passed("no tests to run!\n"), 0);
    }
}
