//! Where things are: the repository, the built artifacts, the Envoy binary.
//!
//! `cargo xtask test` builds everything and sets the environment; a bare
//! `cargo test` finds the same artifacts in their usual places.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const BEFORE: &str = "target/before/9ac27d82839a6381a546f12f2ddf92e19fabadc9.wasm";
const PINNED_ENVOY: &str = "target/envoy/1.40.0/envoy";

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// A path given relative to the root of the repository.
pub fn path(relative: impl AsRef<Path>) -> PathBuf {
    root().join(relative)
}

/// The Envoy to test with: `$ENVOY`, else the one `cargo xtask` fetched.
pub fn envoy_binary() -> Result<PathBuf> {
    existing("Envoy", "ENVOY", PINNED_ENVOY)
}

/// The filter under test: `$BTP_WASM`, else the built one.
pub fn wasm() -> Result<PathBuf> {
    existing("the filter", "BTP_WASM", "dist/backend_traffic_policy.wasm")
}

/// The same as a dynamic module: `$BTP_MODULE`, else the built one.
pub fn module() -> Result<PathBuf> {
    let file = "dist/libbackend_traffic_policy.so";
    existing("the module", "BTP_MODULE", file)
}

/// The module with panics planted in it: `$BTP_MODULE_PLANTED`, else the one
/// `cargo xtask` built.
pub fn planted_module() -> Result<PathBuf> {
    let file = format!(
        "target/planted/{}-unknown-linux-gnu/module/libbackend_traffic_policy.so",
        env::consts::ARCH
    );
    existing("the planted module", "BTP_MODULE_PLANTED", &file)
}

/// A filter for the sandbox that does nothing: `$BTP_NOOP_WASM`, else the one
/// `cargo xtask` built.
pub fn noop_wasm() -> Result<PathBuf> {
    let file = "target/wasm32-wasip1/release/noop_filter.wasm";
    existing("the .wasm that does nothing", "BTP_NOOP_WASM", file)
}

/// A filter for the sandbox that makes the hostcalls of a script: `$BTP_REPLAY_WASM`, else
/// the one `cargo xtask` built.
pub fn replay_wasm() -> Result<PathBuf> {
    let file = "target/wasm32-wasip1/release/replay_filter.wasm";
    existing("the .wasm that replays hostcalls", "BTP_REPLAY_WASM", file)
}

/// A dynamic module that does nothing: `$BTP_NOOP_MODULE`, else the one `cargo xtask`
/// built.
pub fn noop_module() -> Result<PathBuf> {
    let file = "target/module/libnoop.so";
    existing("the module that does nothing", "BTP_NOOP_MODULE", file)
}

/// The rate limit service: `$BTP_RATE_LIMIT_SERVICE`, else the one `cargo xtask` built.
pub fn rate_limit_service() -> Result<PathBuf> {
    let file = "target/rate-limit-service/debug/rate-limit-service";
    existing("the rate limit service", "BTP_RATE_LIMIT_SERVICE", file)
}

/// The server of Redis: `$BTP_REDIS_SERVER`, else the one `cargo xtask` linked to.
pub fn redis_server() -> Result<PathBuf> {
    let file = "target/tools/redis-server";
    existing("Redis", "BTP_REDIS_SERVER", file)
}

/// Prometheus: `$BTP_PROMETHEUS`, else the one `cargo xtask` unpacked.
pub fn prometheus() -> Result<PathBuf> {
    let file = "target/tools/prometheus/usr/bin/prometheus";
    existing("Prometheus", "BTP_PROMETHEUS", file)
}

/// Its tool for rules: `$BTP_PROMTOOL`, else the one `cargo xtask` unpacked.
pub fn promtool() -> Result<PathBuf> {
    let file = "target/tools/prometheus/usr/bin/promtool";
    existing("promtool", "BTP_PROMTOOL", file)
}

/// The filter of an earlier commit, from which tests update to the one under
/// test: `$BTP_WASM_BEFORE`, else the one `cargo xtask` built.
pub fn wasm_before() -> Result<PathBuf> {
    existing("the filter of then", "BTP_WASM_BEFORE", BEFORE)
}

/// The command under test: `$BTP_CLI`, else the built one.
pub fn cli() -> Result<PathBuf> {
    existing("the CLI", "BTP_CLI", "dist/btp")
}

/// Version of [`envoy_binary`] as (major, minor, patch), for tests of what
/// only some versions can do.
pub fn envoy_version() -> Result<(u32, u32, u32)> {
    let binary = envoy_binary()?;
    let output = Command::new(&binary)
        .arg("--version")
        .output()
        .with_context(|| format!("running {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).with_context(|| format!("no version in {text:?}"))
}

/// What Envoy must allow the filter: hostcalls and callbacks.
pub fn capabilities() -> Result<Vec<String>> {
    let list = path("filter/wasm/capabilities.txt");
    let text = fs::read_to_string(&list).with_context(|| format!("no {}", list.display()))?;
    let names = text.lines().filter(|line| !line.starts_with('#'));
    Ok(names.map(str::to_owned).collect())
}

fn existing(what: &str, variable: &str, fallback: &str) -> Result<PathBuf> {
    let found = match env::var_os(variable) {
        Some(value) => PathBuf::from(value),
        None => path(fallback),
    };
    if !found.is_file() {
        bail!(
            "{what} is not at {}: run `cargo xtask test`, which provides it, or set ${variable}",
            found.display()
        );
    }
    Ok(found)
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    text.split('/').find_map(|part| {
        let part = part.split('-').next()?;
        let mut numbers = part.split('.').map(str::parse);
        match (numbers.next()?, numbers.next()?, numbers.next()?) {
            (Ok(major), Ok(minor), Ok(patch)) => Some((major, minor, patch)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_line() {
        let line = "envoy  version: 9e5580933739775e8bce/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(parse_version(line), Some((1, 40, 0)));
        assert_eq!(parse_version("a/1.41.0-dev/b"), Some((1, 41, 0)));
        assert_eq!(parse_version("envoy"), None);
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(path("Cargo.toml").is_file());
        assert!(path("tests/Cargo.toml").is_file());
    }
}
