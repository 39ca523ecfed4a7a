//! Packages of the Linux distribution.
//!
//! As root (a container, CI, a fresh build machine) or with `--install`, missing packages
//! are installed. Otherwise the command is only shown: no laptop is changed unasked.
//! Packages that would start a service are unpacked under target/ instead.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::project::Project;
use crate::sh;

/// Makes sure that `program` is on the PATH, from these packages if need be.
pub(crate) fn need_program(project: &Project, program: &str, packages: &[&str]) -> Result<()> {
    if sh::which(program).is_some() {
        return Ok(());
    }
    install(project, packages, &format!("{program} is missing"))
}

/// Installs packages; `why` says what they are wanted for.
pub(crate) fn install(project: &Project, packages: &[&str], why: &str) -> Result<()> {
    let names = packages.join(" ");
    if sh::which("apt-get").is_none() {
        bail!("{why}: install what Debian calls {names}, then try again");
    }
    if !is_root() && !project.install {
        bail!(
            "{why}: run `sudo apt-get update && sudo apt-get install --no-install-recommends \
             {names}`, or let `cargo xtask --install …` do it"
        );
    }
    eprintln!("{why}: installing {names}");
    sh::run(apt_get().arg("update"))?;
    // Never at the price of a package that the user has chosen.
    sh::run(
        apt_get()
            .args(["install", "-y", "--no-install-recommends", "--no-remove"])
            .args(packages),
    )
}

/// Unpacks a package into `folder`, and installs nothing; `why` says what it is wanted for.
/// Only the list of packages is made new, where that may be.
pub(crate) fn unpack(package: &str, folder: &Path, why: &str) -> Result<()> {
    if sh::which("apt-get").is_none() || sh::which("dpkg-deb").is_none() {
        bail!("{why}: install what Debian calls {package}, then try again");
    }
    eprintln!("{why}: unpacking {package} into {}", folder.display());
    if is_root() {
        sh::run(apt_get().arg("update"))?;
    }
    let download = Command::new("apt-get")
        .args(["-q", "download", package])
        .current_dir(folder)
        .output()?;
    if !download.status.success() {
        let said = String::from_utf8_lossy(&download.stderr);
        bail!("{why}, and {package} cannot be had; try `sudo apt-get update` first: {said}");
    }
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        if file.extension().is_some_and(|it| it == "deb") {
            sh::run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(folder))?;
            fs::remove_file(&file)?;
        }
    }
    Ok(())
}

/// Whether this process has all rights on the machine.
pub(crate) fn is_root() -> bool {
    sh::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn apt_get() -> Command {
    let mut command = if is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    command
}
