//! The Envoy image for the compose test.
//!
//! The test needs the image that docker-compose.yml names. Where no registry
//! can be reached, an image of the same shape is built from tests/image: a
//! minimal Debian with the Envoy binary that the other tests use.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::envoy::Envoy;
use crate::project::Project;
use crate::{packages, sh};

/// The Debian release in the image; its C library is new enough for Envoy.
const SUITE: &str = "bookworm";

/// Files that no running program reads: the image does without them.
const EXCLUDED: &[&str] = &[
    "./var/cache/apt/archives/*.deb",
    "./var/lib/apt/lists",
    "./usr/share/doc",
    "./usr/share/man",
    "./usr/share/locale",
    "./dev",
];

/// Makes sure that the engine has the image for this Envoy; returns its name.
pub(crate) fn prepare(project: &Project, envoy: &Envoy) -> Result<String> {
    let image = format!("envoyproxy/envoy:v{}", envoy.version);
    if sh::succeeds(project.command("docker").args(["image", "inspect", &image])) {
        return Ok(image);
    }
    if sh::run(project.command("docker").args(["pull", "--quiet", &image])).is_err() {
        eprintln!("{image} cannot be pulled: building one like it");
        build(project, envoy, &image).with_context(|| format!("cannot build {image}"))?;
    }
    Ok(image)
}

fn build(project: &Project, envoy: &Envoy, image: &str) -> Result<()> {
    let context = project.target.join("image");
    fs::create_dir_all(&context)?;
    root_file_system(project, &context)?;
    fs::copy(&envoy.path, context.join("envoy"))?;
    for file in ["Dockerfile", "docker-entrypoint.sh"] {
        fs::copy(
            project.root.join("tests/image").join(file),
            context.join(file),
        )?;
    }
    sh::run(
        project
            .command("docker")
            .args(["build", "--quiet", "--tag", image])
            .arg(&context),
    )
}

/// Leaves a minimal Debian in `rootfs.tar`.
fn root_file_system(project: &Project, context: &Path) -> Result<()> {
    let archive = context.join("rootfs.tar");
    if archive.is_file() {
        return Ok(());
    }
    if !packages::is_root() {
        bail!("only root can make a root file system");
    }
    packages::need_program(
        project,
        "debootstrap",
        &["debootstrap", "debian-archive-keyring"],
    )?;
    let root = context.join("rootfs");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    sh::run(
        project
            .command("debootstrap")
            .args(["--variant=minbase", SUITE])
            .arg(&root),
    )?;
    let unfinished = context.join("rootfs.tar.new");
    let mut tar = project.command("tar");
    tar.args(EXCLUDED.iter().map(|path| format!("--exclude={path}")));
    sh::run(
        tar.arg("--create")
            .arg("--file")
            .arg(&unfinished)
            .arg("--directory")
            .arg(&root)
            .arg("."),
    )?;
    fs::rename(&unfinished, &archive)?;
    Ok(fs::remove_dir_all(&root)?)
}
