//! The configurations that people copy are set up for what their policies go
//! by: addresses that clients cannot choose, and paths in one spelling.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn bootstraps(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("is there") {
        let path = entry.expect("can be listed").path();
        if path.is_dir() {
            bootstraps(&path, found);
        } else if path.extension().is_some_and(|it| it == "yaml") {
            let text = fs::read_to_string(&path).expect("can be read");
            if text.contains("\nstatic_resources:") || text.starts_with("static_resources:") {
                found.push(path);
            }
        }
    }
}

#[test]
fn every_shipped_configuration_has_what_its_policies_go_by() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    bootstraps(&root.join("examples"), &mut found);
    bootstraps(&root.join("envoy"), &mut found);
    assert!(found.len() >= 12, "{found:?}");
    for bootstrap in found {
        let mut command = Command::new(env!("CARGO_BIN_EXE_btp"));
        command.arg("lint").arg("--bootstrap").arg(&bootstrap);
        let policy = bootstrap.with_file_name("policy.yaml");
        if policy.exists() {
            command.arg(policy);
        }
        let output = command.output().expect("btp runs");
        let said = String::from_utf8(output.stderr).expect("prints UTF-8");
        for lacking in [
            "use_remote_address",
            "normalize_path",
            "merge_slashes",
            "path_with_escaped_slashes_action",
            "stream_idle_timeout",
            "redirects clients to the host",
            "metrics have no labels",
        ] {
            assert!(!said.contains(lacking), "{}: {said}", bootstrap.display());
        }
    }
}
