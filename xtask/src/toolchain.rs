//! The Rust toolchain for WebAssembly: found, or else set up.
//!
//! Two ways lead there: the rustup target, and, where rustup cannot fetch one,
//! Debian's `rustc-web` with its library sources, from which cargo builds the
//! standard library. `BTP_WASM_TOOLCHAIN=rustup|debian` forces one of them.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::{packages, sh};

/// What the filter is built for.
pub(crate) const WASI: &str = "wasm32-wasip1";
/// Where the tests of the host-free crates run, on Node.
pub(crate) const BARE: &str = "wasm32-unknown-unknown";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCES: &str = "lib/rustlib/src/rust/library/Cargo.lock";
const DEBIAN_WASI_LIBC: &str = "/usr/lib/wasm32-wasi";

/// A way to compile for one wasm target.
pub(crate) struct Toolchain {
    target: &'static str,
    way: Way,
}

enum Way {
    Rustup,
    Debian { linker: String },
}

/// Finds or sets up the toolchain for `target`.
pub(crate) fn prepare(project: &Project, target: &'static str) -> Result<Toolchain> {
    let way = match env::var("BTP_WASM_TOOLCHAIN").as_deref() {
        Ok("rustup") => rustup(project, target)?,
        Ok("debian") => debian(project)?,
        Ok(other) => bail!("BTP_WASM_TOOLCHAIN is \"{other}\"; it can be rustup or debian"),
        Err(_) => match rustup(project, target) {
            Ok(way) => way,
            Err(reason) => {
                eprintln!("no {target} from rustup ({reason:#}); trying Debian's packages");
                debian(project).with_context(|| {
                    format!(
                        "Rust cannot compile for {target}: rustup has no such target \
                         ({reason:#}), and Debian's packages do not serve"
                    )
                })?
            }
        },
    };
    Ok(Toolchain { target, way })
}

/// Makes sure that `cargo fmt` and `cargo clippy` are there.
pub(crate) fn prepare_lints(project: &Project) -> Result<()> {
    for component in ["fmt", "clippy"] {
        if !sh::succeeds(&mut project.cargo([component, "--version"])) {
            let name = if component == "fmt" {
                "rustfmt"
            } else {
                "clippy"
            };
            sh::run(project.command("rustup").args(["component", "add", name]))
                .with_context(|| format!("cargo {component} is missing: install {name}"))?;
        }
    }
    Ok(())
}

impl Toolchain {
    /// `cargo <subcommand>` for this target.
    pub(crate) fn cargo(&self, project: &Project, subcommand: &str) -> Command {
        let mut command = project.cargo([subcommand, "--target", self.target]);
        let mut flags = anonymous_paths(project);
        if self.target == WASI {
            // Hostcalls are found when Envoy loads the module. The SDK does not
            // say so in its declarations, and since Rust 1.96 the linker asks.
            flags.push("-Clink-arg=--allow-undefined".to_owned());
        }
        if let Way::Debian { linker } = &self.way {
            let test = if subcommand == "test" { ",test" } else { "" };
            command
                .arg(format!("-Zbuild-std=std,panic_abort{test}"))
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
            flags.push(format!("-Clinker={linker}"));
            if self.target == WASI {
                flags.push("-Clink-self-contained=no".to_owned());
                flags.push(format!("-Clink-arg=-L{DEBIAN_WASI_LIBC}"));
            }
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        command
    }

    /// A command that compiles, but does not link. Clippy and rustdoc belong to
    /// the host's compiler: without a target of its own they look at the code
    /// as the host would compile it.
    pub(crate) fn cargo_analysis(&self, project: &Project, subcommand: &str) -> Command {
        match self.way {
            Way::Rustup => self.cargo(project, subcommand),
            Way::Debian { .. } => project.cargo([subcommand]),
        }
    }
}

/// Compiler flags that keep the builder's directories out of the filter's panic messages.
pub(crate) fn anonymous_paths(project: &Project) -> Vec<String> {
    let sources = cargo_home().map(|home| format!("--remap-path-prefix={home}=cargo"));
    let root = format!("--remap-path-prefix={}=.", project.root.display());
    sources.into_iter().chain([root]).collect()
}

/// Where cargo keeps the sources of dependencies.
pub(crate) fn cargo_home() -> Option<String> {
    let home = env::var("CARGO_HOME").ok();
    home.or_else(|| Some(format!("{}/.cargo", env::var("HOME").ok()?)))
}

fn rustup(project: &Project, target: &str) -> Result<Way> {
    need_target(project, target)?;
    Ok(Way::Rustup)
}

/// Makes sure that the compiler has the standard library for `target`.
pub(crate) fn need_target(project: &Project, target: &str) -> Result<()> {
    let sysroot = sh::read(project.command("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(target)
        .join("lib");
    if !library.is_dir() {
        if sh::which("rustup").is_none() {
            bail!("rustup is not installed");
        }
        sh::run(project.command("rustup").args(["target", "add", target]))?;
    }
    Ok(())
}

fn debian(project: &Project) -> Result<Way> {
    if !debian_is_complete(project) {
        packages::install(
            project,
            &["rustc-web", "rust-web-src", "wasi-libc"],
            "a Rust compiler for wasm is missing",
        )?;
    }
    let about = sh::read(project.command(DEBIAN_RUSTC).arg("-vV"))?;
    let llvm = llvm_major(&about).context("rustc -vV does not name its LLVM version")?;
    let linker = format!("wasm-ld-{llvm}");
    packages::need_program(project, &linker, &[&format!("lld-{llvm}")])?;
    Ok(Way::Debian { linker })
}

fn debian_is_complete(project: &Project) -> bool {
    Path::new(DEBIAN_WASI_LIBC).join("libc.a").is_file()
        && sh::read(project.command(DEBIAN_RUSTC).args(["--print", "sysroot"]))
            .is_ok_and(|sysroot| Path::new(sysroot.trim()).join(DEBIAN_SOURCES).is_file())
}

fn llvm_major(about: &str) -> Option<&str> {
    about
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?
        .split('.')
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_follows_llvm() {
        let about = "rustc 1.96.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_major(about), Some("22"));
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }
}
