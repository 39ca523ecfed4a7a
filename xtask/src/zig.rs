//! The linker for the dynamic module: `zig cc`, which knows the C library of each
//! release and machine.
//!
//! A module that is linked on a machine with a newer glibc than Envoy's does not load
//! there. Zig links against any glibc that is named to it, for either processor, and
//! links the unwinder statically, as Envoy's images need not have one. It is a wheel of
//! PyPI; `$ZIG` names another.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::sh;
use crate::wheels::{self, Wheel};

const VERSION: &str = "0.17.1";

const WHEEL: Wheel<'static> = Wheel {
    requirement: "ziglang==0.17.1",
    // Linux on x86-64, Linux on Arm, macOS on Arm.
    hashes: &[
        "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
        "b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e",
        "09953b6af7f64168b915180a42774f520f92d86ef6331b28e33915c7e1f0bb23",
    ],
    program: "ziglang/zig",
};

/// Has a cargo command link for `target`, such as `x86_64-unknown-linux-gnu`, and for
/// machines with this glibc or a newer one.
pub(crate) fn link_with(
    project: &Project,
    command: &mut Command,
    target: &str,
    glibc: &str,
) -> Result<()> {
    let machine = target.split('-').next().unwrap_or_default();
    let tools = project.target.join("tools");
    let linker = tools.join(format!("zig-cc-{machine}-{glibc}"));
    let zig = program(project)?;
    let script = format!(
        "#!/bin/sh\nexec '{}' cc -target {machine}-linux-gnu.{glibc} \"$@\"\n",
        zig.display()
    );
    if fs::read_to_string(&linker).is_ok_and(|it| it != script) || !linker.is_file() {
        fs::create_dir_all(&tools)?;
        fs::write(&linker, &script)?;
        fs::set_permissions(&linker, fs::Permissions::from_mode(0o755))?;
    }
    let variable = target.to_uppercase().replace('-', "_");
    command
        .env(format!("CARGO_TARGET_{variable}_LINKER"), &linker)
        .env("ZIG_GLOBAL_CACHE_DIR", tools.join("zig-cache"))
        .env("ZIG_LOCAL_CACHE_DIR", tools.join("zig-cache"));
    Ok(())
}

/// Has a copy of the project link with what was fetched for the project.
pub(crate) fn lend(project: &Project, copy: &Project) -> Result<()> {
    let fetched = folder(project);
    if fetched.is_dir() {
        fs::create_dir_all(copy.target.join("tools"))?;
        symlink(fetched, folder(copy))?;
    }
    Ok(())
}

fn program(project: &Project) -> Result<PathBuf> {
    if let Some(zig) = env::var_os("ZIG") {
        return Ok(zig.into());
    }
    let folder = folder(project);
    let program = folder.join(WHEEL.program);
    if !program.is_file() {
        eprintln!("fetching Zig {VERSION} from PyPI, to link with (about 100 MB)");
        wheels::unpack(project, &WHEEL, &folder, check_version).with_context(|| {
            format!("cannot fetch Zig {VERSION}: point $ZIG to a binary of that release")
        })?;
    }
    Ok(program)
}

fn folder(project: &Project) -> PathBuf {
    project.target.join("tools").join(format!("zig-{VERSION}"))
}

fn check_version(program: &Path) -> Result<()> {
    let version = sh::read(Command::new(program).arg("version"))?;
    if version.trim() != VERSION {
        bail!("it says it is {}", version.trim());
    }
    Ok(())
}
