//! `--access-log` reaches every instance of the filter, of both builds and in every output,
//! and is gone after a run without it.

mod run;

use std::fs;
use std::path::{Path, PathBuf};

use run::btp;

/// Three instances: an early one, one behind the filter that judges, and one behind the
/// router.
const POLICY: &str = r#"
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: p}
spec:
  faultInjection: {delay: {fixedDelay: 1s}}
  rateLimit: {local: {rules: [{limit: {requests: 1, unit: Second}}]}}
  retry: {}
  retryConstraint: {}
"#;
const INSTANCES: usize = 3;
const SETTING: &str = "accessLog";

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("access-log-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("out")).expect("can be made");
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/apply-auth");
    let envoy = fs::read_to_string(case.join("envoy.yaml")).expect("can be read");
    fs::write(folder.join("envoy.yaml"), envoy).expect("can be written");
    fs::write(folder.join("policy.yaml"), POLICY).expect("can be written");
    folder
}

/// The command's output, in which all is well.
fn run_in(folder: &Path, arguments: &str) -> String {
    let (code, out, said) = btp(folder, arguments);
    assert_eq!(code, 0, "{arguments}: {said}");
    out
}

/// How often the setting is in these files.
fn settings(folder: &Path) -> usize {
    let files = fs::read_dir(folder).expect("is there");
    let texts = files.map(|it| fs::read_to_string(it.expect("is there").path()));
    let texts: Vec<String> = texts.map(|it| it.expect("is text")).collect();
    texts.iter().map(|it| it.matches(SETTING).count()).sum()
}

#[test]
fn every_instance_has_it_until_a_run_without() {
    for build in ["--wasm /f.wasm", "--module=/f.so"] {
        let folder = folder("inline");
        let apply = format!("apply --bootstrap envoy.yaml -f policy.yaml {build}");
        run_in(&folder, &format!("{apply} -o out/envoy.yaml --access-log"));
        assert_eq!(settings(&folder.join("out")), INSTANCES, "{build}");
        let again = format!("apply --bootstrap out/envoy.yaml -f policy.yaml {build}");
        run_in(&folder, &format!("{again} -o out/envoy.yaml"));
        assert_eq!(settings(&folder.join("out")), 0, "{build}");
    }
}

#[test]
fn it_is_in_the_files_that_envoy_watches() {
    for build in ["--wasm /f.wasm", "--module=/f.so"] {
        let folder = folder("ecds");
        let envoy = fs::read_to_string(folder.join("envoy.yaml")).expect("can be read");
        let envoy = format!("node: {{id: a, cluster: b}}\n{envoy}");
        fs::write(folder.join("envoy.yaml"), envoy).expect("can be written");
        let apply = format!(
            "apply --bootstrap envoy.yaml -f policy.yaml {build} --ecds /etc/envoy --out-dir out \
             --at-once"
        );
        run_in(&folder, &format!("{apply} --access-log"));
        let files = fs::read_dir(folder.join("out")).expect("is there").count();
        assert!(files > INSTANCES, "{files}");
        assert_eq!(settings(&folder.join("out")), INSTANCES, "{build}");
        run_in(&folder, &apply);
        assert_eq!(settings(&folder.join("out")), 0, "{build}");
    }
}

#[test]
fn the_log_stays_as_it_is() {
    let folder = folder("format");
    let apply = "apply --bootstrap envoy.yaml -f policy.yaml";
    let with = run_in(&folder, &format!("{apply} --access-log"));
    let without = run_in(&folder, apply);
    // The configuration is laid out in one way in lists of YAML and in another elsewhere.
    let bare = |text: &str| text.replace("\\n", "").replace(['\\', '"', ' ', '\n'], "");
    let (with, without) = (bare(&with), bare(&without));
    assert!(with.contains(",accessLog:true"));
    let with = with.replace(",accessLog:true", "");
    assert!(with == without, "--access-log changes more than {SETTING}");
}

#[test]
fn plugin_config_prints_it() {
    let folder = folder("plugin");
    let command = "plugin-config -f policy.yaml";
    let setting = "\"accessLog\": true";
    assert!(run_in(&folder, &format!("{command} --access-log")).contains(setting));
    assert!(!run_in(&folder, command).contains("accessLog"));
}
